package probe

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"graphrelay/graph"
	"graphrelay/mime"
)

// invitation returns a message to nobody but a Bcc, with a text, an invitation and a file. The
// event is long past.
func (p *Probe) invitation(subject string, calendar bool) []byte {
	const between = "\r\n--graphrelay-probe\r\n"
	var b strings.Builder
	b.WriteString(p.header(subject, "Bcc: "+p.o.To) + "Content-Type: multipart/mixed; boundary=graphrelay-probe\r\n" + between)
	b.WriteString("Content-Type: text/plain; charset=us-ascii\r\n\r\n" + bodyText + "\r\n")
	if calendar {
		b.WriteString(between + "Content-Type: text/calendar; method=REQUEST; charset=us-ascii\r\n\r\n" + strings.Join([]string{
			"BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//graphrelay//probe//EN", "METHOD:REQUEST", "BEGIN:VEVENT", "UID:" + p.marker + "@graphrelay.invalid",
			"DTSTAMP:20010101T000000Z", "DTSTART:20010101T000000Z", "DTEND:20010101T001500Z", "SUMMARY:" + subject,
			"ORGANIZER:mailto:" + p.o.Mailbox, "ATTENDEE;RSVP=FALSE:mailto:" + p.o.To, "END:VEVENT", "END:VCALENDAR", ""}, "\r\n"))
	}
	b.WriteString(between + "Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=" + fileName +
		"\r\nContent-Transfer-Encoding: base64\r\n\r\nZ3JhcGhyZWxheQ==\r\n\r\n--graphrelay-probe--\r\n")
	return []byte(b.String())
}

// sendMIME is step 14.
func (p *Probe) sendMIME(ctx context.Context, r *Result) {
	subject := p.subject("14")
	id, a := p.createdID(p.postMIME(ctx, "create_mime", "/messages", p.invitation(subject, true)), subject)
	r.by(a)
	r.saw("create: %s", a)
	if id == "" {
		p.mimeRefused(ctx, r, a)
		return
	}
	_, _, _ = p.appears(ctx, id)
	if !p.showsBcc(ctx, r, id) {
		p.discard(ctx, id)
		return
	}
	sent := p.send(ctx, id, subject, p.o.To)
	r.saw("send: %s", sent)
	if !sent.is(http.StatusAccepted) {
		r.by(sent)
		r.fault(p.remedy(sent.err))
		p.discard(ctx, id)
		return
	}
	p.readInvitation(ctx, r, subject)
}

// mimeRefused finds out whether the invitation is the culprit.
func (p *Probe) mimeRefused(ctx context.Context, r *Result, refused answer) {
	if !graph.MIMERefused(refused.err) {
		r.fault(p.remedy(refused.err))
		return
	}
	subject := p.subject("14-try")
	id, a := p.createdID(p.postMIME(ctx, "create_mime", "/messages", p.invitation(subject, false)), subject)
	r.saw("without the invitation: %s", a)
	if id == "" {
		p.facts.set(factMIMERefused, "all")
		r.fault("no message as MIME is accepted: signed and encrypted mail fails; send the output of --json to the project")
		return
	}
	_, _, _ = p.appears(ctx, id)
	p.discard(ctx, id)
	p.facts.set(factMIMERefused, "text/calendar")
	r.differs("invitations as MIME are refused: the relay sends them as ordinary drafts, as files; nothing to set")
}

// showsBcc looks whether a draft from MIME has its Bcc recipient.
func (p *Probe) showsBcc(ctx context.Context, r *Result, id string) bool {
	var shown stored
	a := p.get(ctx, itemPath(id), url.Values{"$select": {"id,isDraft,bccRecipients"}})
	if !a.decode(&shown) {
		r.by(a)
		r.saw("read back: %s", a)
		r.fault(p.remedy(a.err))
		return false
	}
	lost := len(shown.Bcc) == 0
	p.facts.set(factMIMELosesBcc, lost)
	if lost {
		r.saw("the draft has no Bcc recipient")
		r.differs("the Bcc field of MIME is lost: invitations and reports go as ordinary drafts, and Bcc recipients of signed and encrypted mail bounce; nothing to set")
	}
	return !lost
}

// method matches the parameter of a text/calendar part.
var method = regexp.MustCompile(`(?is)\ncontent-type:\s*text/calendar[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*?method="?request`)

// readInvitation reads what has come to the Inbox.
func (p *Probe) readInvitation(ctx context.Context, r *Result, subject string) {
	if !p.toMailbox() {
		r.saw("the mail goes to the address of --to; look there whether it shows a Bcc field, and an invitation")
		return
	}
	i, ok := p.arrival(ctx, r, subject)
	if !ok {
		r.saw("not in the Inbox for %s", p.w.Send)
		r.differs(notArrived)
		return
	}
	raw, _, ok := p.content(ctx, r, i.ID)
	if !ok {
		return
	}
	seen := mime.ReadHeader(raw, copyLimits()).Count("Bcc") > 0
	p.facts.set(factMIMEKeepsBcc, seen)
	if seen {
		r.saw("the copy has a Bcc field")
		r.differs("recipients may see who else got a signed message or an invitation; keep such mail with Bcc recipients away from this tenant, and report this to the project")
	}
	kept := method.Match(raw)
	p.facts.set(factMIMEMethod, kept)
	if !kept {
		r.saw("the invitation has lost its method")
		r.differs("invitations arrive as files or texts, not as invitations; nothing to set")
	}
	if r.Verdict == "" {
		r.saw("delivered, without a Bcc field, as an invitation")
	}
}
