package chaos

import (
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/queue/sqlite"
	"graphrelay/test/harness"
)

// calm ends all trouble. It then resumes lanes and retries messages, as an operator would, until
// no message waits.
func (r *round) calm(t *testing.T) {
	t.Helper()
	r.sim.ClearFaults(t)
	r.sim.SetWorld(t, simulator.World{})
	r.configure(t, r.good)
	for start := time.Now(); time.Since(start) < *patience; time.Sleep(300 * time.Millisecond) {
		r.wantRunning(t)
		open, ok := r.list(t)
		waiting := slices.DeleteFunc(open, func(q harness.Queued) bool {
			return !slices.Contains([]string{"queued", "delivering", "deferred"}, q.State)
		})
		if ok && len(waiting) == 0 {
			return
		}
		r.resumeAll(t)
		retry := []string{"retry"}
		for _, q := range waiting {
			if q.State == "deferred" {
				retry = append(retry, q.ID)
			}
		}
		if len(retry) > 1 {
			r.relay.QueueCommand(t, retry...)
		}
	}
	t.Fatalf("messages wait, and nothing happens:\n%s\n%s", r.relay.QueueCommand(t, "list").Stdout, r.relay.QueueCommand(t, "lanes").Stdout)
}

// check compares what was sent with what was accepted.
func (r *round) check(t *testing.T) {
	t.Helper()
	list, ok := r.list(t)
	if !ok {
		t.Fatal("the queue cannot be read")
	}
	times := map[string]int{}
	for _, d := range r.sim.Ledger(t) {
		times[d.Subject]++
	}
	r.held = map[string]string{}
	excused := map[string]bool{}
	for subject := range r.gone {
		excused[subject] = true
	}
	for _, q := range list {
		if !slices.Contains([]string{"held", "failed", "returned", "deleted"}, q.State) || q.Reason == "" && !r.gone[q.Subject] {
			t.Errorf("%q is %s, for the reason %q", q.Subject, q.State, q.Reason)
		}
		if q.State == "failed" && times[q.Subject] > 0 && strings.HasPrefix(q.Subject, title) {
			t.Errorf("%q failed, but was sent: %s, %s", q.Subject, q.Reason, q.Detail)
		}
		excused[q.Subject] = true
		r.held[q.Subject] = q.Reason
	}
	r.outbox.CheckSends(t, r.sim, excused)
	for _, err := range r.outbox.Refused() {
		t.Errorf("refused for good: %v", err)
	}
	r.sim.WantUntouched(t)
	r.checkLeft(t, len(list))
}

// checkLeft waits until the relay has tidied up, and is back to where it was.
func (r *round) checkLeft(t *testing.T, open int) {
	t.Helper()
	harness.WaitFor(t, "bodies to be removed", func() bool {
		bodies, err := os.ReadDir(filepath.Join(r.tap.Dir, "bodies"))
		return err == nil && len(bodies) <= open
	})
	harness.WaitFor(t, "drafts to be removed", func() bool {
		left := slices.DeleteFunc(r.sim.Drafts(t), func(m simulator.Message) bool {
			_, held := r.held[m.Subject]
			return m.MIME != nil || held
		})
		return len(left) == 0
	})
	name := url.URL{Scheme: "file", Path: filepath.Join(r.tap.Dir, sqlite.DatabaseName), RawQuery: "mode=ro"}
	queue, err := sql.Open("sqlite", name.String())
	if err != nil {
		t.Fatal(err)
	}
	defer queue.Close()
	harness.WaitFor(t, "lanes without messages to be removed", func() bool {
		var lanes, idle int
		err := queue.QueryRow("SELECT count(*), count(*) FILTER (WHERE id NOT IN (SELECT lane FROM message)) FROM lane").Scan(&lanes, &idle)
		if err != nil {
			t.Fatal(err)
		}
		return lanes <= boxes && idle == 0
	})
	var now footprint
	harness.WaitFor(t, "the relay to be back where it was", func() bool {
		now = r.measure(t)
		return now.descriptors <= r.before.descriptors+20 && now.goroutines <= r.before.goroutines+20 && now.heap <= 2*r.before.heap+16<<20
	})
	t.Logf("before: %v; after: %v", r.before, now)
}

// footprint is what a relay uses of the machine.
type footprint struct {
	descriptors, goroutines int
	heap                    int64 // bytes
}

func (f footprint) String() string {
	return fmt.Sprintf("%d descriptors, %d goroutines, %d KiB of heap", f.descriptors, f.goroutines, f.heap>>10)
}

func (r *round) measure(t *testing.T) footprint {
	t.Helper()
	return footprint{descriptors(t, r.relay.PID()), int(r.relay.Metric(t, "go_goroutines ")), int64(r.relay.Metric(t, "go_memstats_heap_inuse_bytes "))}
}

// descriptors returns how many descriptors a process has.
func descriptors(t *testing.T, pid int) int {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
