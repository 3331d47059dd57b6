package queuetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"graphrelay/relay/queue"
)

// RunShared runs the tests of an engine that several nodes share. Each call of open on the
// same directory is a node of its own.
func RunShared(t *testing.T, open Open) {
	tests := map[string]func(*testing.T, *cluster){
		"a lane has one node":          laneHasOneNode,
		"a dead node's work goes on":   deadNode,
		"a late node is fenced":        lateNode,
		"lanes are divided evenly":     evenly,
		"what is left over is taken":   leftOver,
		"a full node takes no more":    fullNode,
		"a draining node":              draining,
		"a node that leaves":           leaving,
		"idle lanes belong to nobody":  idleLanes,
		"limits are carried over":      carriedOver,
		"a lane that comes back":       comesBack,
		"pauses are fenced":            fencedPause,
		"no claim without a lease":     claimTooLate,
		"claims of another node":       otherClaim,
		"one process of a name":        replaced,
		"a claim that nobody works on": lostClaim,
		"upkeep follows the lanes":     upkeepFollows,
		"lanes that one cannot serve":  unserved,
		"notes":                        notes,
		"a session that waits":         sessionWaits,
		"a session is too late":        sessionLate,
		"told by one side":             toldOnce,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, &cluster{T: t, dir: t.TempDir(), open: open}) })
	}
}

// cluster is several nodes on one queue.
type cluster struct {
	*testing.T
	dir  string
	open Open
}

// member is one node.
type member struct {
	*bench
	id string
}

func (c *cluster) node(id string) *member {
	b := &bench{T: c.T, dir: c.dir, open: c.open}
	b.store = c.open(c.T, c.dir)
	c.Cleanup(func() { _ = b.store.Close() })
	return &member{b, id}
}

func (m *member) renew(more ...func(*queue.Renewal)) queue.Renewed {
	m.Helper()
	r := renewal(m.id, time.Minute)
	for _, f := range more {
		f(&r)
	}
	found, err := m.store.Renew(m.Context(), r)
	m.ok(err)
	return found
}

// expire lets the lease of the node end.
func (m *member) expire() { m.renew(func(r *queue.Renewal) { r.Lease = 0 }) }

func (m *member) claim(perLane int) []queue.Task {
	m.Helper()
	tasks, _, err := m.store.Claim(m.Context(), queue.Claim{Node: m.id, Max: 1000, PerLane: perLane})
	m.ok(err)
	return tasks
}

func (m *member) end(tasks ...queue.Task) {
	m.Helper()
	for _, t := range tasks {
		m.ok(m.store.Finish(m.Context(), t.Ref, queue.Outcome{State: queue.Sent}))
	}
}

func laneOf(i int) queue.Lane {
	return queue.Lane{Connection: "contoso", Mailbox: fmt.Sprintf("%03d@contoso.test", i)}
}

// fill puts messages into each of the first lanes.
func (m *member) fill(lanes, each int) {
	m.Helper()
	for i := range lanes {
		for range each {
			m.put(laneOf(i), "x")
		}
	}
}

// lanesOf returns the lanes of tasks, each once.
func lanesOf(tasks []queue.Task) (lanes []queue.Lane) {
	for _, t := range tasks {
		if !slices.Contains(lanes, t.Lane) {
			lanes = append(lanes, t.Lane)
		}
	}
	return lanes
}

// owned returns how many lanes each node has.
func (m *member) owned() map[string]int {
	m.Helper()
	list, err := m.store.Nodes(m.Context())
	m.ok(err)
	counts := map[string]int{}
	for _, n := range list {
		counts[n.ID] = n.Lanes
	}
	return counts
}

func laneHasOneNode(t *testing.T, c *cluster) {
	a, b := c.node("a"), c.node("b")
	a.renew()
	b.renew()
	a.fill(1, 10)
	first := a.claim(4)
	if len(first) != 4 || !first[0].Taken || first[1].Taken {
		t.Fatalf("the first node claimed %v", first)
	}
	if got := b.claim(4); len(got) != 0 {
		t.Fatalf("the second node claimed %v of the first one's lane", got)
	}
	a.end(first...)
	if got := b.claim(4); len(got) != 0 {
		t.Fatalf("between two claims, the second node claimed %v", got)
	}
	if got := a.claim(4); len(got) != 4 || got[0].Taken {
		t.Fatalf("the first node claimed %v", got)
	}
}

