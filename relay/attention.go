package relay

import (
	"context"
	"sync"
	"time"

	"graphrelay/relay/attention"
	"graphrelay/relay/config"
)

// attentionInterval is how often the relay looks for what needs an operator.
const attentionInterval = 15 * time.Second

// Attention returns what needs an operator now, the most severe first.
func (r *Relay) Attention() []attention.Condition { return r.attention.Conditions() }

// newEvaluator returns what finds the conditions that need an operator.
func (r *Relay) newEvaluator() *attention.Evaluator {
	return attention.New(attention.State{
		Metrics: r.registry, Queue: r.store, Ready: r.ready,
		Config:           func() *config.Config { return r.generation().cfg },
		ReloadFault:      func() string { fault, _ := r.reloadFault.Load().(string); return fault },
		NodesDiffer:      r.differing.is.Load,
		RefusedMailboxes: r.refusedMailboxes,
		RefusedDevices:   r.refusedDevices,
	}, attention.Catalogue, time.Now, r.Log())
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

// watch looks for what needs an operator, and at how mail flows, until the relay stops.
func (r *Relay) watch() {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	r.stopWatching = func() { cancel(); all.Wait() }
	all.Go(func() { r.sampleFlow(ctx) })
	all.Go(func() {
		r.attention.Run(ctx, func() time.Duration { return attentionInterval }, func(context.Context) {})
	})
}
