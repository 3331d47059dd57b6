package queuetest

import (
	"testing"
	"time"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

func carries(carry map[queue.LaneRef]string) func(*queue.Renewal) {
	return func(r *queue.Renewal) { r.Carry = carry }
}

// taken has a node claim a message of the first lane, and nothing more.
func (m *member) taken() queue.Task {
	m.Helper()
	tasks := m.claim(1)
	if len(tasks) != 1 || !tasks[0].Taken || tasks[0].Tenure.Lane != laneOf(0) || tasks[0].Tenure.Node != m.id {
		m.Fatalf("node %s claimed %+v, want one message of a lane that was nobody's", m.id, tasks)
	}
	return tasks[0]
}

// comesBack has a node lose a lane to another one and take it again. What the first time has left
// it to write counts no more.
func comesBack(t *testing.T, c *cluster) {
	a, b := c.node("a"), c.node("b")
	a.fill(1, 3)
	a.renew()
	first := a.taken()
	a.expire()
	b.renew()
	second := b.taken()
	b.end(second)
	b.renew(carries(map[queue.LaneRef]string{second.Tenure: "of both"}))
	a.renew(carries(map[queue.LaneRef]string{first.Tenure: "while it was another's"}))
	b.ok(b.store.Leave(t.Context(), "b"))
	a.renew(carries(map[queue.LaneRef]string{first.Tenure: "while it was nobody's"}))
	third := a.taken()
	if third.Carry != "of both" || third.Tenure.Epoch <= second.Tenure.Epoch || second.Tenure.Epoch <= first.Tenure.Epoch {
		t.Errorf("claimed under %+v, %+v, and %+v with the carry %q", first.Tenure, second.Tenure, third.Tenure, third.Carry)
	}
	a.renew(carries(map[queue.LaneRef]string{first.Tenure: "of the first time"}))
	a.want(a.store.PauseAs(t.Context(), first.Tenure, first.Lane, a.store.Now().Add(time.Hour), reason.Throttled), queue.ErrFenced)
	a.end(third)
	a.ok(a.store.Leave(t.Context(), "a"))
	b.renew()
	if got := b.taken(); got.Carry != "of both" {
		t.Errorf("the carry is %q, which a node wrote for a time that was over", got.Carry)
	}
}

// fencedPause lets a node pause a lane as long as it has it, and no longer.
func fencedPause(t *testing.T, c *cluster) {
	a, b := c.node("a"), c.node("b")
	a.fill(1, 2)
	a.renew()
	first := a.taken()
	pause := func(m *member, ref queue.LaneRef, of queue.Lane) error {
		return m.store.PauseAs(t.Context(), ref, of, m.store.Now().Add(time.Hour), reason.Throttled)
	}
	a.ok(a.store.Apply(t.Context(), first.ID, queue.Hold, "anna"))
	a.ok(pause(a, first.Tenure, first.Lane)) // which has learnt nothing wrong
	a.ok(a.store.Resume(t.Context(), first.Lane))
	a.expire()
	b.renew()
	second := b.taken()
	for _, of := range []queue.Lane{first.Lane, first.Lane.Whole()} {
		a.want(pause(a, first.Tenure, of), queue.ErrFenced)
		if paused, err := b.store.Paused(t.Context(), of); paused || err != nil {
			t.Errorf("%s is paused, error %v", of, err)
		}
	}
	b.ok(pause(b, second.Tenure, second.Lane.Whole()))
	if paused, err := b.store.Paused(t.Context(), second.Lane); !paused || err != nil {
		t.Errorf("the lane's node could not pause it, error %v", err)
	}
}

// claimTooLate has a node claim whose lease has ended.
func claimTooLate(_ *testing.T, c *cluster) {
	a, b := c.node("a"), c.node("b")
	a.fill(2, 2)
	a.renew()
	a.end(a.claim(1)...)
	a.expire()
	if got := a.claim(1); len(got) != 0 {
		c.Errorf("a node without a lease claimed %v", got)
	}
	b.renew()
	if got := a.claim(1); len(got) != 0 {
		c.Errorf("after others looked, it claimed %v", got)
	}
	a.renew()
	if got := a.claim(1); len(got) != 1 {
		c.Errorf("with a lease it claimed %v, want its share of 2", got)
	}
}

// otherClaim gives a claim of one node the fence that another node's has, as when a database takes
// over that has not heard of the other one.
func otherClaim(t *testing.T, c *cluster) {
	a := c.node("a")
	a.fill(1, 1)
	a.renew()
	task := a.taken()
	other := task.Ref
	other.Node = "b"
	a.want(a.store.Save(t.Context(), other, queue.Progress{}), queue.ErrFenced)
	a.want(a.store.Finish(t.Context(), other, queue.Outcome{State: queue.Sent}), queue.ErrFenced)
	a.end(task)
}
