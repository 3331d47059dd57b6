package chaos

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"graphrelay/test/harness"
)

var (
	roundTime = flag.Duration("chaos-round", 15*time.Second, "how long a round of TestChaos makes trouble")
	chaosTime = flag.Duration("chaos-time", 0, "how long TestChaos begins further rounds, with a new seed each")
	chaosSeed = flag.Uint64("chaos-seed", 0, "the seed of TestChaos's first round; 0 is one chosen at random")
	patience  = flag.Duration("chaos-patience", 4*time.Minute, "how long TestChaos waits for the relay to get over a round's trouble")
	chaosOnly = flag.Bool("chaos-only", false, "leave out the seeds of testdata/seeds.txt")
)

// atOnce is how many rounds run at a time: each waits now and then.
const atOnce = 2

// TestChaos sends mail through a relay while everything around it goes wrong: Graph answers
// falsely or not at all, other clients misbehave, the disk is full or fails, descriptors run
// out, the clock jumps, operators act on the queue, the configuration is reloaded, and the relay
// is stopped, frozen and killed. Then all of it ends. Every message that had a 250 was sent once,
// or is held, failed or returned with a reason, and the relay is back to where it was.
//
// What happens, and when, is decided by a seed. A seed that has found a fault is kept in
// testdata/seeds.txt, and is a round of every run.
func TestChaos(t *testing.T) {
	start := time.Now()
	seeds := make(chan uint64)
	go func() {
		defer close(seeds)
		if !*chaosOnly {
			for _, seed := range keptSeeds(t) {
				seeds <- seed
			}
		}
		seed := *chaosSeed
		if seed == 0 {
			seed = rand.Uint64N(1 << 32)
		}
		for n := uint64(0); n == 0 || time.Since(start) < *chaosTime; n++ {
			seeds <- seed + n
		}
	}()
	for range atOnce {
		t.Run("rounds", func(t *testing.T) {
			t.Parallel()
			for seed := range seeds {
				t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { newRound(t, seed).run(t) })
			}
		})
	}
}

// keptSeeds returns the numbers of testdata/seeds.txt. A # begins a comment.
func keptSeeds(t *testing.T) (seeds []uint64) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "seeds.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		seed, err := strconv.ParseUint(line, 10, 64)
		if err != nil {
			t.Fatalf("seeds.txt: %v", err)
		}
		seeds = append(seeds, seed)
	}
	return seeds
}

// A round is one relay's time of trouble.
type round struct {
	seed       uint64
	random     *rand.Rand // decides what happens; only the test's goroutine uses it
	sim        *harness.Sim
	liar       *liar // between relay and simulator
	relay      *harness.Relay
	tap        *harness.Tap
	diskFailed bool // since the relay was started
	outbox     *harness.Outbox
	good       string            // the configuration
	gone       map[string]bool   // subjects of messages that an operator deleted
	ending     []trouble         // that have begun and must end
	begun      map[string]int    // how often each kind of trouble has begun
	before     footprint         // of the relay, before any trouble
	held       map[string]string // reasons by subjects, in the end, of what was not sent
}

// newRound starts a simulator, and a relay whose disk and clock are the round's to decide.
func newRound(t *testing.T, seed uint64) *round {
	t.Helper()
	r := &round{seed: seed, random: rand.New(rand.NewPCG(seed, 1)), gone: map[string]bool{}, begun: map[string]int{}}
	r.sim = harness.StartSim(t)
	r.liar = newLiar(t, r.sim.URL, seed)
	through := *r.sim
	through.URL = r.liar.URL
	r.relay = harness.NewRelay(t, &through,
		harness.DeliveryKey("send_settle: 3s"), harness.DeliveryKey("retry_delays: [100ms, 300ms]"),
		harness.DeliveryKey("reports_interval: 1s"),
		harness.Replace("\ndelivery:\n", "\nqueue:\n  keep_sent_content: 0s\n\ndelivery:\n"),
		harness.Replace("    endpoints:\n", "    watch_reports: true\n    endpoints:\n"))
	r.good = harness.ReadFile(t, r.relay.Config)
	r.tap = &harness.Tap{Dir: filepath.Join(r.relay.Dir, "data"), Clock: true}
	r.relay.Launch = r.tap.Start
	r.relay.Start(t)
	return r
}

// run makes trouble while mail flows, ends it, and checks.
func (r *round) run(t *testing.T) {
	r.plant(t)
	r.outbox = r.newOutbox()
	done := r.outbox.Start()
	defer r.outbox.Stop.Store(true)
	harness.WaitFor(t, "mail to flow", func() bool { return r.sim.Sends(t) >= 10 })
	r.before = r.measure(t)
	stop := r.startOthers(t)
	for start := time.Now(); time.Since(start) < *roundTime; {
		time.Sleep(time.Duration(50+r.random.IntN(450)) * time.Millisecond)
		r.endSome(t, time.Now())
		r.makeTrouble(t)
	}
	r.endSome(t, time.Now().Add(time.Hour))
	r.outbox.Stop.Store(true)
	<-done
	stop()
	r.calm(t)
	r.check(t)
	t.Logf("seed %d: %d accepted, %d had no answer, %d sent, %d held, failed or returned, %d deleted; trouble: %v", r.seed, r.outbox.AcceptedCount(),
		len(r.outbox.Doubtful), r.sim.Sends(t), len(r.held), len(r.gone), r.begun)
}