func deadNode(t *testing.T, c *cluster) {
	a, b := c.node("a"), c.node("b")
	a.fill(1, 2)
	a.renew()
	task := a.claim(1)[0]
	a.ok(a.store.Save(t.Context(), task.Ref, queue.Progress{Document: []byte(`{"draft":"1"}`)}))
	a.expire()
	if found := b.renew(); found.Released != 1 {
		t.Errorf("%d messages of a dead node were released, want 1", found.Released)
	}
	c.releasedTo(b, task)
	a.want(a.store.Save(t.Context(), task.Ref, queue.Progress{}), queue.ErrFenced)
	a.want(a.store.Finish(t.Context(), task.Ref, queue.Outcome{State: queue.Sent}), queue.ErrFenced)
}

// releasedTo checks that the node goes on with a message from its progress.
func (c *cluster) releasedTo(m *member, task queue.Task) {
	c.Helper()
	again := m.claim(4)
	i := slices.IndexFunc(again, func(t queue.Task) bool { return t.ID == task.ID })
	if i < 0 {
		c.Fatalf("the message of the dead node was not claimed, but %v", again)
	}
	if string(again[i].Progress.Document) != `{"draft":"1"}` || again[i].Ref.Fence <= task.Ref.Fence {
		c.Errorf("it was claimed as %+v", again[i])
	}
}

// lateNode has a lease that has ended before it is renewed: another may have looked.
func lateNode(t *testing.T, c *cluster) {
	a := c.node("a")
	a.fill(1, 1)
	a.renew()
	task := a.claim(1)[0]
	a.renew(func(r *queue.Renewal) { r.Lease = time.Millisecond })
	for until := a.store.Now().Add(10 * time.Millisecond); a.store.Now().Before(until); {
		time.Sleep(time.Millisecond)
	}
	if found := a.renew(); found.Released != 1 {
		t.Errorf("%d messages were released, want 1", found.Released)
	}
	a.want(a.store.Save(t.Context(), task.Ref, queue.Progress{}), queue.ErrFenced)
}

func evenly(t *testing.T, c *cluster) {
	a, b, third := c.node("a"), c.node("b"), c.node("c")
	a.renew()
	a.fill(7, 40)
	tasks := a.claim(2)
	if len(lanesOf(tasks)) != 7 {
		t.Fatalf("a node alone claimed from %d lanes of 7", len(lanesOf(tasks)))
	}
	b.renew()
	third.renew()
	work := map[*member][]queue.Task{a: tasks}
	for range 6 { // each has work all the time
		for _, m := range []*member{a, b, third} {
			m.renew()
			m.end(work[m]...)
			work[m] = m.claim(2)
		}
	}
	if got := a.owned(); got["a"]+got["b"]+got["c"] != 7 || max(got["a"], got["b"], got["c"]) != 3 || min(got["a"], got["b"], got["c"]) < 1 {
		t.Errorf("the lanes are divided as %v", got)
	}
}

