package queuetest

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"graphrelay/relay/queue"
)

// cleanups reads all of them, one after another.
func (b *bench) cleanups() (list []queue.Cleanup) {
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

// wantCleanup wants a cleanup of this message, and no other.
func (b *bench) wantCleanup(id string, p queue.Progress) {
	b.Helper()
	list := b.cleanups()
	if len(list) != 1 || list[0].ID != id || list[0].Lane != laneA || !reflect.DeepEqual(list[0].Progress, p) || time.Since(list[0].Since) > time.Minute {
		b.Errorf("the cleanups are %+v", list)
	}
}

func (b *bench) noCleanup(why string) {
	b.Helper()
	if list := b.cleanups(); len(list) != 0 {
		b.Errorf("%s: the cleanups are %+v", why, list)
	}
}

// cleanupOfDeleted deletes messages, which leaves a cleanup of those that may have left
// something behind.
func cleanupOfDeleted(t *testing.T, b *bench) {
	del := func(id string) {
		t.Helper()
		b.ok(b.store.Apply(t.Context(), id, queue.Delete, "anna"))
	}
	del(b.put(laneA, "x"))
	b.noCleanup("it was never claimed")
	for _, p := range []queue.Progress{{Document: json.RawMessage(`{"draft_id":"AAk="}`), Leftover: true}, {Leftover: true}} {
		id := b.put(laneA, "x")
		b.finish(b.claimOne().Ref, queue.Outcome{State: queue.Held, Progress: p})
		b.noCleanup("it is held")
		del(id)
		b.reopen()
		b.wantCleanup(id, p)
		b.ok(b.store.EndCleanup(t.Context(), b.cleanups()[0]))
		b.noCleanup("it was ended")
	}
	id := b.put(laneA, "x")
	b.finish(b.claimOne().Ref, queue.Outcome{State: queue.Sent, Progress: queue.Progress{Leftover: true}})
	del(id)
	b.noCleanup("it was sent")
}

// lateCleanup has a worker that stood still end a cleanup whose message was retried meanwhile, and
// has left something behind once more.
func lateCleanup(t *testing.T, b *bench) {
	p := queue.Progress{Leftover: true}
	id := b.put(laneA, "x")
	b.finish(b.claimOne().Ref, queue.Outcome{State: queue.Failed, Progress: p, Cleanup: true})
	first := b.cleanups()[0]
	b.ok(b.store.Apply(t.Context(), id, queue.Retry, "anna"))
	b.ok(b.store.Apply(t.Context(), id, queue.Delete, "anna"))
	b.ok(b.store.EndCleanup(t.Context(), first))
	b.wantCleanup(id, p)
}

// cleanupOfEnded ends messages with a cleanup, in one commit, and retries one, which ends
// its cleanup in one commit too.
func cleanupOfEnded(t *testing.T, b *bench) {
	p := queue.Progress{Document: json.RawMessage(`{"draft_id":"AAk="}`), Leftover: true, InDoubt: true}
	sent := b.put(laneA, "x")
	b.finish(b.claimOne().Ref, queue.Outcome{State: queue.Sent, Progress: p, Cleanup: true})
	b.reopen()
	b.wantCleanup(sent, p)
	b.ok(b.store.Apply(t.Context(), sent, queue.Delete, "anna"))
	b.wantCleanup(sent, p)
	b.ok(b.store.EndCleanup(t.Context(), b.cleanups()[0]))

	failed := b.put(laneA, "x")
	b.finish(b.claimOne().Ref, queue.Outcome{State: queue.Failed, Progress: p})
	b.noCleanup("it left nothing")
	b.ok(b.store.Apply(t.Context(), failed, queue.Retry, "anna"))
	task := b.claimOne()
	b.finish(task.Ref, queue.Outcome{State: queue.Failed, Progress: p, Cleanup: true})
	b.want(b.store.Finish(t.Context(), task.Ref, queue.Outcome{State: queue.Failed}), queue.ErrFenced)
	b.wantCleanup(failed, p)
	b.ok(b.store.Apply(t.Context(), failed, queue.Retry, "anna"))
	b.noCleanup("it is retried")
	for _, a := range []queue.Action{"", queue.Retry, queue.Hold, queue.Release} { // which do not shorten it
		if a != "" {
			b.ok(b.store.Apply(t.Context(), failed, a, "anna"))
		}
		if r, _ := b.get(failed); !reflect.DeepEqual(r.Progress, p) || time.Until(r.Due) < queue.CleanupTime || len(b.claim(1, 1)) != 0 {
			t.Errorf("after %q it does not wait for a cleanup that is under way: %+v", a, r)
		}
	}
	b.ok(b.store.Apply(t.Context(), failed, queue.Delete, "anna"))
	b.wantCleanup(failed, p)
}
