package probe_test

import (
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/probe"
)

// What Graph throttles, or is too busy for, is repeated after the pause that it asks for, and the
// step says so. What may have sent a message is not repeated, and a pause that is too long is left
// to the user.
func TestProbeRepeats(t *testing.T) {
	for _, test := range []struct {
		name     string
		fault    simulator.Fault
		step     int
		verdict  probe.Verdict
		seen     string
		requests int           // of the operation, until the step ends
		pause    time.Duration // between the first two
	}{
		{"429", simulator.Fault{Operation: simulator.OpCreate, Nth: 1, Status: 429, RetryAfter: "7"}, 4, probe.OK, "429 is repeated after the 7s that Graph asks for", 2, 7 * time.Second},
		{"503", simulator.Fault{Operation: simulator.OpCreate, Nth: 1, Status: 503, RetryAfter: "7"}, 4, probe.OK, "503 is repeated after the 7s", 2, 7 * time.Second},
		{"504", simulator.Fault{Operation: simulator.OpCreate, Nth: 1, Status: 504}, 4, probe.OK, "504 is repeated after 2s", 2, 2 * time.Second},
		{"lost 504", simulator.Fault{Operation: simulator.OpCreate, Nth: 1, Status: 504, After: true}, 4, probe.OK, "504 is repeated after 2s", 2, 2 * time.Second},
		{"forever", simulator.Fault{Operation: simulator.OpCreate, Status: 503, RetryAfter: "7"}, 4, probe.Fault, "503, repeated 3 times", 4, 7 * time.Second},
		{"too long", simulator.Fault{Operation: simulator.OpCreate, Nth: 1, Status: 429, RetryAfter: "600"}, 4, probe.Fault, "not repeated, since Graph asks for a pause of 10m0s", 1, 0},
		{"send throttled", simulator.Fault{Operation: simulator.OpSend, Nth: 1, Status: 429, RetryAfter: "7"}, 11, probe.OK, "429 is repeated after the 7s", 2, 7 * time.Second},
		{"send lost", simulator.Fault{Operation: simulator.OpSend, Nth: 1, Status: 503, RetryAfter: "7"}, 11, probe.Fault, "503 is not repeated, since the message may have been sent", 1, 0},
		{"upload", simulator.Fault{Operation: simulator.OpUpload, Nth: 2, Status: 503, RetryAfter: "7"}, 9, probe.OK, "503 is repeated", 3, 0},
	} {
		inTime(t, strings.ReplaceAll(test.name, " ", "_"), func(t *testing.T) {
			r := newRig(t, tenant(nil))
			if _, err := r.sim.AddFault(test.fault); err != nil {
				t.Fatal(err)
			}
			o := r.options()
			o.Waits = probe.Waits{}
			var calls []simulator.Call
			o.Done = func(result probe.Result) {
				if result.Step != test.step {
					return
				}
				for _, c := range r.sim.Journal() {
					if c.Operation == test.fault.Operation {
						calls = append(calls, c)
					}
				}
			}
			report := r.run(o)
			result := resultOf(t, report, test.step)
			if result.Verdict != test.verdict || !strings.Contains(result.Seen, test.seen) {
				t.Error(result.Line())
			}
			if len(calls) != test.requests {
				t.Errorf("%d requests, want %d", len(calls), test.requests)
			}
			if test.pause > 0 && calls[1].Time.Sub(calls[0].Time) < test.pause {
				t.Errorf("repeated after %s, want %s", calls[1].Time.Sub(calls[0].Time), test.pause)
			}
			if test.verdict == probe.OK {
				r.wantClean(report)
			}
		})
	}
}
