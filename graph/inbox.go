package graph

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// propertyMessageClass is PidTagMessageClass (MS-OXCMSG section 2.2.1.3).
const propertyMessageClass = "String 0x001A"

// Received is an item of an Inbox.
type Received struct {
	ID    string
	At    time.Time // when it came
	Class string    // PidTagMessageClass; empty if Graph does not show it
	From  string    // the address; empty if there is none
}

// Inbox is what came to an Inbox.
type Inbox struct {
	Items []Received // the newest first
	Cut   bool       // there were more
}

// inboxPage is the number of items that one request asks for.
const inboxPage = 100

// inboxRequests are the requests for the items of an Inbox, the most wanted first: in a large
// mailbox Graph has refused filters, and a property may not be shown.
func inboxRequests(since time.Time) []url.Values {
	base := url.Values{"$select": {"id,receivedDateTime,from"}, "$orderby": {"receivedDateTime desc"}, "$top": {strconv.Itoa(inboxPage)}}
	class := with(base, "$expand", "singleValueExtendedProperties($filter=id eq '"+propertyMessageClass+"')")
	return []url.Values{with(class, "$filter", "receivedDateTime ge "+since.UTC().Format(time.RFC3339)), class, base}
}

func with(query url.Values, name, value string) url.Values {
	more := url.Values{name: {value}}
	for n, v := range query {
		more[n] = v
	}
	return more
}

// Inbox returns the items that came to the Inbox since then, at most limit of them (list
// messages). Whatever filter or order Graph obeys, no earlier item is among them. It changes
// nothing in the mailbox, and needs Mail.Read.
func (m Mailbox) Inbox(ctx context.Context, since time.Time, limit int) (in Inbox, reply Reply, err error) {
	requests := inboxRequests(since)
	for n := int(m.client.inboxRequest.Load()); n < len(requests); n++ {
		in, reply, err = m.inbox(ctx, requests[n], since, limit)
		if !SearchFailed(err) {
			if err == nil {
				m.client.inboxRequest.Store(int32(n))
			}
			break
		}
	}
	return in, reply, err
}

// inbox reads pages until one has no item that is new enough.
func (m Mailbox) inbox(ctx context.Context, query url.Values, since time.Time, limit int) (in Inbox, reply Reply, err error) {
	r := &request{op: "inbox", method: http.MethodGet, path: "/mailFolders/inbox/messages", query: query,
		success: []int{http.StatusOK}, background: true}
	for range limit/inboxPage + 1 {
		var page struct {
			Value []receivedItem `json:"value"`
			Next  string         `json:"@odata.nextLink"`
		}
		reply, err = m.call(ctx, r, &page)
		if err == nil && page.Value == nil {
			err = unreadable(r.op, reply, errNoList)
		}
		if err != nil {
			return Inbox{}, reply, err
		}
		older := len(page.Value) > 0
		for _, v := range page.Value {
			i := v.received()
			if i.ID == "" || i.At.IsZero() || i.At.Before(since.Truncate(time.Second)) {
				continue
			}
			older = false
			in.Items = append(in.Items, i)
		}
		if page.Next == "" || older {
			return in.sorted(limit), reply, nil
		}
		next, err := url.Parse(page.Next)
		if err != nil {
			return Inbox{}, reply, unreadable(r.op, reply, errors.New("the link to its next page is malformed"))
		}
		r.query = next.Query() // as in list
	}
	in.Cut = true
	return in.sorted(limit), reply, nil
}

// sorted puts the newest items first, each once, and leaves out those beyond limit.
func (in Inbox) sorted(limit int) Inbox {
	slices.SortStableFunc(in.Items, func(a, b Received) int { return b.At.Compare(a.At) })
	seen := map[string]bool{}
	in.Items = slices.DeleteFunc(in.Items, func(i Received) bool {
		twice := seen[i.ID] // an item that comes meanwhile moves others to the next page
		seen[i.ID] = true
		return twice
	})
	if len(in.Items) > limit {
		in.Items, in.Cut = in.Items[:limit], true
	}
	return in
}

// receivedItem is an item as Graph shows it.
type receivedItem struct {
	ID         string     `json:"id"`
	At         string     `json:"receivedDateTime"`
	From       *Recipient `json:"from"`
	Properties []Property `json:"singleValueExtendedProperties"`
}

// received returns the item. Its time is zero if it is unreadable.
func (v receivedItem) received() Received {
	i := Received{ID: v.ID}
	i.At, _ = time.Parse(time.RFC3339, v.At)
	if v.From != nil {
		i.From = v.From.EmailAddress.Address
	}
	for _, p := range v.Properties {
		if strings.EqualFold(strings.Replace(p.ID, "0x00", "0x", 1), "String 0x1A") {
			i.Class = p.Value
		}
	}
	return i
}

// Content returns the first bytes of the item's MIME content, at most limit (message-get,
// $value). It needs Mail.Read.
func (m Mailbox) Content(ctx context.Context, id string, limit int) ([]byte, Reply, error) {
	content := beginning{limit: int64(limit)}
	reply, err := m.call(ctx, &request{op: "get_mime", method: http.MethodGet, path: "/messages/" + url.PathEscape(id) + "/$value",
		success: []int{http.StatusOK}, background: true}, &content)
	return content.bytes, reply, err
}

// beginning is the beginning of an answer.
type beginning struct {
	limit int64
	bytes []byte
}

// readAnswer implements answerReader.
func (b *beginning) readAnswer(body io.Reader) (err error) {
	b.bytes, err = io.ReadAll(io.LimitReader(body, b.limit))
	return err
}