func leftOver(t *testing.T, c *cluster) {
	a, b := c.node("a"), c.node("b")
	b.renew() // and claims nothing
	a.fill(4, 1)
	a.renew()
	if got := a.claim(1); len(got) != 2 {
		t.Fatalf("the first time, claimed from %d lanes, want half of them", len(got))
	}
	for range 100 {
		if got := a.claim(1); len(got) == 2 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Error("nobody took the others")
}

func fullNode(t *testing.T, c *cluster) {
	a, b := c.node("a"), c.node("b")
	b.renew()
	a.fill(4, 1)
	a.renew(func(r *queue.Renewal) { r.Node.About.Full = true })
	if got := a.claim(1); len(got) != 0 {
		t.Fatalf("a full node claimed %d", len(got))
	}
	if got := b.claim(1); len(got) < 2 {
		t.Errorf("the other node claimed %d, want its share of 4", len(got))
	}
}

func draining(t *testing.T, c *cluster) {
	a, b := c.node("a"), c.node("b")
	a.renew()
	a.fill(2, 3)
	tasks := a.claim(1)
	b.renew()
	a.want(a.store.Drain(t.Context(), "nobody", true), queue.ErrNotFound)
	a.ok(b.store.Drain(t.Context(), "a", true))
	if found := a.renew(); !found.Draining {
		t.Error("the node was not told")
	}
	if got := a.claim(4); len(got) != 0 {
		t.Errorf("while draining, claimed %v", got)
	}
	a.end(tasks...)
	a.renew()
	if got := a.owned(); got["a"] != 0 {
		t.Errorf("it has kept %d lanes", got["a"])
	}
	b.renew()
	if got := b.claim(4); len(got) != 4 {
		t.Errorf("the other node claimed %d of 4", len(got))
	}
	a.ok(b.store.Drain(t.Context(), "a", false))
	if a.renew().Draining {
		t.Error("it goes on draining")
	}
}

func leaving(t *testing.T, c *cluster) {
	a, b := c.node("a"), c.node("b")
	a.renew()
	a.fill(2, 1)
	a.claim(1)
	a.ok(a.store.Leave(t.Context(), "a"))
	b.renew()
	if got := b.claim(4); len(got) != 2 {
		t.Errorf("the other node claimed %d of 2", len(got))
	}
	if got := b.owned(); len(got) != 1 {
		t.Errorf("the nodes are %v", got)
	}
}

func idleLanes(t *testing.T, c *cluster) {
	a, b := c.node("a"), c.node("b")
	a.renew()
	a.fill(4, 1)
	a.end(a.claim(1)...)
	b.renew()
	a.renew() // two of its four lanes are more than its share
	if got := a.owned(); got["a"] != 2 {
		t.Errorf("a node has %d lanes of 4 in which nothing waits, want half", got["a"])
	}
}

func carriedOver(t *testing.T, c *cluster) {
	a, b := c.node("a"), c.node("b")
	a.renew()
	a.fill(1, 2)
	task := a.claim(1)[0]
	a.end(task)
	other := task.Tenure
	other.Lane = laneOf(1)
	a.renew(carries(map[queue.LaneRef]string{task.Tenure: "spent", other: "of nobody"}))
	a.ok(a.store.Leave(t.Context(), "a"))
	other = task.Tenure
	other.Node = "b"
	b.renew(carries(map[queue.LaneRef]string{other: "not its own"}))
	got := b.claim(1)
	if len(got) != 1 || !got[0].Taken || got[0].Carry != "spent" {
		t.Errorf("the other node claimed %+v", got)
	}
}

func replaced(t *testing.T, c *cluster) {
	named := func(r *queue.Renewal) { r.Node.Name, r.Node.About.Home = "relay", "here" }
	a, b := c.node("a"), c.node("b")
	a.fill(1, 1)
	a.renew(named)
	task := a.claim(1)[0]
	a.ok(a.store.Save(t.Context(), task.Ref, queue.Progress{Document: []byte(`{"draft":"1"}`)}))
	if found := b.renew(named); found.Released != 1 {
		t.Errorf("the next process released %d messages of the one before, want 1", found.Released)
	}
	c.releasedTo(b, task)
	r := renewal("a", time.Minute)
	named(&r)
	_, err := a.store.Renew(t.Context(), r)
	a.want(err, queue.ErrReplaced)

	elsewhere := renewal("e", time.Minute)
	elsewhere.Node.Name, elsewhere.Node.About.Home = "relay", "elsewhere"
	e := c.node("e")
	_, err = e.store.Renew(t.Context(), elsewhere)
	e.want(err, queue.ErrNameTaken)
	b.renew(named, func(r *queue.Renewal) { r.Lease = 0 })
	_, err = e.store.Renew(t.Context(), elsewhere)
	e.ok(err)
}

func lostClaim(t *testing.T, c *cluster) {
	a := c.node("a")
	a.renew()
	a.fill(2, 1)
	tasks := a.claim(1)
	a.store.Lost(tasks[0].Ref)
	if found := a.renew(); found.Released != 1 {
		t.Errorf("released %d messages, want the one without a worker", found.Released)
	}
	err := a.store.Save(context.WithoutCancel(t.Context()), tasks[0].Ref, queue.Progress{})
	if !errors.Is(err, queue.ErrFenced) {
		t.Errorf("the lost claim gave %v", err)
	}
	a.end(tasks[1])
}
