package probe

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"graphrelay/graph"
	"graphrelay/internal/mailaddr"
	"graphrelay/internal/text"
)

// made is what the probe has made in the mailbox, as far as it has to be removed.
type made struct {
	messages []*message
	uploads  []string        // URLs of sessions that may be open
	settled  map[string]bool // items, by id, that have come
}

// message is a message of ours. Items of it may be in several folders, all with its subject.
type message struct {
	subject string
	id      string    // of the draft; "" if there is none, or its answer was lost
	at      time.Time // of the last request about it
	copies  int       // that are expected in the Inbox
	copy    bool      // one is expected in Sent Items
	drafted bool      // the draft may be in Drafts
	removed bool      // as far as is known
	doubt   bool      // the answer to the last send was lost
}

// subject returns the subject of a message of ours.
func (p *Probe) subject(label string) string { return "graphrelay probe " + p.marker + " " + label }

// noteDraft notes a draft, unless its create was refused. The draft may exist although no answer
// came.
func (p *Probe) noteDraft(a answer, subject, id string) {
	if a.err != nil && a.Status >= 400 && a.Status < 500 {
		return // it was refused
	}
	p.made.messages = append(p.made.messages, &message{subject: subject, id: id, at: time.Now(), drafted: true})
}

// gone notes that a draft was removed.
func (p *Probe) gone(id string) {
	for _, m := range p.made.messages {
		m.removed = m.removed || m.id == id
	}
}

// noteSend notes a send that was accepted, or may have been.
func (p *Probe) noteSend(a answer, subject string, recipients ...string) {
	if a.err != nil && a.Status >= 400 && a.Status < 500 {
		return
	}
	i := slices.IndexFunc(p.made.messages, func(m *message) bool { return m.subject == subject })
	if i < 0 {
		p.made.messages = append(p.made.messages, &message{subject: subject})
		i = len(p.made.messages) - 1
	}
	m := p.made.messages[i]
	m.at = time.Now()
	m.copy, m.drafted = true, false // also where the answer was lost: it may be on its way
	m.doubt = a.Status != http.StatusAccepted
	if slices.ContainsFunc(recipients, func(r string) bool { return mailaddr.Same(r, p.o.Mailbox) }) {
		m.copies++
	}
	if p.firstSend.IsZero() && a.Status == http.StatusAccepted {
		p.firstSend = time.Now()
	}
}

// folder is a folder that is looked into, by its well-known name.
type folder struct{ id, name string }

// The folders in which something of ours can be.
var (
	draftsFolder      = folder{"drafts", "Drafts"}
	sentFolder        = folder{"sentitems", "Sent Items"}
	inboxFolder       = folder{"inbox", "Inbox"}
	junkFolder        = folder{"junkemail", "Junk Email"}
	deletedFolder     = folder{"deleteditems", "Deleted Items"}
	recoverableFolder = folder{"recoverableitemsdeletions", "Recoverable Items"}
)

// item is what a list shows of an item.
type item struct {
	ID         string           `json:"id"`
	Subject    string           `json:"subject"`
	IsDraft    bool             `json:"isDraft"`
	MessageID  string           `json:"internetMessageId"`
	Received   time.Time        `json:"receivedDateTime"`
	Properties []graph.Property `json:"singleValueExtendedProperties"`
}

// maxPages is how many pages of 100 items are read of a folder.
const maxPages = 5

// list returns the newest items of a folder that are not much older than this run, with these
// extended properties.
func (p *Probe) list(ctx context.Context, f folder, properties ...string) (found []item, a answer) {
	query := url.Values{"$select": {"id,subject,isDraft,internetMessageId,receivedDateTime"}, "$top": {"100"}, "$orderby": {"receivedDateTime desc"}}
	if len(properties) > 0 {
		query.Set("$expand", expand(properties...))
	}
	for range maxPages {
		var page struct {
			Value []item `json:"value"`
			Next  string `json:"@odata.nextLink"`
		}
		if a = p.get(ctx, "/mailFolders/"+f.id+"/messages", query); !a.decode(&page) {
			return found, a
		}
		older := len(page.Value) > 0
		for _, i := range page.Value {
			if i.ID != "" && i.Received.After(p.started.Add(-skew)) {
				older = false
				found = append(found, i)
			}
		}
		next, err := url.Parse(page.Next)
		if page.Next == "" || older || err != nil {
			break
		}
		query = next.Query() // the host and the path stay Graph's
	}
	return found, a
}

// skew is how far the mailbox's clock may be behind this machine's.
const skew = time.Hour

// ours returns the items of a folder whose subject has the mark of this run.
func (p *Probe) ours(ctx context.Context, f folder) ([]item, answer) {
	found, a := p.list(ctx, f)
	return slices.DeleteFunc(found, func(i item) bool { return !strings.Contains(i.Subject, p.marker) }), a
}

// named returns the first item with a subject in a folder.
func (p *Probe) named(ctx context.Context, f folder, subject string, properties ...string) (item, bool) {
	found, _ := p.list(ctx, f, properties...)
	i := slices.IndexFunc(found, func(i item) bool { return i.Subject == subject })
	if i < 0 {
		return item{}, false
	}
	return found[i], true
}

