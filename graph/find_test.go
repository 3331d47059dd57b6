package graph_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"graphrelay/graph"
)

// itemJSON is an item as a look-up returns it, with a value of the queue ID's property.
func itemJSON(id, queueID string) string {
	return fmt.Sprintf(`{"id":%q,"isDraft":true,"singleValueExtendedProperties":[{"id":%q,"value":%q}]}`, id, graph.PropertyQueueID, queueID)
}

// ids returns the ids of items.
func ids(items []graph.Item) (list []string) {
	for _, i := range items {
		list = append(list, i.ID)
	}
	return list
}

// An empty page with a link to the next one is not the end of the list.
func TestFindTurnsEmptyPages(t *testing.T) {
	pages := map[string]string{
		"":    `{"value":[],"@odata.nextLink":"http://elsewhere.test/v1.0/users/x/messages?$filter=f&$skiptoken=a%2Bb"}`,
		"a+b": `{"value":[` + itemJSON("AAQ", "0q1") + `]}`,
		"end": `{"value":[],"@odata.nextLink":"http://elsewhere.test/?$skiptoken=end"}`,
	}
	c := answering(t, func(w http.ResponseWriter, r *http.Request) { reply(200, pages[r.URL.Query().Get("$skiptoken")])(w, r) })
	found, _, err := c.Mailbox(mailbox).FindByQueueID(t.Context(), "0q1")
	if err != nil || !slices.Equal(ids(found.Items), []string{"AAQ", "AAQ"}) { // one in each folder
		t.Errorf("got %+v %v", found, err)
	}
	pages[""] = pages["end"]
	if _, _, err = c.Mailbox(mailbox).FindByQueueID(t.Context(), "0q1"); !graphError(t, err).Ambiguous {
		t.Errorf("pages without end: %v", err)
	}
}

// All pages are read as long as they show what was searched for, but not without end.
func TestFindTurnsPages(t *testing.T) {
	requests, odd := 0, ""
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		requests++
		n, _ := strconv.Atoi(r.URL.Query().Get("$skiptoken"))
		value, last := "0q1", 3
		switch {
		case strings.Contains(r.URL.Path, "sentitems"):
			last = 0
		case odd == "":
			last = 1000
		case odd == r.URL.Query().Get("$skiptoken"):
			value = "0q2"
		}
		next := ""
		if n < last {
			next = fmt.Sprintf(`,"@odata.nextLink":"http://elsewhere.test/?$skiptoken=%d"`, n+1)
		}
		reply(200, fmt.Sprintf(`{"value":[%s]%s}`, itemJSON(fmt.Sprintf("AAQ%d", n), value), next))(w, r)
	})
	for _, tt := range []struct {
		odd             string
		items, requests int
		partial         bool
	}{
		{"none", 5, 5, false},
		{"", 21, 21, true},
		{"1", 2, 3, true},
		{"3", 4, 5, false},
	} {
		requests, odd = 0, tt.odd
		found, _, err := c.Mailbox(mailbox).FindByQueueID(t.Context(), "0q1")
		if err != nil || len(found.Items) != tt.items || found.Partial != tt.partial || requests != tt.requests {
			t.Errorf("odd page %q: %d items by %d requests, partial %v, %v; want %+v", tt.odd, len(found.Items), requests, found.Partial, err, tt)
		}
	}
}

// Items that do not show what was searched for are left out, and from then on the client
// says that look-ups are not reliable. Drafts and Sent Items are searched, nothing else.
func TestFindBelievesNothing(t *testing.T) {
	var paths []string
	drafts := "[]"
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.Path)
		if strings.Contains(r.URL.Path, "drafts") {
			reply(200, `{"value":`+drafts+`}`)(w, r)
			return
		}
		reply(200, `{"value":[]}`)(w, r)
	})
	search := func(newly, unreliable bool, want ...string) {
		t.Helper()
		found, _, err := c.Mailbox(mailbox).FindByQueueID(t.Context(), "0q1")
		if err != nil || found.New != newly || found.Unreliable != unreliable || !slices.Equal(ids(found.Items), want) {
			t.Errorf("got %+v, %v", found, err)
		}
	}
	search(false, false)
	drafts = `[` + itemJSON("mine", "0q1") + `]`
	search(false, false, "mine")
	drafts = `[` + itemJSON("another's", "0q2") + `,` + itemJSON("mine", "0q1") + `,{"id":"owner's","isDraft":true}]`
	search(true, true, "mine")
	drafts = "[]"
	search(false, true)
	drafts = `[{"id":"case","isDraft":true,"internetMessageId":"<A@b>"},{"id":"same","isDraft":true,"internetMessageId":"<a@b>"}]`
	found, _, err := c.Mailbox(mailbox).FindByMessageID(t.Context(), "<a@b>")
	if err != nil || !slices.Equal(ids(found.Items), []string{"same"}) {
		t.Errorf("by Message-ID: %+v, %v", found, err)
	}
	for _, p := range paths {
		if !strings.HasSuffix(p, "/mailFolders/drafts/messages") && !strings.HasSuffix(p, "/mailFolders/sentitems/messages") {
			t.Errorf("searched %s", p)
		}
	}
}
