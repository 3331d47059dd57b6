package graph

import (
	"testing"
	"time"
)

func TestUsage(t *testing.T) {
	g := newGate(4, Budgets{Requests: Budget{100, 10 * time.Minute}, Upload: Budget{1 << 20, 5 * time.Minute}})
	if u := g.usage("a@x.test", time.Now()); u.Requests != 0 || u.Concurrency != 4 || len(u.Budgets) != 2 || len(g.mailboxes) != 0 {
		t.Errorf("of a mailbox that nobody used: %+v", u)
	}
	release, err := g.acquire(t.Context(), "attach", "A@x.test", cost{upload: 1000})
	if err != nil {
		t.Fatal(err)
	}
	g.applyRetryAfter("a@x.test", &Error{RetryAfter: time.Minute})
	u := g.usage("a@X.test", time.Now())
	if u.Requests != 1 || u.Budgets[0].Used != 1 || u.Budgets[0].Of != "requests" || u.Budgets[1].Used != 1000 || u.PausedUntil.IsZero() {
		t.Errorf("%+v", u)
	}
	release()
	if u := g.usage("a@x.test", time.Now()); u.Requests != 0 || u.Budgets[0].Used != 1 {
		t.Errorf("after the request: %+v", u)
	}
}
