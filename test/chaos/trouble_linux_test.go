package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

// trouble is something that lasts.
type trouble struct {
	until time.Time
	end   func(t *testing.T)
}

// lasting has a trouble end later.
func (r *round) lasting(most time.Duration, end func(*testing.T)) {
	length := time.Duration(r.random.Int64N(int64(most)))
	r.ending = append(r.ending, trouble{time.Now().Add(length), end})
}

// endSome ends what has lasted until now.
func (r *round) endSome(t *testing.T, now time.Time) {
	t.Helper()
	r.ending = slices.DeleteFunc(r.ending, func(x trouble) bool {
		if x.until.After(now) {
			return false
		}
		x.end(t)
		return true
	})
}

// A kind of trouble has the more weight, the more often it is chosen.
type kind struct {
	name   string
	weight int
	begin  func(*round, *testing.T)
}

var kinds = []kind{
	{"kill", 3, (*round).kill},
	{"stop", 2, (*round).stop},
	{"freeze", 2, (*round).freeze},
	{"reload", 3, (*round).reload},
	{"bad configuration", 1, (*round).badConfiguration},
	{"full disk", 2, (*round).fullDisk},
	{"failing write", 2, (*round).failingWrite},
	{"failing sync", 1, (*round).failingSync},
	{"no descriptors", 2, (*round).noDescriptors},
	{"clock", 4, (*round).setClock},
	{"world", 5, (*round).changeWorld},
	{"faults", 5, (*round).changeFaults},
	{"false answers", 4, (*round).lie},
	{"operator", 8, (*round).operate},
}

// makeTrouble begins trouble of some kind.
func (r *round) makeTrouble(t *testing.T) {
	t.Helper()
	sum := 0
	for _, k := range kinds {
		sum += k.weight
	}
	n := r.random.IntN(sum)
	for _, k := range kinds {
		if n -= k.weight; n < 0 {
			r.begun[k.name]++
			start := time.Now()
			k.begin(r, t)
			r.wantRunning(t)
			t.Logf("%s, for %s", k.name, time.Since(start).Round(time.Millisecond))
			return
		}
	}
}

func (r *round) kill(t *testing.T) {
	r.relay.Kill(t)
	time.Sleep(time.Duration(r.random.IntN(300)) * time.Millisecond)
	r.start(t)
}

// stop asks the relay to stop, and kills it if it takes longer than a service manager waits.
func (r *round) stop(t *testing.T) {
	r.relay.Signal(syscall.SIGTERM)
	select {
	case <-r.relay.Done:
		if status := r.relay.Status(); status != 0 && !r.broke() {
			t.Errorf("serve ended with status %d after SIGTERM", status)
		}
	case <-time.After(time.Duration(r.random.IntN(5000)) * time.Millisecond):
		r.relay.Kill(t)
	}
	r.start(t)
}

// start starts the relay, whose disk is well then, and waits until it answers, be it ready or not.
func (r *round) start(t *testing.T) {
	t.Helper()
	r.diskFailed = false
	r.relay.Begin(t)
	harness.WaitFor(t, "a start", func() bool {
		r.wantRunning(t)
		status, _ := r.relay.Get("/readyz")
		return status != 0
	})
}

// wantRunning fails the test if the relay has ended of its own. After a fault of the disk it is
// started again, as a service manager does.
func (r *round) wantRunning(t *testing.T) {
	t.Helper()
	switch {
	case r.relay.Running():
	case r.broke():
		r.start(t)
	default:
		t.Fatalf("serve ended with status %d", r.relay.Status())
	}
}

// broke reports whether the relay, which has ended, did so because its disk failed.
func (r *round) broke() bool { return r.diskFailed && r.relay.Status() == 1 }

func (r *round) freeze(t *testing.T) {
	r.relay.Signal(syscall.SIGSTOP)
	relay := r.relay.Process
	r.lasting(2*time.Second, func(*testing.T) { relay.Signal(syscall.SIGCONT) })
}

// reload changes what a reload may change, and asks for one; or it just asks.
func (r *round) reload(t *testing.T) {
	text := strings.Replace(r.good, "delivery:\n", fmt.Sprintf("delivery:\n  concurrency: %d\n", 1+r.random.IntN(40)), 1)
	text = strings.Replace(text, "limits:\n", fmt.Sprintf("limits:\n  connections: %d\n", 50+r.random.IntN(500)), 1)
	if r.random.IntN(3) == 0 {
		text = r.good
	}
	r.configure(t, text)
}