// Left is an item of the probe that is still in the mailbox, or may be.
type Left struct {
	Subject string
	Folder  string
	Why     string
}

// String returns a line that names the item and says why it was not removed.
func (l Left) String() string {
	return text.Printable(fmt.Sprintf("could not remove %q from %s: %s", l.Subject, l.Folder, l.Why))
}

// removeAll removes what the probe made. It looks again until every expected item has come and
// was removed, or Waits.Remove is over.
func (p *Probe) removeAll(ctx context.Context) []Left {
	if p.key == "" || len(p.made.messages)+len(p.made.uploads) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.w.Remove)
	defer cancel()
	for _, u := range p.made.uploads {
		p.doNow(ctx, graph.RawRequest{Op: "cancel_upload", Method: http.MethodDelete, UploadURL: u})
	}
	if !p.o.Connection.MailReadWrite {
		return p.leftUnseen(nil)
	}
	p.made.settled = map[string]bool{}
	for _, m := range p.made.messages {
		if m.id != "" && m.drafted && !m.removed {
			m.removed, _ = p.remove(ctx, m.id)
		}
	}
	seen := map[string]*Left{}
	p.slowly(ctx, p.w.Remove, func() bool { return p.sweep(ctx, seen, false) })
	last, cancelLast := context.WithTimeout(context.WithoutCancel(ctx), p.w.Remove)
	defer cancelLast()
	p.sweep(last, seen, true)
	var left []Left
	for _, l := range seen {
		left = append(left, *l)
	}
	slices.SortFunc(left, func(a, b Left) int { return strings.Compare(a.Subject+a.Folder, b.Subject+b.Folder) })
	return p.leftUnseen(left)
}

// sweep removes the items with the mark from each folder, sets left to those that could not be
// removed, and reports whether nothing more is expected. Unless final is set, it does not remove
// drafts whose send was accepted.
func (p *Probe) sweep(ctx context.Context, left map[string]*Left, final bool) bool {
	clear(left)
	quiet := true
	for _, f := range []folder{draftsFolder, sentFolder, inboxFolder, junkFolder, deletedFolder, recoverableFolder} {
		found, a := p.ours(ctx, f)
		if a.err != nil && f != recoverableFolder && f != junkFolder {
			quiet = false
			left[f.id] = &Left{Subject: p.subject("..."), Folder: f.name, Why: "the folder cannot be read: " + a.String()}
			continue
		}
		for _, i := range found {
			if f == draftsFolder && p.inFlight(i.Subject) && !final {
				quiet = false
				continue
			}
			p.settle(i, f)
			if _, why := p.remove(ctx, i.ID); why != "" {
				if f == recoverableFolder {
					why = "Exchange keeps it there until its retention is over; the cloud or the tenant has no permanent deletion (" + why + ")"
				}
				left[i.ID] = &Left{Subject: i.Subject, Folder: f.name, Why: why}
				continue
			}
			quiet = false // look once more whether it is gone
		}
	}
	return quiet && !slices.ContainsFunc(p.made.messages, p.expected)
}

// inFlight reports whether a message was accepted and is not in Sent Items yet. If the answer to
// its send was lost, that is believed for Waits.Appear.
func (p *Probe) inFlight(subject string) bool {
	return slices.ContainsFunc(p.made.messages, func(m *message) bool {
		return m.subject == subject && m.copy && (!m.doubt || time.Since(m.at) < p.w.Appear)
	})
}

// settle notes that an item of a message has come to a folder.
func (p *Probe) settle(i item, f folder) {
	if p.made.settled[i.ID+f.id] {
		return
	}
	p.made.settled[i.ID+f.id] = true
	for _, m := range p.made.messages {
		if m.subject != i.Subject {
			continue
		}
		switch f {
		case sentFolder:
			m.copy = false
		case inboxFolder, junkFolder:
			m.copies--
		case draftsFolder:
			m.removed = true
			if m.doubt { // it was not sent
				m.copy, m.copies = false, 0
			}
		}
		return
	}
}

// expected reports whether an item of the message may still come.
func (p *Probe) expected(m *message) bool {
	if m.copy || m.copies > 0 {
		return true
	}
	return m.drafted && !m.removed && time.Since(m.at) < p.w.Appear
}

// leftUnseen adds the items that were expected and have not come.
func (p *Probe) leftUnseen(left []Left) []Left {
	const why = "it has not come yet; remove it if it does"
	for _, m := range p.made.messages {
		if m.copies > 0 {
			left = append(left, Left{m.subject, inboxFolder.name, why})
		}
		if m.copy && p.o.Connection.MailReadWrite {
			left = append(left, Left{m.subject, sentFolder.name, why})
		}
	}
	return left
}

// remove deletes an item for good where that is possible, otherwise as an owner does. gone
// reports that it was deleted now; why is not empty if it may still be there.
func (p *Probe) remove(ctx context.Context, id string) (gone bool, why string) {
	a := p.permanentDelete(ctx, id)
	if a.err == nil || a.code() == "ErrorItemNotFound" {
		return a.err == nil, ""
	}
	if a = p.delete(ctx, id); a.err == nil || graph.NotFound(a.err) {
		return a.err == nil, ""
	}
	return false, a.String()
}
