package attention

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// Evaluator finds which conditions hold. A condition opens after it has held for the time of its
// kind, and is over when it has been gone for a while.
type Evaluator struct {
	state State
	kinds func() []Kind
	now   func() time.Time
	log   *slog.Logger

	step     sync.Mutex // held during a look
	counters *counters
	fault    string // the last one, which is logged once

	mu      sync.Mutex
	tracked map[key]*tracked
}

type key struct{ ID, Subject string }

// tracked is a condition that holds, or has held until lately.
type tracked struct {
	Condition
	last time.Time // when it last held
	open bool
}

// New returns an evaluator of what state shows. kinds returns the catalogue with the thresholds in
// use, now the time.
func New(state State, kinds func() []Kind, now func() time.Time, log *slog.Logger) *Evaluator {
	return &Evaluator{state: state, kinds: kinds, now: now, log: log, counters: newCounters(), tracked: map[key]*tracked{}}
}

// lookTimeout bounds one look, whatever the queue does.
const lookTimeout = 20 * time.Second

// Look looks at the state once.
func (e *Evaluator) Look(ctx context.Context) {
	e.step.Lock()
	defer e.step.Unlock()
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	families, err := e.gather()
	kinds := e.kinds()
	found, unknown := map[string][]Observation{}, map[string]bool{}
	for _, k := range kinds {
		list, known, e2 := e.find(ctx, k, families)
		found[k.ID], unknown[k.ID] = list, !known
		if e2 != nil && !errors.Is(e2, errUnclear) {
			err = e2
		}
	}
	e.report(ctx, err)
	e.settle(kinds, found, unknown)
}

// find returns the observations of a kind. known is false if they cannot be told now.
func (e *Evaluator) find(ctx context.Context, k Kind, families map[string]*dto.MetricFamily) (list []Observation, known bool, err error) {
	switch look := finders[k.ID]; {
	case k.Outside:
		return nil, true, nil
	case k.Metric != "":
		list, known = e.counters.byMetric(k, families, e.now())
	case look != nil:
		list, err = look(&e.state, ctx, k, e.now())
		known = err == nil
	}
	if explain := explainers[k.ID]; explain != nil && len(list) > 0 {
		explain(&e.state, ctx, list) // what it cannot tell is left as it is
	}
	return list, known, err
}

// gather returns the metrics by name, as far as they can be collected.
func (e *Evaluator) gather() (map[string]*dto.MetricFamily, error) {
	if e.state.Metrics == nil {
		return nil, nil
	}
	list, err := e.state.Metrics.Gather()
	families := map[string]*dto.MetricFamily{}
	for _, f := range list {
		families[f.GetName()] = f
	}
	return families, err
}

// report logs an error when it is another one than at the look before.
func (e *Evaluator) report(ctx context.Context, err error) {
	text := ""
	if err != nil && ctx.Err() == nil {
		text = line(err.Error(), maxText)
	}
	if text != "" && text != e.fault {
		e.log.Warn("cannot see all that may need an operator", "error", text)
	}
	e.fault = text
}

// settle carries over what was found.
func (e *Evaluator) settle(kinds []Kind, found map[string][]Observation, unknown map[string]bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.now()
	byID := map[string]Kind{}
	for _, k := range kinds {
		byID[k.ID] = k
		for _, o := range e.limit(k.ID, found[k.ID]) {
			e.hold(k, o, now)
		}
	}
	for at, t := range e.tracked {
		k, exists := byID[at.ID]
		switch {
		case unknown[at.ID]:
			if t.open && t.last.Before(now) {
				t.last = now
			}
		case t.last.Equal(now):
		case !t.open, !exists, now.Sub(t.last) >= k.Clear:
			delete(e.tracked, at)
		}
	}
}

// hold records that an observation holds now.
func (e *Evaluator) hold(k Kind, o Observation, now time.Time) {
	at := key{k.ID, line(o.Subject, maxSubject)}
	t := e.tracked[at]
	if t == nil {
		t = &tracked{Condition: Condition{Since: now}}
		e.tracked[at] = t
	}
	t.last = now
	t.open = t.open || now.Sub(t.Since) >= k.For
	t.Condition = k.condition(at.Subject, t.Since, o)
}

