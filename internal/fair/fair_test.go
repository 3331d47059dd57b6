package fair

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A client that wants hundreds of slots delays another by one turn at most.
func TestTurns(t *testing.T) {
	for _, limits := range []Limits{{Slots: 1, PerClient: 1, Waiting: 1000}, {Slots: 4, PerClient: 4, Waiting: 1000}, {Slots: 4, PerClient: 2, Waiting: 1000}} {
		synctest.Test(t, func(t *testing.T) {
			s := New[string](limits)
			var all sync.WaitGroup
			use := func(client string) {
				release, err := s.Acquire(t.Context(), client)
				if err != nil {
					t.Error(err)
					return
				}
				time.Sleep(time.Second)
				release()
			}
			for range 400 {
				all.Go(func() { use("greedy") })
			}
			for i := range 3 {
				time.Sleep(1500 * time.Millisecond)
				start := time.Now()
				use(fmt.Sprint("other ", i))
				if took := time.Since(start); took > 2*time.Second {
					t.Errorf("%+v: it took %s", limits, took)
				}
			}
			all.Wait()
			if s.used != 0 || s.waiting != 0 || len(s.clients) != 0 {
				t.Errorf("%+v: left are %d, %d, %d", limits, s.used, s.waiting, len(s.clients))
			}
		})
	}
}

// Beyond the bound the client with the most waiters makes room; others do not for each other.
func TestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New[string](Limits{Slots: 1, PerClient: 1, Waiting: 10})
		release, _ := s.Acquire(t.Context(), "first")
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		var mu sync.Mutex
		busy := map[string]int{}
		wait := func(client string) {
			all.Go(func() {
				release, err := s.Acquire(ctx, client)
				switch {
				case err == nil:
					release()
				case errors.Is(err, ErrBusy):
					mu.Lock()
					defer mu.Unlock()
					busy[client]++
				}
			})
			synctest.Wait()
		}
		for range 20 {
			wait("greedy")
		}
		for i := range 20 {
			wait(fmt.Sprint("other ", i))
		}
		mu.Lock()
		if busy["greedy"] != 19 || len(busy) != 12 || s.Waiting() != 10 {
			t.Errorf("%d wait, and sent away are %v", s.Waiting(), busy)
		}
		mu.Unlock()
		cancel()
		all.Wait()
		release()
		if s.used != 0 || s.waiting != 0 || len(s.clients) != 0 {
			t.Errorf("left are %d, %d, %d", s.used, s.waiting, len(s.clients))
		}
	})
}

func TestAcquireIsAbandoned(t *testing.T) {
	s := New[int](Limits{Slots: 1, PerClient: 1, Waiting: 5})
	release, err := s.Acquire(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Acquire(ctx, 1); !errors.Is(err, context.Canceled) || s.Waiting() != 0 {
		t.Errorf("got %v, and %d wait", err, s.Waiting())
	}
	release()
	if again, err := s.Acquire(t.Context(), 2); err != nil {
		t.Error(err)
	} else {
		again()
	}
}
