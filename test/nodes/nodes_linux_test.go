package nodes

import (
	"bufio"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"graphrelay/internal/testpostgres"
	"graphrelay/test/harness"
)

var (
	roundTime = flag.Duration("nodes-round", 40*time.Second, "how long a round of TestNodes makes trouble")
	nodesTime = flag.Duration("nodes-time", 0, "how long TestNodes begins further rounds, with a new seed each")
	nodesSeed = flag.Uint64("nodes-seed", 0, "the seed of TestNodes's first round; 0 is one chosen at random")
	patience  = flag.Duration("nodes-patience", 6*time.Minute, "how long a test waits for the nodes to get over its trouble")
	logs      = flag.String("nodes-logs", "", "a directory that gets the logs of a round that fails")
	nodesOnly = flag.Bool("nodes-only", false, "leave out the seeds of testdata/seeds.txt")
)

// TestNodes sends mail through HAProxy to three relays that share a queue, and kills, freezes,
// drains, reloads, stops and cuts them off from the database at random. Every message that had a
// 250 is sent once, and no mailbox has more than four requests at a time.
//
// A seed decides what happens. A seed that has found a fault is kept in testdata/seeds.txt, and
// is a round of every run.
func TestNodes(t *testing.T) {
	db := testpostgres.New(t, "fsync=off")
	run := func(seed uint64, clocks []time.Duration) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := newRound(newCluster(t, db, clocks), seed)
			done := r.send()
			defer r.explain(t)
			defer r.outbox.Stop.Store(true)
			harness.WaitFor(t, "mail to flow", func() bool { return r.sim.Sends(t) >= 10 })
			r.trouble(t, *roundTime)
			r.finish(t, done, *patience)
			t.Logf("trouble: %v", r.begun)
		})
	}
	seed := *nodesSeed
	if seed == 0 {
		seed = rand.Uint64N(1 << 32)
	}
	if !*nodesOnly {
		for _, kept := range keptSeeds(t) {
			run(kept, nil)
		}
	}
	start := time.Now()
	for n := uint64(0); n == 0 || time.Since(start) < *nodesTime; n++ {
		run(seed+n, nil)
	}
}

// TestClocks is a short TestNodes with nodes whose clocks are ten minutes apart.
func TestClocks(t *testing.T) {
	c := newCluster(t, testpostgres.New(t, "fsync=off"), []time.Duration{-10 * time.Minute, 0, 10 * time.Minute})
	seed := *nodesSeed
	if seed == 0 {
		seed = rand.Uint64N(1 << 32)
	}
	t.Log("seed ", seed)
	r := newRound(c, seed)
	done := r.send()
	defer r.explain(t)
	defer r.outbox.Stop.Store(true)
	harness.WaitFor(t, "mail to flow", func() bool { return r.sim.Sends(t) >= 10 })
	r.trouble(t, *roundTime/2)
	r.finish(t, done, *patience)
	t.Logf("trouble: %v", r.begun)
}

// keptSeeds returns the numbers of testdata/seeds.txt. A # begins a comment.
func keptSeeds(t *testing.T) (seeds []uint64) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "seeds.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
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
