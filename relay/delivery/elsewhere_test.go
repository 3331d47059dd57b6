package delivery_test

import (
	"context"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/internal/testpostgres"
	"graphrelay/relay/queue"
	"graphrelay/relay/queue/postgres"
	"graphrelay/relay/verdict"
)

// share replaces the queue of the rig with one that another node shares, and returns the other
// node's.
func (r *rig) share() (other *queue.Queue) {
	r.t.Helper()
	if err := r.store.Close(); err != nil {
		r.t.Fatal(err)
	}
	url := testpostgres.Database(r.t)
	open := func(node string) *queue.Queue {
		q, err := postgres.Open(r.t.Context(), postgres.Options{URL: url, Dir: r.t.TempDir(), Node: node, Timeout: guard})
		if err != nil {
			r.t.Fatal(err)
		}
		return q
	}
	r.store, other = open("test"), open("other")
	r.t.Cleanup(func() { _ = other.Close() })
	r.cfg.Lease = guard
	return other
}

// Of a refusal while its client waits on another node, either that client is told or the sender
// is notified.
func TestWaitElsewhere(t *testing.T) {
	r := newRig(t, simulator.Options{})
	other := r.share()
	store := r.store
	submit := func(wait time.Duration) string {
		r.store = other
		defer func() { r.store = store }()
		return r.refused(anna, func(e *queue.Entry) { e.Wait = wait })
	}
	told := submit(guard)
	sessionDied := submit(5 * time.Second)
	sent := r.submit(compose(header("sent"), "text"), func() queue.Entry { e := r.to(anna, bob); e.Wait = guard; return e }())
	defer r.start(nil)()
	waits := verdict.Shared{Queue: other}
	await := func(id string) verdict.Verdict {
		ctx, cancel := context.WithTimeout(t.Context(), guard)
		defer cancel()
		return waits.Expect(id).Await(ctx)
	}
	if v := await(told); !v.Refused || v.Enhanced != [3]int{5, 1, 3} || v.Text == "" {
		t.Errorf("the session was told %+v", v)
	}
	if rec := r.await(told, queue.Failed); rec.HasContent || len(r.notifications(told)) != 0 {
		t.Errorf("with content: %t, notifications %v\n%s", rec.HasContent, r.notifications(told), r.history(told))
	}
	if v := await(sent); v != (verdict.Verdict{}) {
		t.Errorf("the session of a message that was sent was told %+v", v)
	}
	r.await(sessionDied, queue.Failed)
	r.notifiedOnce(sessionDied, anna)
	r.eventually(func() bool { return r.counted("graphrelay_bounces_total", "failed") > 0 })
	if n := r.counted("graphrelay_bounces_total", "failed"); n != 1 {
		t.Errorf("%v bounces were counted, want the one that was not told in a session", n)
	}
	if !r.get(sessionDied).HasContent {
		t.Error("the content was removed of a message of which the session told nobody")
	}
}
