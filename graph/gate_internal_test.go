package graph

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestGateEvictsIdleMailboxes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, Budgets{Requests: Budget{10, 10 * time.Minute}})
		release, err := g.acquire(t.Context(), "get", "A@x", cost{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := g.acquire(ctx, "get", "a@X", cost{}); err == nil {
			t.Fatal("a second one came in")
		}
		forgotten := func(after time.Duration) bool {
			time.Sleep(after)
			release, err := g.acquire(t.Context(), "get", "b@x", cost{})
			if err != nil {
				t.Fatal(err)
			}
			defer release()
			return g.mailboxes["a@x"] == nil
		}
		if forgotten(time.Hour) {
			t.Error("a mailbox in use was forgotten")
		}
		release()
		if g.mailboxes["a@x"] == nil {
			t.Error("forgotten at once, with its budgets")
		}
		if !forgotten(11 * time.Minute) {
			t.Error("a mailbox that nobody uses was kept")
		}
	})
}

// throttled returns how long the request has to wait, 0 if it is admitted.
func throttled(t *testing.T, g *gate, c cost) time.Duration {
	t.Helper()
	release, err := g.acquire(t.Context(), "send", "a@x", c)
	var e *Error
	switch {
	case err == nil:
		release()
		return 0
	case errors.As(err, &e) && e.Reason == ReasonThrottled && e.RetryAfter > 0 && !e.Ambiguous:
		return e.RetryAfter
	}
	t.Fatalf("got %v", err)
	return 0
}

func TestBudgets(t *testing.T) {
	for name, tt := range map[string]struct {
		budgets Budgets
		cost    cost
		fit     int // requests at once
	}{
		"requests":          {Budgets{Requests: Budget{7, time.Minute}}, cost{upload: 1 << 40, sends: 9}, 7},
		"upload":            {Budgets{Upload: Budget{100, time.Minute}}, cost{upload: 30, sends: 9}, 3},
		"one is too large":  {Budgets{Upload: Budget{100, time.Minute}}, cost{upload: 300}, 1},
		"sends":             {Budgets{Sends: Budget{2, time.Minute}, Requests: Budget{100, time.Hour}}, cost{upload: 1 << 40, sends: 1}, 2},
		"the scarcest rule": {Budgets{Sends: Budget{3, time.Second}, Requests: Budget{2, time.Minute}}, cost{sends: 1}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGate(4, tt.budgets)
				time.Sleep(1234567 * time.Microsecond) // not at the beginning of a step
				for i := range tt.fit {
					if throttled(t, g, tt.cost) > 0 {
						t.Fatalf("request %d was held back", i+1)
					}
				}
				wait := throttled(t, g, tt.cost)
				if wait < time.Minute || wait > time.Minute+time.Minute/steps {
					t.Fatalf("the next one waits %v", wait)
				}
				if release, err := g.acquire(t.Context(), "send", "b@x", tt.cost); err != nil {
					t.Errorf("another mailbox: %v", err)
				} else {
					release()
				}
				time.Sleep(wait - time.Millisecond)
				if throttled(t, g, tt.cost) == 0 {
					t.Error("let through before its time")
				}
				time.Sleep(time.Millisecond)
				if wait := throttled(t, g, tt.cost); wait > 0 {
					t.Errorf("after the wait, %v more", wait)
				}
			})
		})
	}
}

// No stretch of a window's length exceeds the budget, and in the long run nearly all of the
// budget can be spent.
func TestBudgetInEveryStretch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := Budget{50, time.Minute}
		g := newGate(4, Budgets{Requests: b})
		var at []time.Time
		start := time.Now()
		for time.Since(start) < time.Hour {
			if wait := throttled(t, g, cost{}); wait > 0 {
				time.Sleep(wait)
				continue
			}
			at = append(at, time.Now())
			time.Sleep(time.Duration(len(at)*len(at)%2500) * time.Millisecond)
		}
		for i := int(b.Amount); i < len(at); i++ {
			if stretch := at[i].Sub(at[i-int(b.Amount)]); stretch < b.Per {
				t.Fatalf("51 requests within %v", stretch)
			}
		}
		if want := int(50 * 60 * 8 / 10); len(at) < want {
			t.Errorf("%d requests in an hour, want %d", len(at), want)
		}
	})
}

// After a Retry-After the mailbox is sent no messages until the time is over, not even those
// that were waiting for a slot. Clean-up requests continue.
func TestGateAppliesRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(4, Budgets{})
		enter := func(mailbox string, c cost) error {
			release, err := g.acquire(t.Context(), "create", mailbox, c)
			if err == nil {
				defer release()
				g.applyRetryAfter(mailbox, &Error{Reason: ReasonThrottled, RetryAfter: time.Minute})
			}
			return err
		}
		if err := enter("a@x", cost{pausable: true}); err != nil {
			t.Fatal(err)
		}
		var e *Error
		if err := enter("A@x", cost{pausable: true}); !errors.As(err, &e) || e.Reason != ReasonThrottled || e.RetryAfter != time.Minute {
			t.Errorf("a message: %v, want to be told to wait a minute", err)
		}
		for mailbox, c := range map[string]cost{"a@x": {}, "b@x": {pausable: true}} {
			if err := enter(mailbox, c); err != nil {
				t.Errorf("%s, %+v: %v", mailbox, c, err)
			}
		}
		time.Sleep(time.Minute)
		if err := enter("a@x", cost{pausable: true}); err != nil {
			t.Errorf("after the minute: %v", err)
		}
	})
}
