package graph_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/graph"
	"graphrelay/graph/simulator"
)

const reportClass = "REPORT.IPM.Note.NDR"

// Whatever the service makes of filter and expand, the items that came since then are
// returned, the newest first, and no other. The mailbox is left as it was.
func TestInbox(t *testing.T) {
	for name, tt := range map[string]struct {
		world    simulator.World
		requests int
		class    string
	}{
		"as we think":     {simulator.World{}, 1, reportClass},
		"filter ignored":  {simulator.World{FilterIgnored: true}, 1, reportClass},
		"filter refused":  {simulator.World{FilterStatus: 400}, 2, reportClass},
		"filter gets 504": {simulator.World{FilterStatus: 504}, 2, reportClass},
		"expand ignored":  {simulator.World{ExpandIgnored: true}, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			sim, rec, c := simulated(t, simulator.Options{World: tt.world})
			for n := range 150 { // of the owner, and long ago
				old := simulator.Message{Mailbox: mailbox, Folder: simulator.Inbox, Subject: fmt.Sprint(n), Created: time.Now().Add(-time.Hour)}
				if _, err := sim.Plant(old); err != nil {
					t.Fatal(err)
				}
			}
			raw := "From: MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@contoso.test\r\n\r\n" + strings.Repeat("0123456789", 100)
			want, err := sim.Receive(mailbox, reportClass, []byte(raw))
			if err != nil {
				t.Fatal(err)
			}
			m := c.Mailbox(mailbox)
			for range 2 { // what was refused is not asked again
				in, _, err := m.Inbox(t.Context(), time.Now().Add(-time.Minute), 1000)
				if err != nil || in.Cut || len(in.Items) != 1 || in.Items[0].ID != want || in.Items[0].Class != tt.class ||
					!strings.HasPrefix(in.Items[0].From, "MicrosoftExchange") || time.Since(in.Items[0].At) > time.Minute {
					t.Fatalf("got %+v %v", in, err)
				}
			}
			pages := 0
			if tt.world.FilterIgnored || tt.world.FilterStatus != 0 {
				pages = 2 // the second page has only what is too old
			}
			if got := len(rec.of(http.MethodGet, "/messages")); got != tt.requests+1+pages {
				t.Errorf("%d requests, want %d", got, tt.requests+1+pages)
			}
			for limit, bytes := range map[int]int{1 << 20: len(raw), 100: 100} {
				got, _, err := m.Content(t.Context(), want, limit)
				if err != nil || string(got) != raw[:bytes] {
					t.Errorf("content of %d bytes, %v", len(got), err)
				}
			}
			if touched := sim.Touched(); len(touched) > 0 {
				t.Errorf("touched %+v", touched)
			}
		})
	}
}

// An answer that is odd in any way yields no item that is too old or without a date, none
// twice, and has an end.
func TestInboxBelievesNothing(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	item := func(id string, at time.Time) string {
		return fmt.Sprintf(`{"id":%q,"receivedDateTime":%q}`, id, at.Format(time.RFC3339))
	}
	const more = `"@odata.nextLink":"http://elsewhere.test/?$skip=1"`
	endless := 0
	for name, tt := range map[string]struct {
		answer func() string
		cut    bool
		want   []string
		err    bool
	}{
		"odd items": {func() string {
			return `{"value":[` + item("old", now.Add(-time.Hour)) + `,` + item("b", now.Add(-time.Second)) + `,` + item("a", now) + `,` +
				item("a", now) + `,{"id":"dateless"},{"receivedDateTime":"2026-01-01T00:00:00Z"},{"id":"x","receivedDateTime":"soon"}]}`
		}, false, []string{"a", "b"}, false},
		"no list":     {func() string { return `{}` }, false, nil, true},
		"not json":    {func() string { return `<html>` }, false, nil, true},
		"empty pages": {func() string { return `{"value":[],` + more + `}` }, true, nil, false},
		"old pages":   {func() string { return `{"value":[` + item("old", now.Add(-time.Hour)) + `],` + more + `}` }, false, nil, false},
		"no end": {func() string {
			endless++
			return `{"value":[` + item(fmt.Sprint(endless), now.Add(-time.Duration(endless)*time.Millisecond)) + `],` + more + `}`
		}, true, []string{"1", "2", "3"}, false},
		"more than asked for": {func() string { return `{"value":[` + strings.Repeat(item("a", now)+",", 999) + item("b", now) + `]}` }, false, []string{"a", "b"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := answering(t, func(w http.ResponseWriter, r *http.Request) { reply(200, tt.answer())(w, r) })
			in, _, err := c.Mailbox(mailbox).Inbox(t.Context(), now.Add(-time.Minute), 200)
			var got []string
			for _, i := range in.Items {
				got = append(got, i.ID)
			}
			if (err != nil) != tt.err || in.Cut != tt.cut || !slices.Equal(got, tt.want) {
				t.Errorf("got %q, cut %v, %v", got, in.Cut, err)
			}
		})
	}
}

// While Graph asks for a pause of the mailbox, nobody looks into the Inbox.
func TestInboxInAPause(t *testing.T) {
	asked := 0
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		reply(429, `{"error":{"code":"ApplicationThrottled"}}`, "Retry-After", "60")(w, r)
	})
	for range 3 {
		if _, _, err := c.Mailbox(mailbox).Inbox(t.Context(), time.Now(), 10); graphError(t, err).Reason != graph.ReasonThrottled {
			t.Error(err)
		}
	}
	if _, _, err := c.Mailbox(mailbox).Content(t.Context(), "AAk=", 10); graphError(t, err).Reason != graph.ReasonThrottled {
		t.Error(err)
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}
