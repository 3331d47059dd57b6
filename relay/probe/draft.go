package probe

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"graphrelay/graph"
	"graphrelay/internal/mailaddr"
)

// createDraft is step 4. If the draft is refused as a bad request, it finds out what in it is
// the culprit.
func (p *Probe) createDraft(ctx context.Context, r *Result) {
	all := p.parts()
	a := p.createWith(ctx, all)
	r.by(a)
	r.saw("%s", a)
	if a.is(http.StatusCreated) && a.err == nil {
		p.has[drafts] = true
		return
	}
	p.facts.set(factCreate, a.Status)
	if !a.is(http.StatusBadRequest) && !graph.NamesExhausted(a.err) {
		advice := p.remedy(a.err)
		if graph.AccessDenied(a.err) {
			advice = p.accessRemedy("Mail.ReadWrite")
		}
		r.fault(advice)
		return
	}
	p.noteRefusal(a)
	if graph.NamesExhausted(a.err) && p.withoutHeaders(ctx, r, all) {
		return
	}
	p.findCulprits(ctx, r, all, a)
}

// withoutHeaders makes the draft without X- fields, of which each new name takes a named
// property.
func (p *Probe) withoutHeaders(ctx context.Context, r *Result, all []part) bool {
	i := slices.IndexFunc(all, func(one part) bool { return one.name == "internetMessageHeaders" })
	a := p.createWith(ctx, slices.Delete(slices.Clone(all), i, i+1))
	if !a.is(http.StatusCreated) {
		return false
	}
	p.refused = []string{all[i].name}
	p.facts.set(factRefused, p.refused)
	p.has[drafts] = true
	r.saw("without X- fields: %s", a)
	r.differs("the mailbox has no named properties left; " + all[i].key)
	return true
}

func (p *Probe) noteRefusal(a answer) {
	if graph.RecipientRefused(a.err) {
		p.facts.set(factRecipients, "create")
	}
}

// createWith creates the draft with these parts, and keeps it as the one of the later steps.
func (p *Probe) createWith(ctx context.Context, parts []part) answer {
	m := p.newMessage(p.subject("4"))
	for _, part := range parts {
		part.set(m)
	}
	start := time.Now()
	id, a := p.create(ctx, m, m.Subject)
	if id != "" {
		p.draft, p.created, p.messageID = id, start, m.InternetMessageID
	}
	return a
}

// findCulprits tries each part alone, and then makes the draft without those that are refused.
func (p *Probe) findCulprits(ctx context.Context, r *Result, all []part, first answer) {
	if a := p.tryParts(ctx, nil); !a.is(http.StatusCreated) {
		r.saw("without all that is special: %s", a)
		p.noteRefusal(a)
		r.fault(p.remedy(a.err))
		return
	}
	var good []part
	named := true
	for _, one := range all {
		a := p.tryParts(ctx, []part{one})
		if a.is(http.StatusCreated) {
			good = append(good, one)
			continue
		}
		p.refused = append(p.refused, one.name)
		named = named && strings.Contains(tag(asError(a.err).Message), tag(one.name))
		r.saw("refused for %s: %s", one.what, a)
		r.differs("this tenant refuses " + one.what + ": the relay leaves it out; " + one.key)
	}
	p.facts.set(factRefused, p.refused)
	p.facts.set(factRefusedUnnamed, !named)
	if len(p.refused) == 0 {
		r.saw("each part alone is accepted")
		r.fault(p.remedy(first.err))
	}
	if a := p.createWith(ctx, good); !a.is(http.StatusCreated) {
		r.saw("with the rest: %s", a)
		r.fault(p.remedy(a.err))
		return
	}
	p.has[drafts] = true
}

// tryParts creates a draft with some parts, and deletes it again.
func (p *Probe) tryParts(ctx context.Context, parts []part) answer {
	m := p.newMessage(p.subject("4-try"))
	for _, part := range parts {
		part.set(m)
	}
	id, a := p.create(ctx, m, m.Subject)
	if id != "" {
		_, _, _ = p.appears(ctx, id)
		p.discard(ctx, id)
	}
	return a
}

// discard removes a draft that is not needed any more.
func (p *Probe) discard(ctx context.Context, id string) {
	if gone, _ := p.remove(ctx, id); gone {
		p.gone(id)
	}
}

