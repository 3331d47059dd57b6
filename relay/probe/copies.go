package probe

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strings"

	"graphrelay/graph"
	"graphrelay/internal/mailaddr"
	"graphrelay/mime"
)

// copyLimits bounds what is read of a message in the Inbox.
func copyLimits() mime.Limits {
	return mime.Limits{Depth: 10, Parts: 50, HeaderBytes: 128 << 10, HeaderFields: 500, ValueBytes: 8 << 10, BodyBytes: 256 << 10}
}

// content returns the MIME content of an item. ok is false, and the result says why, if it
// cannot be had.
func (p *Probe) content(ctx context.Context, r *Result, id string) (raw []byte, m *mime.Message, ok bool) {
	a := p.get(ctx, itemPath(id)+"/$value", nil)
	r.by(a)
	if a.err == nil {
		var err error
		if m, err = mime.Parse(bytes.NewReader(a.Body), int64(len(a.Body)), copyLimits()); err == nil {
			return a.Body, m, true
		}
		a.err = err
	}
	r.saw("its content: %s", a)
	r.differs(p.remedy(a.err), "the content of received mail cannot be read; watch_reports then does not recognize reports")
	return nil, nil, false
}

// readCopy is step 13.
func (p *Probe) readCopy(ctx context.Context, r *Result) {
	if !p.toMailbox() {
		r.skip("the mail goes to the address of --to; look at it there")
		return
	}
	i, ok := p.arrival(ctx, r, p.subject("4"))
	if !ok {
		r.saw("not in the Inbox for %s", p.w.Send)
		r.differs(notArrived)
		return
	}
	if raw, m, ok := p.content(ctx, r, i.ID); ok {
		p.compare(r, raw, m)
	}
	if p.o.Alias != "" {
		p.fromAlias(ctx, r)
	}
}

// field is a field that the copy should have.
type field struct {
	part string // that sets it, see parts
	name string
	want string
	what string // what the loss means
}

// compare compares the copy with what was sent.
func (p *Probe) compare(r *Result, raw []byte, m *mime.Message) {
	head := mime.ReadHeader(raw, copyLimits())
	fields := []field{
		{"internetMessageId", "Message-ID", p.messageID, "recipients see another Message-ID, and non-delivery reports are not recognized"},
		{graph.PropertyInReplyTo, "In-Reply-To", parentID, "conversations are shown apart"},
		{graph.PropertyReferences, "References", parentID, "conversations are shown apart"},
		{graph.PropertyUnsubscribe, "List-Unsubscribe", "<mailto:probe@graphrelay.invalid>", "recipients get no button to unsubscribe"},
	}
	for _, name := range headerNames {
		fields = append(fields, field{"internetMessageHeaders", name, p.marker, "X- fields do not reach recipients; set delivery.x_headers: []"})
	}
	var lost []string
	for _, f := range fields {
		known := p.facts[factNewMessageIDOnSend] == true && f.name == "Message-ID"
		if !p.keeps(f.part) || known || strings.Contains(head.Value(f.name), f.want) {
			continue
		}
		lost = append(lost, f.name)
		r.saw("lost: %s", f.name)
		r.differs("recipients do not get " + f.name + ": " + f.what)
	}
	p.facts.set(factCopyLoses, lost)
	p.compareFrom(r, head)
	p.compareBody(r, m)
	if r.Verdict == "" {
		r.saw("all as it was sent")
	}
}

// compareFrom compares the author.
func (p *Probe) compareFrom(r *Result, head *mime.Header) {
	from := head.From()
	if len(from) != 1 || !mailaddr.Same(from[0].Address, p.o.Mailbox) {
		r.saw("From is not the mailbox's address")
		r.differs("recipients see another address than the mailbox's; look for a transport rule or an address rewrite")
		return
	}
	if !p.keeps("from") {
		return
	}
	replaced := from[0].Name != authorName
	p.facts.set(factReplacesName, replaced)
	if replaced {
		r.saw("the name in From is another")
		r.differs("Exchange replaces the name in From by the mailbox's own: use a mailbox for each name, or set the mailbox's display name")
	}
}

// compareBody compares the text, its forms and the file.
func (p *Probe) compareBody(r *Result, m *mime.Message) {
	isTNEF := func(a *mime.Attachment) bool {
		return strings.EqualFold(a.Name, "winmail.dat") || a.ContentType == "application/ms-tnef"
	}
	tnef := slices.ContainsFunc(m.Attachments, isTNEF)
	p.facts.set(factTNEF, tnef)
	if tnef {
		r.saw("it has a winmail.dat")
		r.differs("recipients get a winmail.dat instead of the text and the files: Set-RemoteDomain -Identity Default -TNEFEnabled $false in Exchange")
		return
	}
	lost := []string{}
	if !strings.Contains(m.HTML, bodyText) {
		lost = append(lost, "html")
	}
	if !strings.Contains(m.Text, bodyText) {
		lost = append(lost, "text")
	}
	if p.posted && !slices.ContainsFunc(m.Attachments, func(a *mime.Attachment) bool { return a.Name == fileName && a.Size == 1024 }) {
		lost = append(lost, "file")
	}
	p.facts.set(factCopyParts, lost)
	if len(lost) > 0 {
		r.saw("parts that are missing or changed: %s", strings.Join(lost, ", "))
		r.differs("recipients do not get all parts of a message; look for transport rules, and send the output of --json to the project")
	}
}

// fromAlias sends a message from the alias, and looks at what arrives.
func (p *Probe) fromAlias(ctx context.Context, r *Result) {
	a := p.sendFrom(ctx, p.o.Alias, "", "13-alias")
	r.saw("from the alias: %s", a)
	if !a.is(http.StatusAccepted) {
		r.by(a)
		if graph.SendAsDenied(a.err) {
			r.differs(p.sendAsRemedy(p.o.Alias))
			return
		}
		r.fault(p.remedy(a.err))
		return
	}
	i, ok := p.arrival(ctx, r, p.subject("13-alias"))
	if !ok {
		r.saw("it has not come to the Inbox")
		r.differs(notArrived)
		return
	}
	raw, _, ok := p.content(ctx, r, i.ID)
	if !ok {
		return
	}
	from := mime.ReadHeader(raw, copyLimits()).From()
	rewritten := len(from) != 1 || !mailaddr.Same(from[0].Address, p.o.Alias)
	p.facts.set(factRewritesAlias, rewritten)
	if rewritten {
		r.saw("recipients see another address than the alias")
		r.differs("to keep an alias in From: Set-OrganizationConfig -SendFromAliasEnabled $true in Exchange, which takes up to an hour")
	}
}
