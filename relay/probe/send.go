package probe

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"graphrelay/graph"
)

// propertyFlags is PidTagMessageFlags, and submitted the bit that the store sets when it has
// taken an item for sending (MS-OXCMSG section 2.2.1.6).
const (
	propertyFlags = "Integer 0x0E07"
	submitted     = 0x4
)

// flight is what an item shows between the 202 and Sent Items.
type flight struct {
	missing, draft bool
	readable, mark bool // PidTagMessageFlags is shown; it has shown the mark
}

// form returns how the item has looked.
func (f flight) form() string {
	switch {
	case f.missing && f.draft:
		return "both"
	case f.missing:
		return "hidden"
	case f.draft:
		return "draft"
	}
	return ""
}

// sendDraft is step 11.
func (p *Probe) sendDraft(ctx context.Context, r *Result) {
	subject := p.subject("4")
	a := p.send(ctx, p.draft, subject, p.o.To)
	start := time.Now()
	r.by(a)
	r.saw("%s", a)
	p.facts.set(factSend, a.Status)
	if !a.is(http.StatusAccepted) {
		p.sendRefused(r, a)
		return
	}
	f, moved, arrived := p.follow(ctx, subject)
	after := time.Since(start)
	if form := f.form(); form != "" {
		p.facts.set(factInFlight, form)
		r.saw("on its way it is %s", map[string]string{"both": "a draft, then missing", "hidden": "missing", "draft": "a draft"}[form])
	}
	p.facts.set(factFlags, f.readable)
	r.saw("%s", map[bool]string{true: "its flags can be read", false: "its flags cannot be read"}[f.readable])
	if f.mark {
		r.saw("with the mark of the store that it has taken it")
	}
	if !arrived {
		r.saw("not in Sent Items for %s", after.Round(time.Second))
		r.differs("set delivery.send_settle to longer than items need to leave Drafts; look whether the mailbox sends more than 30 messages a minute, or is blocked")
		return
	}
	p.facts.setTime(factSent, after)
	r.saw("in Sent Items after %d ms", after.Milliseconds())
	p.has[sent] = true
	p.judgeSent(ctx, r, moved)
}

// sendRefused judges a refusal of the first send.
func (p *Probe) sendRefused(r *Result, a answer) {
	switch {
	case graph.RecipientRefused(a.err):
		p.facts.set(factRecipients, "send")
		r.fault(p.remedy(a.err))
	case graph.SendAsDenied(a.err):
		r.fault("From is no address of the mailbox for Exchange: " + p.sendAsRemedy(p.o.Mailbox))
	case graph.AccessDenied(a.err):
		r.fault(p.accessRemedy("Mail.Send"))
	default:
		r.fault(p.remedy(a.err))
	}
}

// follow looks at the draft's ID, and for the message in Sent Items, until it is there.
func (p *Probe) follow(ctx context.Context, subject string) (f flight, moved item, arrived bool) {
	query := url.Values{"$select": {"id,isDraft"}, "$expand": {expand(propertyFlags)}}
	_, arrived = p.until(ctx, p.w.Send, func() bool {
		var i item
		a := p.get(ctx, itemPath(p.draft), query)
		switch {
		case a.is(http.StatusBadRequest):
			query.Del("$expand")
			return false
		case a.err != nil && !graph.NotFound(a.err):
			return false
		case a.err != nil:
			f.missing = true
		case a.decode(&i):
			f.draft = f.draft || i.IsDraft
			f.see(i)
		}
		if i.ID != "" && i.IsDraft {
			return false
		}
		var found bool
		moved, found = p.named(ctx, sentFolder, subject, graph.PropertyQueueID)
		return found
	})
	return f, moved, arrived
}

func (f *flight) see(i item) {
	text, shown := value(i.Properties, propertyFlags)
	flags, err := strconv.Atoi(text)
	f.readable = f.readable || shown && err == nil
	f.mark = f.mark || shown && err == nil && flags&submitted != 0
}

