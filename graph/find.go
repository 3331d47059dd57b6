package graph

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Search is the result of a look-up.
type Search struct {
	// Items show in the answer itself what was searched for.
	Items []Item
	// Unreliable means that the service has returned items that do not show it, in this
	// or an earlier look-up of the Client. It may ignore filters, so that an item can
	// exist although it is not in Items.
	Unreliable bool
	// New means that this look-up is the Client's first that was unreliable.
	New bool
	// Partial means that a folder has more items than were read, so that an item can exist
	// although it is not in Items.
	Partial bool
}

// searched are the folders that a message of ours is in: until it is sent, and then
// (well-known folder names, mailFolder). Items elsewhere are not ours to act on.
var searched = []string{"drafts", "sentitems"}

// FindByQueueID looks for the items in Drafts and Sent Items whose PropertyQueueID has this
// value.
func (m Mailbox) FindByQueueID(ctx context.Context, queueID string) (Search, Reply, error) {
	filter := "singleValueExtendedProperties/Any(ep: ep/id eq '" + PropertyQueueID + "' and ep/value eq '" + quote(queueID) + "')"
	query := url.Values{"$filter": {filter}, "$select": {"id,isDraft"}, "$expand": {expandQueueID}, "$top": {"10"}}
	return m.search(ctx, query, func(i Item) bool { return i.QueueID() == queueID })
}

const expandQueueID = "singleValueExtendedProperties($filter=id eq '" + PropertyQueueID + "')"

// FindByMessageID looks for the items in Drafts and Sent Items with this Message-ID, at most
// 2,000 in each, and for what tells them apart: clients send several messages with the same
// Message-ID.
func (m Mailbox) FindByMessageID(ctx context.Context, messageID string) (Search, Reply, error) {
	query := url.Values{"$filter": {"internetMessageId eq '" + quote(messageID) + "'"}, "$top": {"100"},
		"$select": {"id,isDraft,internetMessageId,subject,createdDateTime,sentDateTime,toRecipients,ccRecipients,bccRecipients"},
		"$expand": {expandQueueID}}
	return m.search(ctx, query, func(i Item) bool { return i.MessageID == messageID })
}

// quote escapes a text for a literal of OData.
func quote(text string) string { return strings.ReplaceAll(text, "'", "''") }

// search looks in the folders and keeps the items that show what was searched for.
func (m Mailbox) search(ctx context.Context, query url.Values, shows func(Item) bool) (s Search, reply Reply, err error) {
	odd := false
	for _, folder := range searched {
		var items []Item
		var more bool
		items, more, reply, err = m.list(ctx, folder, query, shows)
		if err != nil {
			return Search{}, reply, err
		}
		s.Partial = s.Partial || more
		for _, i := range items {
			if shows(i) {
				s.Items = append(s.Items, i)
			} else {
				odd = true
			}
		}
	}
	if odd {
		s.New = m.client.unreliable.CompareAndSwap(false, true)
		m.client.observeUnreliable()
	}
	s.Unreliable = m.client.unreliable.Load()
	return s, reply, nil
}

// list returns the items of a folder for the query, and whether there are more than it has read. It
// reads up to maxPages pages, and none after one with an item that does not show what was searched
// for: a service that ignores the filter has the whole folder on them.
func (m Mailbox) list(ctx context.Context, folder string, query url.Values, shows func(Item) bool) (items []Item, more bool, reply Reply, err error) {
	r := &request{op: "find", method: http.MethodGet, path: "/mailFolders/" + folder + "/messages", query: query, success: []int{http.StatusOK}}
	for range maxPages {
		var page struct {
			Value []Item `json:"value"`
			Next  string `json:"@odata.nextLink"`
		}
		reply, err = m.call(ctx, r, &page)
		if err == nil && page.Value == nil {
			err = unreadable(r.op, reply, errNoList)
		}
		if err != nil {
			return nil, false, reply, err
		}
		for _, i := range page.Value { // a page may begin with what ended the one before, if there came a new item
			if !slices.ContainsFunc(items, func(had Item) bool { return had.ID == i.ID }) {
				items = append(items, i)
			}
		}
		if page.Next == "" || slices.ContainsFunc(page.Value, func(i Item) bool { return !shows(i) }) {
			return items, page.Next != "", reply, nil
		}
		if err := r.turnPage(page.Next, reply); err != nil {
			return nil, false, reply, err
		}
	}
	if len(items) == 0 {
		return nil, false, Reply{}, unreadable(r.op, Reply{}, fmt.Errorf("its first %d pages are empty", maxPages))
	}
	return items, true, reply, nil
}

// turnPage makes r ask for the next page. The host and the path stay ours: a link must not
// choose where the token is sent.
func (r *request) turnPage(link string, reply Reply) error {
	next, err := url.Parse(link)
	if err != nil {
		return unreadable(r.op, reply, errors.New("the link to its next page is malformed"))
	}
	r.query = next.Query()
	return nil
}

// maxPages is how many pages of a list are read. OData allows empty pages before others.
const maxPages = 20