func (k Kind) condition(subject string, since time.Time, o Observation) Condition {
	c := Condition{
		ID: k.ID, Subject: subject, Severity: k.Severity, Since: since, Summary: k.Summary,
		Cause: line(o.Cause, maxText), Remedy: k.Remedy, Command: k.Command, Page: k.Page,
		Value: o.Value, Count: o.Count, Shared: k.Shared,
	}
	if o.Remedy != "" {
		c.Remedy = line(o.Remedy, maxText)
	}
	if c.Cause == "" {
		c.Cause = k.Summary + "."
	}
	for _, x := range o.Examples[:min(len(o.Examples), maxExamples)] {
		c.Examples = append(c.Examples, line(x, maxSubject))
	}
	return c
}

// limit returns at most maxSubjects observations of a kind, and one that stands for the rest.
// Those that are known already stay.
func (e *Evaluator) limit(id string, list []Observation) []Observation {
	if len(list) <= maxSubjects {
		return list
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b Observation) int { return e.rank(id, a) - e.rank(id, b) })
	rest := list[maxSubjects:]
	others := Observation{Subject: Others, Count: len(rest), Value: float64(len(rest)), Cause: fmt.Sprintf("And %d more.", len(rest))}
	for _, o := range rest[:min(len(rest), maxExamples)] {
		others.Examples = append(others.Examples, o.Subject)
	}
	return append(list[:maxSubjects], others)
}

func (e *Evaluator) rank(id string, o Observation) int {
	if e.tracked[key{id, line(o.Subject, maxSubject)}] != nil {
		return 0
	}
	return 1
}

// Conditions returns those that are open, the most severe first, and among equals the oldest.
func (e *Evaluator) Conditions() []Condition {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := []Condition{}
	for _, t := range e.tracked {
		if t.open {
			list = append(list, t.Condition)
		}
	}
	slices.SortFunc(list, func(a, b Condition) int {
		if s := slices.Index(Severities(), a.Severity) - slices.Index(Severities(), b.Severity); s != 0 {
			return s
		}
		if t := a.Since.Compare(b.Since); t != 0 {
			return t
		}
		return strings.Compare(a.ID+" "+a.Subject, b.ID+" "+b.Subject)
	})
	return list
}

// Restore takes over conditions that were open before the process started. Each stays open until
// it has been gone for as long as any other; one that counts what has happened, such as failures
// within an hour, for that time too if the counts begin anew.
func (e *Evaluator) Restore(list []Condition) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.now()
	byID := map[string]Kind{}
	for _, k := range e.kinds() {
		byID[k.ID] = k
	}
	for _, c := range list {
		k, known := byID[c.ID]
		at := key{c.ID, c.Subject}
		switch t := e.tracked[at]; {
		case !known:
		case t == nil && k.Recorded:
			e.tracked[at] = &tracked{Condition: c, last: now, open: true}
		case t == nil:
			e.tracked[at] = &tracked{Condition: c, last: now.Add(k.Within), open: true}
		default: // it was about to open
			t.open, t.Since = true, c.Since
		}
	}
}

// lookShare is how many times longer than a look the pause after it is at least, so that a large
// queue is not kept busy by them.
const (
	lookShare = 9
	maxPause  = 2 * time.Minute
)

// Run looks from time to time until ctx is done, and calls each after each look. every returns
// the time between two looks.
func (e *Evaluator) Run(ctx context.Context, every func() time.Duration, each func(context.Context)) {
	for ctx.Err() == nil {
		start := time.Now()
		e.Look(ctx)
		took := time.Since(start)
		if ctx.Err() == nil {
			each(ctx)
		}
		select {
		case <-ctx.Done():
		case <-time.After(max(every(), min(lookShare*took, maxPause))):
		}
	}
}
