package probe

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"graphrelay/graph"
)

// search is what a look-up with $filter has shown.
type search struct {
	answer
	items []item
}

// search asks for items by a filter, in a folder or, with an empty one, in the whole mailbox.
func (p *Probe) search(ctx context.Context, folder, filter string, properties ...string) (s search) {
	query := url.Values{"$filter": {filter}, "$select": {"id,subject,isDraft,internetMessageId"}, "$top": {"10"}}
	if len(properties) > 0 {
		query.Set("$expand", expand(properties...))
	}
	path := "/messages"
	if folder != "" {
		path = "/mailFolders/" + folder + path
	}
	var list struct {
		Value []item `json:"value"`
	}
	s.answer = p.get(ctx, path, query)
	if s.answer.decode(&list) {
		s.items = list.Value
	}
	return s
}

func byProperty(value string) string {
	return "singleValueExtendedProperties/Any(ep: ep/id eq '" + graph.PropertyQueueID + "' and ep/value eq '" + quote(value) + "')"
}

// waitFor repeats a look-up until it shows the item with this id, is refused, or Waits.Find is
// over.
func (p *Probe) waitFor(ctx context.Context, look func() search, id string) (s search, looks int, found bool) {
	_, found = p.until(ctx, p.w.Find, func() bool {
		looks++
		s = look()
		return s.err != nil && !s.is(http.StatusTooManyRequests) || slices.ContainsFunc(s.items, func(i item) bool { return i.ID == id })
	})
	return s, looks, found && s.err == nil
}

// filterProperty is step 6.
func (p *Probe) filterProperty(ctx context.Context, r *Result) {
	if slices.Contains(p.refused, graph.PropertyQueueID) || slices.Contains(p.dropped, graph.PropertyQueueID) {
		r.skip("drafts do not keep the property")
		return
	}
	for _, where := range []struct{ folder, name, fact string }{{"", "in the whole mailbox", factWideFilterStatus}, {"drafts", "in Drafts", factFilterStatus}} {
		s, looks, found := p.waitFor(ctx, func() search { return p.search(ctx, where.folder, byProperty(p.marker), graph.PropertyQueueID) }, p.draft)
		r.by(s.answer)
		if s.err != nil {
			p.facts.set(where.fact, s.Status)
			r.saw("%s: %s", where.name, s.answer)
			p.judgeRefusal(r, where.folder, s)
			continue
		}
		p.judgeFound(r, where.name, s, looks, found)
	}
	p.judgeStrange(ctx, r)
}

// judgeRefusal adds to the result what a refused look-up means.
func (p *Probe) judgeRefusal(r *Result, folder string, s search) {
	switch {
	case graph.AccessDenied(s.err) || s.is(http.StatusUnauthorized, http.StatusTooManyRequests) || s.Status == 0:
		r.fault(p.remedy(s.err))
	case folder == "":
		r.differs("the whole mailbox cannot be searched; nothing to set, since the relay searches in folders")
	default:
		r.differs("lost answers cannot be looked up: a draft whose answer was lost is made anew, and delivery.on_unknown decides on a send; choose hold or resend")
	}
}

// judgeFound adds to the result what a look-up has shown.
func (p *Probe) judgeFound(r *Result, where string, s search, looks int, found bool) {
	after := time.Since(p.created)
	switch {
	case !found:
		r.saw("%s: not found for %d ms", where, after.Milliseconds())
		p.facts.setTime(factFilterLag, after)
		r.differs("$filter does not find what is there: look-ups of lost answers fail, see delivery.on_unknown")
	case looks > 1:
		r.saw("%s: found after %d ms", where, after.Milliseconds())
		p.facts.setTime(factFilterLag, after)
		r.differs("$filter is late: a draft whose answer was lost is made anew, and the first is removed within ten minutes; nothing to set")
	default:
		r.saw("%s: found at once", where)
		if p.facts[factFilterLag] == nil {
			p.facts.setTime(factFilterLag, 0)
		}
	}
	for _, i := range s.items {
		if i.ID != p.draft {
			p.ignored(r)
			continue
		}
		if _, shown := value(i.Properties, graph.PropertyQueueID); !shown {
			p.facts.set(factExpandIgnored, true)
			r.saw("%s: the property is not shown", where)
			r.differs("look-ups are not relied on, since a list does not show the property by which an item is known; see delivery.on_unknown")
		}
	}
}

// ignored notes that a filter has returned other items.
func (p *Probe) ignored(r *Result) {
	p.facts.set(factFilterIgnored, true)
	r.differs("$filter is ignored: look-ups are not relied on, and nothing that they return is touched; see delivery.on_unknown")
}

// judgeStrange searches for a value that no item has.
func (p *Probe) judgeStrange(ctx context.Context, r *Result) {
	s := p.search(ctx, "drafts", byProperty(p.marker+"-nobody"), graph.PropertyQueueID)
	switch {
	case s.err != nil:
		r.saw("a value that nobody has: %s", s.answer)
	case len(s.items) > 0:
		r.saw("a value that nobody has: %d items", len(s.items))
		p.ignored(r)
	default:
		r.saw("a value that nobody has: nothing")
	}
}

// filterMessageID is step 7.
func (p *Probe) filterMessageID(ctx context.Context, r *Result) {
	if slices.Contains(p.refused, "internetMessageId") {
		r.skip("the tenant refuses internetMessageId")
		return
	}
	p.lookForID(ctx, r, "40", p.draft, p.messageID)
	if r.Verdict == Fault {
		return
	}
	long := p.newMessageID(200)
	id, ok := p.ready(ctx, r, "7", func(m *graph.Message) { m.InternetMessageID = long })
	if !ok {
		return
	}
	p.lookForID(ctx, r, "200", id, long)
	p.discard(ctx, id)
}

// lookForID looks for a draft by its Message-ID.
func (p *Probe) lookForID(ctx context.Context, r *Result, length, id, messageID string) {
	if p.newID {
		r.saw("%s characters: the draft has another Message-ID", length)
		r.differs("the client's Message-ID is not kept: mail as MIME whose answer was lost cannot be looked up, and delivery.on_unknown decides on it")
		return
	}
	s, looks, found := p.waitFor(ctx, func() search { return p.search(ctx, "drafts", "internetMessageId eq '"+quote(messageID)+"'") }, id)
	r.by(s.answer)
	switch {
	case s.err != nil:
		r.saw("%s characters: %s", length, s.answer)
		p.judgeRefusal(r, "drafts", s)
	case !found:
		r.saw("%s characters: not found", length)
		p.facts.set(factMessageIDLost, length)
		r.differs("mail as MIME whose answer was lost cannot be looked up, and delivery.on_unknown decides on it")
	case looks > 1:
		r.saw("%s characters: found late", length)
		r.differs("$filter is late; nothing to set")
	default:
		r.saw("%s characters: found", length)
	}
	if slices.ContainsFunc(s.items, func(i item) bool { return i.ID != id }) {
		p.ignored(r)
	}
}