// stored is what a draft shows.
type stored struct {
	item
	From    *graph.Recipient  `json:"from"`
	To      []graph.Recipient `json:"toRecipients"`
	Bcc     []graph.Recipient `json:"bccRecipients"`
	Headers []graph.Header    `json:"internetMessageHeaders"`
}

// readDraft is step 5.
func (p *Probe) readDraft(ctx context.Context, r *Result) {
	var a answer
	start, looks := time.Now(), 0
	p.until(ctx, p.w.Appear, func() bool {
		looks++
		a = p.get(ctx, itemPath(p.draft), url.Values{"$select": {"id,isDraft,internetMessageId,subject"}})
		return a.err == nil || !graph.NotFound(a.err)
	})
	r.by(a)
	var shown stored
	switch {
	case a.err != nil && graph.NotFound(a.err):
		r.saw("%s, for %s", a, time.Since(start).Round(time.Millisecond))
		r.differs("a new draft cannot be found for longer than the relay waits; mail is then sent with a second draft, and the first is removed when it is found")
		p.facts.setTime(factAppear, time.Since(p.created))
		return
	case !a.decode(&shown):
		r.saw("%s", a)
		r.fault(p.remedy(a.err))
		return
	}
	p.noteAppearance(r, a, looks > 1)
	if !shown.IsDraft {
		r.saw("it is no draft")
		r.differs("send the output of --json to the project")
	}
	if p.messageID != "" && shown.MessageID != p.messageID {
		p.newID, p.messageID = true, shown.MessageID
		p.facts.set(factNewMessageIDOnCreate, true)
		r.saw("it has another Message-ID")
		r.differs("no setting keeps the client's Message-ID; mail as MIME whose answer was lost cannot be looked up, see delivery.on_unknown")
	}
	p.readParts(ctx, r)
}

// noteAppearance notes how long the draft could not be found.
func (p *Probe) noteAppearance(r *Result, a answer, late bool) {
	after := time.Since(p.created)
	r.saw("%s after %d ms", a, after.Milliseconds())
	if !late {
		p.facts.setTime(factAppear, 0)
		return
	}
	p.facts.setTime(factAppear, after)
	r.differs("a new draft is missing for a while; " + relayCopes)
}

// readParts compares the draft with what it was given.
func (p *Probe) readParts(ctx context.Context, r *Result) {
	var shown stored
	all := p.parts()
	var ids []string
	for _, part := range all {
		if strings.Contains(part.name, " ") {
			ids = append(ids, part.name)
		}
	}
	a := p.get(ctx, itemPath(p.draft), url.Values{"$select": {"id,from,toRecipients,internetMessageHeaders"}, "$expand": {expand(ids...)}})
	if !a.decode(&shown) {
		r.saw("with its fields and properties: %s", a)
		r.differs("the draft's properties cannot be read in one request; " + relayCopes)
		return
	}
	for _, part := range all {
		_, has := value(shown.Properties, part.name)
		switch {
		case slices.Contains(p.refused, part.name):
			continue
		case part.name == "internetMessageHeaders":
			has = len(shown.Headers) >= len(headerNames)
		case part.name == "from":
			has = shown.From != nil && shown.From.EmailAddress.Address != ""
		case part.name == "internetMessageId":
			has = true // judged by readDraft
		}
		if !has {
			p.dropped = append(p.dropped, part.name)
			r.saw("it has lost %s", part.what)
			r.differs("this tenant loses " + part.what + " without a word: " + part.key)
		}
	}
	p.facts.set(factDropped, p.dropped)
	p.readRecipients(r, shown)
}

// readRecipients compares the recipient.
func (p *Probe) readRecipients(r *Result, shown stored) {
	if len(shown.To) != 1 {
		r.saw("it has %d recipients instead of 1", len(shown.To))
		r.fault("send the output of --json to the project")
		return
	}
	to := shown.To[0].EmailAddress
	if to.Name != recipientName || !mailaddr.Same(to.Address, p.o.To) {
		p.facts.set(factResolves, true)
		r.saw("its recipient is shown as the directory has it")
		r.differs("mail whose ID and queue ID are lost may not be recognized by its recipients; see delivery.on_unknown")
	}
}
