package queuetest

import (
	"fmt"
	"testing"
	"time"

	"graphrelay/relay/queue"
)

// audits writes what operators did, within a millisecond or two, and reads the newest of it in the
// order of time.
func audits(t *testing.T, b *bench) {
	var all []queue.Audit
	at := time.Now().Truncate(time.Microsecond)
	for n := range 40 {
		at = at.Add(time.Microsecond)
		a := queue.Audit{ID: queue.NewID(at), At: at, By: "anna", Action: "hold", On: fmt.Sprint("--limit ", n)}
		b.ok(b.store.SetAudit(t.Context(), a))
		a.Changed = int64(n)
		b.ok(b.store.SetAudit(t.Context(), a))
		all = append(all, a)
	}
	b.reopen()
	_, err := b.store.Expire(t.Context(), queue.Retention{})
	b.ok(err)
	for limit, want := range map[int][]queue.Audit{1: all[39:], 3: all[37:], 100: all} {
		got, err := b.store.Audits(t.Context(), limit)
		b.ok(err)
		if len(got) != len(want) {
			t.Fatalf("%d of them are %+v", limit, got)
		}
		for n, a := range got {
			if w := want[n]; !a.At.Equal(w.At) || a.ID != w.ID || a.By != w.By || a.Action != w.Action || a.On != w.On || a.Changed != w.Changed {
				t.Errorf("got %+v, want %+v", a, w)
			}
		}
	}
}
