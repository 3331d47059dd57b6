package queuetest

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"graphrelay/relay/queue"
)

// orphans reads all of them, one after another.
func (b *bench) orphans() (list []queue.Cleanup) {
	b.Helper()
	after := ""
	for {
		o, err := b.store.NextCleanup(b.Context(), after)
		if err != nil {
			b.want(err, queue.ErrNotFound)
			return list
		}
		list, after = append(list, o), o.ID
	}
}

// orphan wants this one alone.
func (b *bench) orphan(id string, p queue.Progress) {
	b.Helper()
	list := b.orphans()
	if len(list) != 1 || list[0].ID != id || list[0].Lane != laneA || !reflect.DeepEqual(list[0].Progress, p) || time.Since(list[0].Since) > time.Minute {
		b.Errorf("the orphans are %+v", list)
	}
}

func (b *bench) noOrphan(why string) {
	b.Helper()
	if list := b.orphans(); len(list) != 0 {
		b.Errorf("%s: the orphans are %+v", why, list)
	}
}

// orphansOfDeleted: what may have a draft is looked after once it is deleted.
func orphansOfDeleted(t *testing.T, b *bench) {
	del := func(id string) {
		t.Helper()
		b.ok(b.store.Apply(t.Context(), id, queue.Delete, "anna"))
	}
	del(b.put(laneA, "x"))
	b.noOrphan("nothing was ever asked for")
	for _, p := range []queue.Progress{{Document: json.RawMessage(`{"draft_id":"AAk="}`), Leftover: true}, {Leftover: true}} {
		id := b.put(laneA, "x")
		b.finish(b.claimOne().Ref, queue.Outcome{State: queue.Held, Progress: p})
		b.noOrphan("it is held")
		del(id)
		b.reopen()
		b.orphan(id, p)
		b.ok(b.store.EndCleanup(t.Context(), id))
		b.noOrphan("it was forgotten")
	}
	id := b.put(laneA, "x")
	b.finish(b.claimOne().Ref, queue.Outcome{State: queue.Sent, Progress: queue.Progress{Leftover: true}})
	del(id)
	b.noOrphan("it was sent: what is there is no draft")
}

// orphansOfEnded: the end of a message and what it leaves behind are one commit; so are
// a retry, and that the message is an orphan no more.
func orphansOfEnded(t *testing.T, b *bench) {
	p := queue.Progress{Document: json.RawMessage(`{"draft_id":"AAk="}`), Leftover: true, InDoubt: true}
	sent := b.put(laneA, "x")
	b.finish(b.claimOne().Ref, queue.Outcome{State: queue.Sent, Progress: p, Cleanup: true})
	b.reopen()
	b.orphan(sent, p)
	b.ok(b.store.Apply(t.Context(), sent, queue.Delete, "anna"))
	b.orphan(sent, p)
	b.ok(b.store.EndCleanup(t.Context(), sent))

	failed := b.put(laneA, "x")
	b.finish(b.claimOne().Ref, queue.Outcome{State: queue.Failed, Progress: p})
	b.noOrphan("it left nothing")
	b.ok(b.store.Apply(t.Context(), failed, queue.Retry, "anna"))
	task := b.claimOne()
	b.finish(task.Ref, queue.Outcome{State: queue.Failed, Progress: p, Cleanup: true})
	b.want(b.store.Finish(t.Context(), task.Ref, queue.Outcome{State: queue.Failed}), queue.ErrFenced)
	b.orphan(failed, p)
	b.ok(b.store.Apply(t.Context(), failed, queue.Retry, "anna"))
	b.noOrphan("it is retried")
	for _, a := range []queue.Action{"", queue.Retry, queue.Hold, queue.Release} { // which do not shorten it
		if a != "" {
			b.ok(b.store.Apply(t.Context(), failed, a, "anna"))
		}
		if r, _ := b.get(failed); !reflect.DeepEqual(r.Progress, p) || time.Until(r.Due) < queue.CleanupTime || len(b.claim(1, 1)) != 0 {
			t.Errorf("after %q, whoever looks after its draft has no time to stop: %+v", a, r)
		}
	}
	b.ok(b.store.Apply(t.Context(), failed, queue.Delete, "anna"))
	b.orphan(failed, p)
}