// judgeSent compares the item in Sent Items with the draft that was sent.
func (p *Probe) judgeSent(ctx context.Context, r *Result, moved item) {
	p.sentID = moved.ID
	p.facts.set(factNewIDOnSend, moved.ID != p.draft)
	if moved.ID != p.draft {
		r.saw("with another ID")
		r.differs("the immutable ID changes with the send; what was sent is then found by its queue ID or its Message-ID; nothing to set, but see delivery.on_unknown")
	}
	queueID, kept := value(moved.Properties, graph.PropertyQueueID)
	lost := (!kept || queueID != p.marker) && p.facts[factExpandIgnored] == nil && p.keeps(graph.PropertyQueueID)
	if kept || lost {
		p.facts.set(factSendLosesProperties, lost)
	}
	if lost {
		r.saw("without its property")
		r.differs("what was sent is not found by its queue ID; it is known by its ID or its Message-ID; nothing to set")
	}
	changed := p.messageID != "" && moved.MessageID != p.messageID
	p.facts.set(factNewMessageIDOnSend, changed)
	if changed {
		r.saw("with another Message-ID")
		r.differs("recipients see another Message-ID than the client's, and non-delivery reports are not recognized; nothing to set")
	}
	p.filterSent(ctx, r, moved)
}

// keeps reports whether drafts keep a part that they were given.
func (p *Probe) keeps(name string) bool {
	return !slices.Contains(p.refused, name) && !slices.Contains(p.dropped, name)
}

// filterSent looks for the sent item with both filters.
func (p *Probe) filterSent(ctx context.Context, r *Result, moved item) {
	if p.facts[factFilterStatus] != nil || p.facts[factFilterIgnored] != nil {
		return // as in step 6
	}
	for _, f := range []struct {
		name, filter string
		there        bool
	}{{"the queue ID", byProperty(p.marker), p.keeps(graph.PropertyQueueID) && p.facts[factSendLosesProperties] != true},
		{"the Message-ID", "internetMessageId eq '" + quote(moved.MessageID) + "'", moved.MessageID != ""}} {
		if !f.there {
			continue
		}
		s, _, found := p.waitFor(ctx, func() search { return p.search(ctx, "sentitems", f.filter) }, moved.ID)
		if !found {
			r.saw("not found by %s in Sent Items: %s", f.name, s.answer)
			r.differs("a sent item is not found by " + f.name + "; if its ID is not known either, delivery.on_unknown decides")
		}
	}
}

// sendAgain is step 12.
func (p *Probe) sendAgain(ctx context.Context, r *Result) {
	a := p.send(ctx, p.sentID, p.subject("4"), p.o.To)
	r.by(a)
	r.saw("%s", a)
	p.facts.set(factSecondSend, a.Status)
	switch {
	case a.is(http.StatusAccepted):
		p.facts.set(factSendsAgain, true)
		r.differs("the message may be sent twice if a send is requested again: set delivery.send_settle long enough, and report this to the project")
	case a.Status == 0 || a.Status >= 500 || a.is(http.StatusTooManyRequests, http.StatusUnauthorized):
		r.fault(p.remedy(a.err))
	case a.code() != "ErrorItemNotFound" && a.code() != "ErrorInvalidRequest":
		r.differs("the refusal has another code, which the relay takes as one all the same; send the output of --json to the project")
	}
}

// sendAs is step 15.
func (p *Probe) sendAs(ctx context.Context, r *Result) {
	if p.o.From == "" {
		r.skip("no other address was given with --from")
		return
	}
	results := []string{}
	for _, sender := range []string{"", p.o.Mailbox} {
		name := map[bool]string{true: "without sender", false: "with sender"}[sender == ""]
		a := p.sendFrom(ctx, p.o.From, sender, "15-"+name[:strings.IndexByte(name, ' ')])
		r.by(a)
		r.saw("%s: %s", name, a)
		switch {
		case a.is(http.StatusAccepted):
			results = append(results, "allowed")
		case graph.SendAsDenied(a.err):
			results = append(results, "denied")
			r.differs(p.sendAsRemedy(p.o.From))
		default:
			r.fault(p.remedy(a.err))
		}
	}
	if len(results) > 0 {
		p.facts.set(factSendAs, results[0])
	}
}

