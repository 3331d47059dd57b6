package operators

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"graphrelay/internal/bounded"
	"graphrelay/relay/queue"
	"graphrelay/relay/smtpd"
)

// What the audit log takes of sign-ins that were refused. Each network has one record for a while,
// with how many there were; networks beyond the bound have one together. So guesses push nothing
// else out of the log.
const (
	refusalPeriod = 15 * time.Minute
	maxRefusals   = 20 // records of networks in a period
	auditTime     = 5 * time.Second
)

// auditor records sign-ins and sign-outs.
type auditor struct {
	record func(context.Context, queue.Audit) error

	mu       sync.Mutex
	refusals *bounded.Map[refusalKey, *queue.Audit]
}

// refusalKey is where refused sign-ins come from, and how they were tried. The zero value stands
// for all networks beyond the bound.
type refusalKey struct {
	network netip.Prefix
	way     Way
}

func newAuditor(record func(context.Context, queue.Audit) error) *auditor {
	return &auditor{record: record, refusals: bounded.New[refusalKey](4*maxRefusals, func(a *queue.Audit) bounded.Rank {
		if time.Since(a.At) >= refusalPeriod {
			return bounded.Rank{Class: bounded.Expired}
		}
		return bounded.Rank{Used: a.At}
	})}
}

// event records what a person did, in the audit log and in the log.
func (a *auditor) event(ctx context.Context, log *slog.Logger, p Person, action, on string) {
	log.Info("operator", "action", action, "operator", p.String(), "on", on)
	now := time.Now()
	a.store(ctx, log, queue.Audit{ID: queue.NewID(now), At: now, By: p.String(), Action: action, On: on, Changed: 1})
}

// store only logs an error: whoever operates the relay is needed most when its storage is in
// trouble.
func (a *auditor) store(ctx context.Context, log *slog.Logger, audit queue.Audit) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditTime)
	defer cancel()
	if err := a.record(ctx, audit); err != nil {
		log.Error("cannot write the audit log", "action", audit.Action, "error", err)
	}
}

// refused records that a sign-in was refused. name is that of an operator, or empty if there is
// none with the name that was given, which may be a password by mistake. A record is written when
// its count doubles, so that a flood is cheap.
func (a *auditor) refused(ctx context.Context, log *slog.Logger, p Person) {
	audit, write := a.count(p, time.Now())
	if write {
		log.Warn("sign-in of an operator refused", "by", audit.By, "on", audit.On, "times", audit.Changed)
		a.store(ctx, log, audit)
	}
}

func (a *auditor) count(p Person, now time.Time) (audit queue.Audit, write bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	k := refusalKey{smtpd.NetworkPrefix(p.From), p.Way}
	r, ok := a.refusals.Get(k)
	if over := !ok || now.Sub(r.At) >= refusalPeriod; over && a.current(now) >= maxRefusals {
		k = refusalKey{}
		r, ok = a.refusals.Get(k)
	}
	if !ok || now.Sub(r.At) >= refusalPeriod {
		r = &queue.Audit{ID: queue.NewID(now), At: now, By: fmt.Sprintf("unknown (%s, %s)", k.way, k.network), Action: "sign-in refused"}
		if k == (refusalKey{}) {
			r.By = "unknown (other networks)"
		}
		a.refusals.Put(k, r)
	}
	if p.Name != "" {
		r.On = "the last as " + p.Name
	}
	r.Changed++
	return *r, r.Changed&(r.Changed-1) == 0
}

// current returns how many records of networks there are in this period.
func (a *auditor) current(now time.Time) (n int) {
	for k, r := range a.refusals.All() {
		if k != (refusalKey{}) && now.Sub(r.At) < refusalPeriod {
			n++
		}
	}
	return n
}