// badConfiguration asks for a reload of a file that is at fault. The relay goes on with the old
// one. No start falls into that time: it would be refused.
func (r *round) badConfiguration(t *testing.T) {
	broken := []string{"delivery: [", "no_such_key: true\n" + r.good, strings.Replace(r.good, "message_size: 150MiB", "message_size: lots", 1), ""}
	r.configure(t, broken[r.random.IntN(len(broken))])
	harness.WaitFor(t, "the reload to be refused", func() bool {
		return r.frozen() || r.relay.Metric(t, "graphrelay_config_last_reload_successful") == 0
	})
	r.configure(t, r.good)
}

func (r *round) configure(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(r.relay.Config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r.relay.Signal(syscall.SIGHUP)
}

// frozen reports whether the relay does not answer because it is stopped by a signal.
func (r *round) frozen() bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.relay.PID()))
	return err == nil && strings.Contains(string(status), "State:\tT")
}

func (r *round) fullDisk(t *testing.T) {
	r.tap.Set(func(o harness.Operation) harness.Verdict {
		if o.IsSync() {
			return harness.Verdict{}
		}
		return harness.Verdict{Errno: unix.ENOSPC}
	})
	r.lasting(2*time.Second, func(*testing.T) { r.tap.Set(nil) })
}

// failingWrite has every so many operations on files fail.
func (r *round) failingWrite(t *testing.T) {
	every := int64(2 + r.random.IntN(60))
	r.diskFailed = true
	var count atomic.Int64
	r.tap.Set(func(o harness.Operation) harness.Verdict {
		if o.IsSync() || count.Add(1)%every != 0 {
			return harness.Verdict{}
		}
		return harness.Verdict{Errno: unix.EIO}
	})
	r.lasting(2*time.Second, r.mendDisk)
}

// mendDisk ends a fault of the disk. A relay that has seen one ends, if it is not frozen; now and
// then it is killed before.
func (r *round) mendDisk(t *testing.T) {
	r.tap.Set(nil)
	if r.random.IntN(3) == 0 {
		r.kill(t)
	}
	r.wantRunning(t)
}

// failingSync has one sync fail.
func (r *round) failingSync(t *testing.T) {
	var failed atomic.Bool
	r.diskFailed = true
	r.tap.Set(func(o harness.Operation) harness.Verdict {
		if o.IsSync() && failed.CompareAndSwap(false, true) {
			return harness.Verdict{Errno: unix.EIO}
		}
		return harness.Verdict{}
	})
	r.lasting(time.Second, r.mendDisk)
}

// noDescriptors leaves the relay at most a few more descriptors than it has.
func (r *round) noDescriptors(t *testing.T) {
	if r.diskFailed {
		return // it may be ending
	}
	pid := r.relay.PID()
	var old unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &old); err != nil {
		t.Fatal(err)
	}
	tight := unix.Rlimit{Cur: min(old.Cur, uint64(descriptors(t, pid)+r.random.IntN(4))), Max: old.Max}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &tight, nil); err != nil {
		t.Fatal(err)
	}
	r.lasting(2*time.Second, func(*testing.T) {
		_ = unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: old.Max, Max: old.Max}, nil) // it may have ended
	})
}

// setClock sets the wall clock wrong, by seconds to years, for a time.
func (r *round) setClock(t *testing.T) {
	scale := []time.Duration{2 * time.Second, time.Minute, 3 * time.Hour, 60 * time.Hour, 400 * 24 * time.Hour}[r.random.IntN(5)]
	r.tap.SetClock(time.Duration(float64(scale) * (2*r.random.Float64() - 1)))
	r.lasting(5*time.Second, func(*testing.T) { r.tap.SetClock(0) })
}

// knobs are ways in which Graph may differ from what the relay assumes; see
// [simulator.World].
var knobs = []string{
	"appearDelay=300ms", "attachmentsPage=1", "filterLag=1s", "deleteTo=recoverable", "deleteTo=deleted", "noPermanentDelete", "wideFilterStatus=504",
	"sessionsLoseFields", "replaceFromName", "resolveRecipients", "noUserOr", "sendsAgain", "newIdOnSend", "filterIgnored", "expandIgnored",
	"filterStatus=400", "filterStatus=501", "filterStatus=504", "newMessageIdOnCreate", "newMessageIdOnSend", "sendLosesProperties",
	"noUploadSessions", "messageSize=2000000", "unresolved=to-13@example.com", "returns=to-17@example.com:5.1.1", "returnDelay=1s",
	"denied=box-3@contoso.test", "elsewhere=box-4@contoso.test", "moving=box-5@contoso.test", "moveDuration=2s", "pace=60",
	"refusedProperties=internetMessageHeaders", "refusedMIME=multipart/signed",
}