// sendFrom makes a draft with this From and, unless it is empty, this Sender, and sends it. It
// returns the answer to the send, or to the create if that is refused.
func (p *Probe) sendFrom(ctx context.Context, from, sender, label string) answer {
	m := p.marked(p.subject(label))
	m.From = recipient("", from)
	if sender != "" {
		m.Sender = recipient("", sender)
	}
	id, a := p.create(ctx, m, m.Subject)
	if id == "" {
		return a
	}
	p.appears(ctx, id)
	a = p.send(ctx, id, m.Subject, p.o.To)
	if !a.is(http.StatusAccepted) {
		p.discard(ctx, id)
	}
	return a
}

// sendMail is step 16.
func (p *Probe) sendMail(ctx context.Context, r *Result) {
	withoutCopy := p.marked(p.subject("16-json"))
	if !p.keeps(graph.PropertyQueueID) {
		withoutCopy.Properties = nil
	}
	a := p.post(ctx, "sendmail", "/sendMail", map[string]any{"message": withoutCopy, "saveToSentItems": false})
	p.noteSend(a, withoutCopy.Subject, p.o.To)
	p.noCopy(withoutCopy.Subject)
	r.by(a)
	r.saw("JSON: %s", a)
	p.facts.set(factSendMail, a.Status)
	p.judgeSendMail(r, a)
	if r.Verdict == Fault {
		return
	}
	subject := p.subject("16-mime")
	mime := p.postMIME(ctx, "sendmail", "/sendMail", []byte(p.header(subject, "To: "+p.o.To)+"Content-Type: text/plain; charset=us-ascii\r\n\r\n"+bodyText+"\r\n"))
	p.noteSend(mime, subject, p.o.To)
	r.saw("MIME: %s", mime)
	p.judgeSendMail(r, mime)
	if p.has[writes] && p.toMailbox() {
		p.judgeCopy(ctx, r, withoutCopy.Subject)
	}
}

func (p *Probe) judgeSendMail(r *Result, a answer) {
	switch {
	case a.is(http.StatusAccepted):
	case graph.AccessDenied(a.err):
		r.by(a)
		r.fault(p.accessRemedy("Mail.Send"))
	default:
		r.by(a)
		r.fault(p.remedy(a.err))
	}
}

// noCopy notes that no copy of a message is expected in Sent Items.
func (p *Probe) noCopy(subject string) {
	for _, m := range p.made.messages {
		if m.subject == subject {
			m.copy = false
		}
	}
}

// judgeCopy looks for a copy in Sent Items of a message that was to have none.
func (p *Probe) judgeCopy(ctx context.Context, r *Result, subject string) {
	if _, ok := p.arrival(ctx, r, subject); !ok {
		r.saw("the message has not come to the Inbox")
		r.differs(notArrived)
		return
	}
	_, kept := p.named(ctx, sentFolder, subject)
	p.facts.set(factSavesAlways, kept)
	if kept {
		r.saw("saveToSentItems: false is ignored")
		r.differs("copies of mail by sendMail are in Sent Items whatever sent_items says; nothing to set")
	}
}

// notArrived is the advice about a message that has not come to the Inbox.
const notArrived = "see whether a rule of the mailbox moves it, whether it is in Junk Email or in quarantine, and what the message trace of Exchange says"

// arrival waits for a message in the Inbox. It may come to Junk Email, which the result then says.
func (p *Probe) arrival(ctx context.Context, r *Result, subject string) (i item, ok bool) {
	in := inboxFolder
	_, ok = p.slowly(ctx, p.w.Send, func() bool {
		for _, in = range []folder{inboxFolder, junkFolder} {
			if i, ok = p.named(ctx, in, subject); ok {
				return true
			}
		}
		return false
	})
	if ok && in == junkFolder {
		p.facts.set(factJunk, true)
		r.saw("it came to Junk Email")
		r.differs("mail of the mailbox counts as junk: see why in the header of the message (X-Forefront-Antispam-Report), and look at SPF, DKIM and the policies of the tenant")
	}
	return i, ok
}

// header returns the beginning of a message in MIME, with one more field.
func (p *Probe) header(subject, field string) string {
	return fmt.Sprintf("From: %s\r\n%s\r\nSubject: %s\r\nMessage-ID: %s\r\nDate: %s\r\nX-Auto-Response-Suppress: OOF, AutoReply\r\nMIME-Version: 1.0\r\n",
		p.o.Mailbox, field, subject, p.newMessageID(60), time.Now().UTC().Format(time.RFC1123Z))
}
