package probe

import (
	"context"
	"net/http"
	"net/url"

	"graphrelay/graph"
)

// deleteDrafts is step 17.
func (p *Probe) deleteDrafts(ctx context.Context, r *Result) {
	id, ok := p.ready(ctx, r, "17", nil)
	if !ok {
		return
	}
	a := p.delete(ctx, id)
	r.by(a)
	r.saw("DELETE: %s", a)
	if !a.is(http.StatusNoContent) {
		r.fault(p.remedy(a.err))
		return
	}
	p.gone(id)
	get := p.get(ctx, itemPath(id), url.Values{"$select": {"id,isDraft"}})
	r.saw("GET: %s", get)
	p.facts.set(factReadableDeleted, get.err == nil)
	where := p.whereDeleted(ctx, r)
	p.facts.set(factDeleteTo, where)
	again := p.delete(ctx, id)
	r.saw("DELETE again: %s", again)
	p.facts.set(factSecondDelete, again.Status)
	p.tryPermanentDelete(ctx, r, where)
}

// whereDeleted returns where a deleted draft is: "", "deleted" or "recoverable".
func (p *Probe) whereDeleted(ctx context.Context, r *Result) string {
	for _, f := range []struct {
		folder
		fact string
	}{{deletedFolder, "deleted"}, {recoverableFolder, "recoverable"}} {
		found, a := p.list(ctx, f.folder)
		if a.err != nil {
			r.saw("%s: %s", f.name, a)
		}
		for _, i := range found {
			if i.Subject == p.subject("17") {
				r.saw("it is in %s", f.name)
				return f.fact
			}
		}
	}
	return ""
}

// tryPermanentDelete makes another draft and deletes it for good. where is where DELETE has
// moved the first.
func (p *Probe) tryPermanentDelete(ctx context.Context, r *Result, where string) {
	id, ok := p.ready(ctx, r, "17-permanent", nil)
	if !ok {
		return
	}
	a := p.permanentDelete(ctx, id)
	r.saw("permanentDelete: %s", a)
	p.facts.set(factPermanentDelete, a.Status)
	switch {
	case a.is(http.StatusNoContent):
		p.gone(id)
	case graph.ActionRefused(a.err) && p.o.Connection.Missing().PermanentDelete:
	case graph.ActionRefused(a.err):
		r.differs("there is no permanent deletion here: with sent_items: false, copies stay in Recoverable Items for a time; set sent_items: true if the mailbox sends much")
	default:
		r.by(a)
		r.fault(p.remedy(a.err))
	}
	if where != "" && a.is(http.StatusNoContent) {
		r.differs("DELETE keeps the item; with sent_items: false, and for its drafts, the relay uses permanentDelete; nothing to set")
	} else if where != "" {
		r.differs("DELETE keeps the item, which takes up space until Exchange removes it")
	}
}
