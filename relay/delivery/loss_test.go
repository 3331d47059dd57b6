package delivery_test

import (
	"strings"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/relay/queue"
)

// lost returns how many losses of the kind the latest run has counted.
func (r *rig) lost(kind string) float64 {
	r.t.Helper()
	return r.counted("graphrelay_conversion_losses_total", kind)
}

// A loss is in the history, in the metric and in the log: once, however many attempts there
// are, and whatever the message has written into its fields.
func TestLossesAreReportedOnce(t *testing.T) {
	r := newRig(t, simulator.Options{})
	r.fault(simulator.Fault{Operation: simulator.OpCreate, Count: 2, Status: 500})
	id := r.submit(strings.ReplaceAll(header("losses")+"Cc: gone\x1b[2J@example.org\nDate: Mon, 2 Nov 2026 10:00:00 +0000\nList-Id: <l>\nSubject: again\n\ntext\n", "\n", "\r\n"),
		r.to(anna, "bob@example.org"))
	stop := r.start(nil)
	r.sentOnce(id)
	stop()
	if r.get(id).Attempts < 2 {
		t.Error("there was one attempt")
	}
	h := r.history(id)
	for _, want := range []string{"lost: header: not carried: List-Id\n", "lost: header: dropped Subject", "converted: not carried: Date\n"} {
		if strings.Count(h, want) != 1 {
			t.Errorf("the history has not once %q:\n%s", want, h)
		}
	}
	if n := r.lost("header"); n < 2 || n != float64(strings.Count(h, "lost: header:")) {
		t.Errorf("%v losses of header fields are counted:\n%s", n, h)
	}
	log := r.log.String()
	if strings.Count(log, "lost in the conversion") != 1 || !strings.Contains(log, "List-Id") || strings.Contains(log, "\x1b") {
		t.Errorf("the log:\n%s", log)
	}
}

// A restart does not count again what was reported before.
func TestLossesAreReportedOnceOverARestart(t *testing.T) {
	r := newRig(t, simulator.Options{})
	r.fault(simulator.Fault{Operation: simulator.OpCreate, Status: 500})
	id := r.submit(strings.ReplaceAll(header("losses")+"List-Id: <l>\n\ntext\n", "\n", "\r\n"), r.to(anna, "bob@example.org"))
	stop := r.start(nil)
	r.await(id, queue.Deferred)
	stop()
	if n := r.lost("header"); n != 1 {
		t.Errorf("%v losses before the restart", n)
	}
	r.reopen()
	r.sim.ClearFaults()
	stop = r.start(nil)
	r.sentOnce(id)
	stop()
	if n := r.lost("header"); n != 0 || strings.Count(r.history(id), "lost: header:") != 1 {
		t.Errorf("%v losses after the restart:\n%s", n, r.history(id))
	}
}