// changeWorld puts a world with a few random knobs in force.
func (r *round) changeWorld(t *testing.T) {
	var w simulator.World
	for _, n := range r.random.Perm(len(knobs))[:r.random.IntN(5)] {
		if err := w.Set(knobs[n]); err != nil {
			t.Fatal(err)
		}
	}
	r.sim.SetWorld(t, w)
}

// changeFaults replaces the faults of the simulator.
func (r *round) changeFaults(t *testing.T) {
	r.sim.ClearFaults(t)
	for range r.random.IntN(6) {
		f := faults[r.random.IntN(len(faults))](r.random)
		f.Probability = 0.02 + 0.3*r.random.Float64()
		if f.Operation == "" && r.random.IntN(2) == 0 {
			f.Operation = operations[r.random.IntN(len(operations))]
		}
		r.sim.Fault(t, f)
	}
}

var operations = []simulator.Operation{simulator.OpToken, simulator.OpFindUser, simulator.OpCreate, simulator.OpCreateMIME, simulator.OpAttachment,
	simulator.OpCreateSession, simulator.OpUpload, simulator.OpSend, simulator.OpGet, simulator.OpList, simulator.OpListAttachments, simulator.OpDelete,
	simulator.OpPermanentDelete, simulator.OpGetUpload}

// faults are the ways in which requests fail. A refusal that would be final comes before the
// effect: Graph does not refuse what it has done.
var faults = []func(*rand.Rand) simulator.Fault{
	func(*rand.Rand) simulator.Fault { return simulator.Fault{Reset: true} },
	func(*rand.Rand) simulator.Fault { return simulator.Fault{Reset: true, After: true} },
	func(x *rand.Rand) simulator.Fault {
		return simulator.Fault{Status: 500 + x.IntN(5), After: true, Code: "ErrorInternalServerError"}
	},
	func(x *rand.Rand) simulator.Fault { return simulator.Fault{Status: 500 + x.IntN(12)} },
	func(x *rand.Rand) simulator.Fault {
		after := []string{"", "0", "1", "0.5", "-7", "soon", "Fri, 31 Dec 1999 23:59:59 GMT", "3"} // an hour would be obeyed
		return simulator.Fault{Status: 429, Code: "ApplicationThrottled", RetryAfter: after[x.IntN(len(after))]}
	},
	func(x *rand.Rand) simulator.Fault {
		return simulator.Fault{Hang: time.Duration(1+x.IntN(1500)) * time.Millisecond, After: x.IntN(2) == 0}
	},
	func(x *rand.Rand) simulator.Fault {
		return simulator.Fault{Latency: time.Duration(1+x.IntN(700)) * time.Millisecond}
	},
	func(x *rand.Rand) simulator.Fault {
		codes := []string{"ErrorInvalidRecipients", "ErrorMessageSizeExceeded", "ErrorQuotaExceeded"}
		return simulator.Fault{Status: 400, Code: codes[x.IntN(len(codes))], Message: "no"}
	},
	func(x *rand.Rand) simulator.Fault {
		// A create that is refused like this is repeated without the queue ID in the end, which
		// the simulator reports; TestAssumption has that.
		codes := []string{"ErrorInvalidRequest", "noSuchCode", ""}
		return simulator.Fault{Operation: simulator.OpSend, Status: 400, Code: codes[x.IntN(len(codes))], Message: "no"}
	},
	func(x *rand.Rand) simulator.Fault {
		codes := []string{"ErrorAccessDenied", "ErrorSendAsDenied", "noSuchCode"}
		return simulator.Fault{Status: 403, Code: codes[x.IntN(len(codes))]}
	},
	func(*rand.Rand) simulator.Fault {
		return simulator.Fault{Status: 401, Code: "InvalidAuthenticationToken"}
	},
	func(x *rand.Rand) simulator.Fault { return simulator.Fault{Status: 404 + x.IntN(30)} },
}

// lie turns the answers of Graph to nonsense for a time.
func (r *round) lie(t *testing.T) {
	r.liar.lies(0.05 + 0.3*r.random.Float64())
	r.lasting(2*time.Second, func(*testing.T) { r.liar.lies(0) })
}
