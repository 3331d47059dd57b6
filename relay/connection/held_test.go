package connection

import (
	"fmt"
	"log/slog"
	"testing"

	"graphrelay/relay/queue"
	"graphrelay/relay/queue/sqlite"
	"graphrelay/relay/reason"
)

// Mail that nobody comes back for, more than a list holds, does not keep another mailbox's
// from going on.
func TestReleaseBehindMany(t *testing.T) {
	ctx, log := t.Context(), slog.New(slog.DiscardHandler)
	store, err := sqlite.Open(ctx, sqlite.Options{Dir: t.TempDir(), Exclusive: true})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	const many = 1001 // one more than List gives
	gone, back := queue.Lane{Connection: "owners", Mailbox: "gone@contoso.test"}, queue.Lane{Connection: "owners", Mailbox: "back@contoso.test"}
	for i := range many + 2 {
		w, err := store.Create(ctx)
		if err != nil {
			t.Fatal(err)
		}
		lane := gone
		if i >= many {
			lane = back
		}
		_, _ = fmt.Fprint(w, "Subject: s\r\n\r\n")
		if err := w.Commit(ctx, queue.Entry{Envelope: queue.Envelope{From: lane.Mailbox, To: []string{"b@example.test"}}, Lane: lane}); err != nil {
			t.Fatal(err)
		}
	}
	for claimed := 0; claimed < many+2; {
		tasks, _, err := store.Claim(ctx, queue.Claim{Node: "n", Max: 5000, PerLane: 5000})
		if err != nil || len(tasks) == 0 {
			t.Fatal(len(tasks), err)
		}
		for _, task := range tasks {
			if err := store.Finish(ctx, task.Ref, queue.Outcome{State: queue.Held, Reason: reason.NotConnected, Progress: task.Progress}); err != nil {
				t.Fatal(err)
			}
		}
		claimed += len(tasks)
	}
	if err := ReleaseHeld(ctx, store, log, "back", func(l queue.Lane) bool { return l == back }); err != nil {
		t.Fatal(err)
	}
	st, err := store.Stats(ctx)
	if err != nil || st.Messages[queue.Queued] != 2 || st.Messages[queue.Held] != many {
		t.Errorf("%v, %v", st.Messages, err)
	}
	if err := ReleaseHeld(ctx, store, log, "all", func(queue.Lane) bool { return true }); err != nil {
		t.Fatal(err)
	}
	if st, err = store.Stats(ctx); err != nil || st.Messages[queue.Held] != 0 {
		t.Errorf("%v, %v", st.Messages, err)
	}
}
