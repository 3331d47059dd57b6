package queuetest

import (
	"testing"
	"time"

	"graphrelay/relay/queue"
)

// upkeepFollows has cleanups and the reading of reports done by the node that has the lane, and
// by one of the nodes where nobody has it.
func upkeepFollows(t *testing.T, c *cluster) {
	a, b := c.node("a"), c.node("b")
	a.renew()
	a.fill(1, 1)
	task := a.claim(1)[0]
	a.ok(a.store.Finish(t.Context(), task.Ref, queue.Outcome{State: queue.Sent, Cleanup: true}))
	b.renew()
	check := func(when string, of map[*member]int) {
		t.Helper()
		for m, want := range of {
			lanes, err := m.store.ServedLanes(t.Context(), time.Now().Add(-time.Hour))
			m.ok(err)
			if len(lanes) != want {
				t.Errorf("%s, node %s reads the reports of %v", when, m.id, lanes)
			}
			switch cleanup, err := m.store.NextCleanup(t.Context(), ""); {
			case want == 0:
				m.want(err, queue.ErrNotFound)
			case err != nil || cleanup.ID != task.ID:
				t.Errorf("%s, node %s cleans up %v, error %v", when, m.id, cleanup.ID, err)
			}
		}
	}
	check("with an owner", map[*member]int{a: 1, b: 0})
	a.ok(a.store.Leave(t.Context(), "a"))
	b.renew()
	check("without", map[*member]int{b: 1})
	z := c.node("z") // is not the first
	z.renew()
	check("of another node", map[*member]int{z: 0})
	private := func(l queue.Lane) bool { return l == laneOf(0) }
	_, _, err := z.store.Claim(t.Context(), queue.Claim{Node: "z", Private: private})
	b.ok(err)
	check("of a node with a credential of its own", map[*member]int{z: 1})
}

// unserved leaves a lane to the nodes that can serve it.
func unserved(t *testing.T, c *cluster) {
	a, b := c.node("a"), c.node("b")
	b.renew()
	a.renew()
	a.fill(2, 4)
	serves := func(l queue.Lane) bool { return l != laneOf(0) }
	claim := func(m *member, serves func(queue.Lane) bool) []queue.Task {
		t.Helper()
		tasks, _, err := m.store.Claim(t.Context(), queue.Claim{Node: m.id, Max: 100, PerLane: 1, Serves: serves})
		m.ok(err)
		return tasks
	}
	got := claim(a, serves)
	if len(got) != 1 || got[0].Lane != laneOf(1) {
		t.Fatalf("a node that cannot serve the first lane claimed %v", got)
	}
	a.end(got...)
	a.ok(a.store.Leave(t.Context(), "a"))
	a.renew()
	own := claim(b, nil)
	if len(own) != 1 {
		t.Fatalf("the other node claimed %v, want one lane of two", own)
	}
	never := func(queue.Lane) bool { return false }
	if got := claim(b, never); len(got) != 0 || b.owned()["b"] != 1 {
		t.Fatalf("with a message in delivery it claimed %v, and has %v", got, b.owned())
	}
	b.end(own...)
	if got := claim(b, never); len(got) != 0 || b.owned()["b"] != 0 {
		t.Errorf("a node that can serve nothing any more claimed %v, and has %v", got, b.owned())
	}
}
