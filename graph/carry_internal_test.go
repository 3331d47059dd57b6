package graph

import (
	"testing"
	"time"
)

// TestResumeCountsOnce has a mailbox go to and fro between two clients: what was asked of it is
// counted once, and for no longer than where it stays.
func TestResumeCountsOnce(t *testing.T) {
	const box = "anna@contoso.test"
	budgets := Budgets{Upload: Budget{Amount: 1000, Per: 5 * time.Minute}}
	stays, here, there := newGate(4, budgets), newGate(4, budgets), newGate(4, budgets)
	now := time.Now()
	spend := func(g *gate, now time.Time) {
		l := g.limitsOf(box)
		defer g.done(l)
		l.upload.spend(now, 100)
	}
	sum := func(g *gate, now time.Time) (n int64) {
		for _, a := range g.spentOf(box, now).Upload {
			n += a[1]
		}
		return n
	}
	spend(stays, now)
	spend(here, now)
	for n := range 120 {
		if n == 3 {
			spend(stays, now)
			spend(here, now)
		}
		if got, want := sum(here, now), sum(stays, now); got > want || got < want-100 && n < 60 {
			t.Fatalf("after %d moves %d count, want %d", n, got, want)
		}
		carry := here.spentOf(box, now)
		now = now.Add(3*time.Second + 600*time.Microsecond)
		there.resume(box, carry, now.Add(-3*time.Second)) // the times are rounded
		here, there = there, here
	}
	if got := sum(here, now); got != 0 {
		t.Errorf("%d count after 6 minutes", got)
	}
}

// TestResumeKnowsLess resumes with what another process was told before this one spent more.
func TestResumeKnowsLess(t *testing.T) {
	const box = "anna@contoso.test"
	g := newGate(4, Budgets{Sends: Budget{Amount: 30, Per: time.Minute}})
	now := time.Now()
	l := g.limitsOf(box)
	defer g.done(l)
	l.sends.spend(now, 20)
	g.resume(box, spent{Sends: [][2]int64{{10, 5}}}, now)
	if got := l.sends.window.Sum(now); got != 20 {
		t.Errorf("%d count, want 20", got)
	}
}
