package delivery

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/internal/permit"
	"graphrelay/relay/queue"
)

// TestTenure has a lease end, be renewed in time and too late.
func TestTenure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var alone tenure
		if ctx := alone.work(t.Context()); ctx != t.Context() || !alone.held() || permit.Check(ctx) != nil {
			t.Error("a node that is alone has an end of its tenure")
		}

		hard, stop := context.WithCancel(t.Context())
		defer stop()
		var n tenure
		n.extend(hard, time.Now().Add(15*time.Second))
		work := n.work(hard)
		time.Sleep(10 * time.Second)
		n.extend(hard, time.Now().Add(15*time.Second))
		time.Sleep(14 * time.Second)
		synctest.Wait()
		if work.Err() != nil || permit.Check(work) != nil || !n.held() {
			t.Fatal("work that was begun before a renewal has ended with the lease before it")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if work.Err() == nil || !errors.Is(permit.Check(work), queue.ErrFenced) || n.held() {
			t.Fatal("work goes on after the end of the lease")
		}

		n.extend(hard, time.Now().Add(15*time.Second))
		if permit.Check(work) == nil || work.Err() == nil {
			t.Error("a renewal that came too late has revived work that others may have taken over")
		}
		again := n.work(hard)
		if permit.Check(again) != nil || !n.held() {
			t.Error("after a renewal there is no work")
		}
		stop()
		if again.Err() == nil || permit.Check(again) == nil {
			t.Error("work goes on after the stop")
		}
	})
}

// TestTenureAfterSleep has the machine sleep past the end of the lease, which the monotonic clock
// does not count.
func TestTenureAfterSleep(t *testing.T) {
	var n tenure
	n.extend(t.Context(), time.Now().Add(time.Hour))
	work := n.work(t.Context())
	n.mu.Lock()
	n.wall = time.Now().Round(0).Add(-time.Nanosecond)
	n.mu.Unlock()
	if err := permit.Check(work); !errors.Is(err, queue.ErrFenced) {
		t.Errorf("a step after the end of the lease: %v", err)
	}
}

// TestTenureAfterJump has the wall clock jump past the end of the lease, and back before the
// renewal. What was claimed until then stays given up, and what is claimed afterwards is worked on.
func TestTenureAfterJump(t *testing.T) {
	var n tenure
	n.extend(t.Context(), time.Now().Add(time.Hour))
	before := n.work(t.Context())
	n.mu.Lock()
	wall := n.wall
	n.wall = time.Now().Round(0).Add(-time.Nanosecond)
	n.mu.Unlock()
	if n.held() {
		t.Error("the tenure lasts after the end of the lease")
	}
	n.mu.Lock()
	n.wall = wall
	n.mu.Unlock()
	n.extend(t.Context(), time.Now().Add(time.Hour))
	if before.Err() == nil {
		t.Error("work goes on that was given up")
	}
	if work := n.work(t.Context()); work.Err() != nil || permit.Check(work) != nil {
		t.Errorf("work that is claimed after the renewal has ended before it begins: %v", work.Err())
	}
}

// TestTenureUntil has neither a cleanup go on whose time is over, nor one whose node has lost its
// lease.
func TestTenureUntil(t *testing.T) {
	var n tenure
	alone, cancel := n.until(t.Context(), time.Now().Add(time.Hour))
	defer cancel()
	late, cancel := n.until(t.Context(), time.Now())
	defer cancel()
	if err := permit.Check(alone); err != nil {
		t.Errorf("a step in time: %v", err)
	}
	if err := permit.Check(late); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a step after the deadline: %v", err)
	}
	n.extend(t.Context(), time.Now().Add(time.Hour))
	shared, cancel := n.until(t.Context(), time.Now().Add(time.Hour))
	defer cancel()
	if err := permit.Check(shared); err != nil {
		t.Errorf("a step in time on a shared queue: %v", err)
	}
	n.mu.Lock()
	n.ends = time.Now()
	n.mu.Unlock()
	if err := permit.Check(shared); !errors.Is(err, queue.ErrFenced) {
		t.Errorf("a step after the end of the lease: %v", err)
	}
}

// TestTenureWithoutTimers has the process stand still past the end of its lease, so that no
// timer has run yet when it goes on.
func TestTenureWithoutTimers(t *testing.T) {
	var n tenure
	n.extend(t.Context(), time.Now().Add(time.Hour))
	work := n.work(t.Context())
	n.mu.Lock()
	n.ends = time.Now().Add(-time.Nanosecond)
	n.mu.Unlock()
	if err := permit.Check(work); !errors.Is(err, queue.ErrFenced) {
		t.Errorf("a step after the end of the lease: %v", err)
	}
	if work.Err() == nil {
		t.Error("the rest of the work goes on")
	}
}
