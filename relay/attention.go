package relay

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"graphrelay/relay/attention"
	"graphrelay/relay/config"
	"graphrelay/relay/operations"
)

// Attention returns what needs an operator now, the most severe first. While the incidents cannot be
// read, it has no references.
func (r *Relay) Attention(ctx context.Context) []operations.Condition {
	incidents, _ := r.alerts.List(ctx, false)
	type about struct{ id, subject string }
	references := map[about]string{}
	for _, i := range incidents {
		references[about{i.ID, i.Subject}] = i.Ref
	}
	list := []operations.Condition{}
	for _, c := range r.attention.Conditions() {
		list = append(list, operations.Condition{Reference: references[about{c.ID, c.Subject}], Condition: c})
	}
	return list
}

// newEvaluator returns what finds the conditions that need an operator.
func (r *Relay) newEvaluator(first *config.Config, log *slog.Logger) *attention.Evaluator {
	return attention.New(attention.State{
		Metrics: r.registry, Queue: r.store, Ready: r.ready,
		Redirect:         func() string { return r.generation().cfg.Delivery.RedirectAll },
		ExpiryNotice:     r.expiryNotice,
		ReloadFault:      func() string { fault, _ := r.reloadFault.Load().(string); return fault },
		NodesDiffer:      r.differing.is.Load,
		RefusedMailboxes: r.refusedMailboxes, RefusedDevices: r.refusedDevices, LearningWindows: r.learningWindows, Starts: r.alerts.Starts,
	}, func() []attention.Kind {
		if g := r.generation(); g != nil {
			return g.cfg.Alerts.Kinds()
		}
		return first.Alerts.Kinds()
	}, time.Now, log)
}

// expiryNotice says what to do about the credential of a connection.
func (r *Relay) expiryNotice(connection string) string {
	c := r.generation().cfg.ConnectionOf("", connection)
	if c == nil {
		return ""
	}
	return c.ExpiryNotice(time.Now())
}

// refusedMailboxes returns the connected mailboxes that Microsoft refuses, by connection.
func (r *Relay) refusedMailboxes(ctx context.Context) (map[string][]string, error) {
	store := r.generation().mailboxes
	if store == nil {
		return nil, nil
	}
	list, err := store.List(ctx)
	refused := map[string][]string{}
	for _, m := range list {
		if m.Refused != "" {
			refused[m.Connection] = append(refused[m.Connection], m.Address)
		}
	}
	return refused, err
}

// watch looks for what needs an operator and tells of it, and looks at how mail flows, until the
// relay stops.
func (r *Relay) watch() {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	r.stopWatching = func() { cancel(); all.Wait() }
	all.Go(func() { r.sampleFlow(ctx) })
	all.Go(func() {
		r.attention.Run(ctx, func() time.Duration { return time.Duration(r.generation().cfg.Alerts.CheckEvery) }, r.alerts.Step)
	})
}
