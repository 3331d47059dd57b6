package nodes

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A round is a time of trouble of a cluster.
type round struct {
	*cluster
	random *rand.Rand     // decides what happens
	ending []trouble      // that have begun and must end
	cutOff map[*node]bool // which nodes cannot reach the database
	lost   map[*node]bool // which nodes have lost it since they were started
	begun  map[string]int
}

// trouble is something that lasts.
type trouble struct {
	until time.Time
	end   func(t *testing.T)
}

func newRound(c *cluster, seed uint64) *round {
	return &round{cluster: c, random: rand.New(rand.NewPCG(seed, 1)), cutOff: map[*node]bool{}, lost: map[*node]bool{}, begun: map[string]int{}}
}

// kinds of trouble have the more weight, the more often they are chosen.
var kinds = []struct {
	name   string
	weight int
	begin  func(*round, *testing.T, *node)
}{
	{"kill", 4, (*round).kill},
	{"freeze", 4, (*round).freeze},
	{"silence", 4, (*round).silence},
	{"cut", 3, (*round).cut},
	{"drain", 3, (*round).drain},
	{"reload", 2, (*round).reload},
	{"stop", 3, (*round).stop},
}

// trouble makes trouble for a time, and then ends all of it.
func (r *round) trouble(t *testing.T, length time.Duration) {
	t.Helper()
	for start := time.Now(); time.Since(start) < length; {
		time.Sleep(time.Duration(200+r.random.IntN(1300)) * time.Millisecond)
		r.endSome(t, time.Now())
		r.begin(t)
		for _, n := range r.nodes {
			n.wantRunning(t)
		}
	}
	r.endSome(t, time.Now().Add(time.Hour))
}

// begin begins trouble of some kind with a node, which may have others.
func (r *round) begin(t *testing.T) {
	t.Helper()
	sum := 0
	for _, k := range kinds {
		sum += k.weight
	}
	node := r.nodes[r.random.IntN(len(r.nodes))]
	x := r.random.IntN(sum)
	for _, k := range kinds {
		if x -= k.weight; x < 0 {
			r.begun[k.name]++
			t.Logf("%s: %s", k.name, node.name)
			k.begin(r, t, node)
			return
		}
	}
}

// lasting has a trouble end later.
func (r *round) lasting(least, most time.Duration, end func(*testing.T)) {
	length := least + time.Duration(r.random.Int64N(int64(most-least)))
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

// kill kills the node, and starts it at once or once the others may have taken over.
func (r *round) kill(t *testing.T, n *node) {
	r.unheard = r.unheard || r.lost[n]
	n.Kill(t)
	time.Sleep(time.Duration(r.random.IntN(5)) * lease / 3)
	r.start(t, n)
}

// stop stops the node as a service manager does, and starts it.
func (r *round) stop(t *testing.T, n *node) {
	r.unheard = r.unheard || r.lost[n]
	n.end(t, time.Duration(r.random.IntN(10_000))*time.Millisecond)
	time.Sleep(time.Duration(r.random.IntN(3)) * lease / 3)
	r.start(t, n)
}

// start starts a node. One that cannot reach the database waits until it can.
func (r *round) start(t *testing.T, n *node) {
	t.Helper()
	if r.cutOff[n] {
		n.line.mend(false)
	}
	r.cutOff[n], r.lost[n] = false, false
	n.Begin(t)
	within(t, *patience, n.name+" to start", func() bool {
		n.wantRunning(t)
		status, _ := n.Get("/readyz")
		return status != 0
	})
}

// freeze stops the node as a whole, mostly for longer than its lease, and has it go on.
func (r *round) freeze(t *testing.T, n *node) {
	r.frozen++
	n.Signal(syscall.SIGSTOP)
	process := n.Process
	r.lasting(lease/3, 3*lease, func(*testing.T) { process.Signal(syscall.SIGCONT) })
}

// silence has the network between a node and the database lose everything, and later arrive what
// is sent again, or nothing of it.
func (r *round) silence(t *testing.T, n *node) {
	n.line.silence()
	r.lasting(lease/3, 4*lease, r.mend(n))
}

// cut has the network between a node and the database refuse everything.
func (r *round) cut(t *testing.T, n *node) {
	n.line.cut()
	r.lasting(lease/3, 3*lease, r.mend(n))
}

func (r *round) mend(n *node) func(*testing.T) {
	r.cutOff[n], r.lost[n] = true, true
	lost := r.random.IntN(2) == 0
	return func(*testing.T) {
		n.line.mend(lost)
		r.cutOff[n] = false
	}
}

// drain has the node take no more lanes, and later take part again.
func (r *round) drain(t *testing.T, n *node) {
	if got := r.nodesCommand(t, "drain", n.name); got.Status != 0 {
		t.Logf("nodes drain: %s", got.Stderr)
	}
	r.lasting(lease/3, 4*lease, func(t *testing.T) {
		if got := r.nodesCommand(t, "undrain", n.name); got.Status != 0 {
			t.Logf("nodes undrain: %s", got.Stderr)
		}
	})
}

// reload changes what a reload may change.
func (r *round) reload(t *testing.T, n *node) {
	text := strings.Replace(n.good, "delivery:\n", fmt.Sprintf("delivery:\n  concurrency: %d\n", 1+r.random.IntN(40)), 1)
	if r.random.IntN(2) == 0 {
		text = n.good
	}
	if err := os.WriteFile(n.Config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	n.Signal(syscall.SIGHUP)
}
