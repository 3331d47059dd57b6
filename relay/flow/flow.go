// Package flow remembers for a day how mail flowed through this relay: what was accepted and what
// became of it, how long deliveries took, and what waited. It is for plots; a Prometheus keeps
// more, for longer.
//
// The counts are those of the relay's metrics, read at short intervals. The memory that they take
// is bounded, whatever the relay does, and a restart begins anew.
package flow

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"graphrelay/relay/queue"
)

const (
	// Interval is how often Sample is to be called, and what a point of the last hour stands for.
	Interval = 10 * time.Second
	hour     = time.Hour
	// coarse is what a point of the last day stands for.
	coarse = 2 * time.Minute
	day    = 24 * time.Hour
)

// Counts are the messages of a stretch of time.
type Counts struct {
	Accepted  int64 `json:"accepted" doc:"Messages that were accepted."`
	Delivered int64 `json:"delivered" doc:"Messages that were delivered."`
	Failed    int64 `json:"failed" doc:"Messages that were not."`
	Returned  int64 `json:"returned" doc:"Non-delivery reports about messages that were sent."`
	Rejected  int64 `json:"rejected" doc:"Refusals of listeners."`
	Throttled int64 `json:"throttled" doc:"Answers of Graph that asked to slow down."`
}

// Point is a stretch of time. Durations are in seconds.
type Point struct {
	At   time.Time `json:"at" doc:"The end of this stretch of time."`
	Over float64   `json:"over_seconds" doc:"How long it was."`
	Counts
	P50 float64 `json:"p50_seconds" doc:"Within which time half of the messages that were delivered went from receipt to Graph's acceptance. 0 if none was delivered."`
	P95 float64 `json:"p95_seconds" doc:"Within which time 95 % of them did."`
	// What was in the queue at the end.
	Waiting int64   `json:"waiting" doc:"Messages that were queued, deferred or being delivered at its end."`
	Held    int64   `json:"held" doc:"Messages that were held at its end."`
	Oldest  float64 `json:"oldest_seconds" doc:"The age of the oldest message that waited or was held. 0 if none was."`
}

// Tally is how many messages failed, or were refused, for a reason.
type Tally struct {
	Reason string `json:"reason" doc:"The reason, from a closed list."`
	N      int64  `json:"n" doc:"How many messages."`
}

// Series is what was seen in a time until now.
type Series struct {
	Since    time.Time `json:"since" doc:"When it begins. What was before is not known, or was not asked for."`
	Points   []Point   `json:"points" nullable:"false" doc:"Stretches of time, the oldest first."`
	Total    Counts    `json:"total" doc:"The counts of all of them."`
	P50      float64   `json:"p50_seconds" doc:"As that of a point, of all deliveries."`
	P95      float64   `json:"p95_seconds" doc:"As that of a point, of all deliveries."`
	Failures []Tally   `json:"failures" nullable:"false" doc:"Why messages failed, the most frequent reason first."`
	Refusals []Tally   `json:"refusals" nullable:"false" doc:"Why messages were refused, the most frequent reason first."`
}

// Recorder remembers.
type Recorder struct {
	metrics prometheus.Gatherer
	now     func() time.Time

	mu     sync.Mutex
	began  time.Time
	last   reading // what the counters were at the last sample
	fine   track
	coarse track
}

// New returns a recorder of metrics that are counted from 0 from now on.
func New(metrics prometheus.Gatherer, now func() time.Time) *Recorder {
	began := now()
	return &Recorder{metrics: metrics, now: now, began: began,
		fine: newTrack(began, 0, int(hour/Interval)), coarse: newTrack(began, coarse, int(day/coarse))}
}

// Delivered counts how long a delivery took.
func (r *Recorder) Delivered(took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fine.next.took.add(took)
	r.coarse.next.took.add(took)
}

// Sample reads the metrics. What cannot be read now is counted by the next call.
func (r *Recorder) Sample() error {
	families, err := r.metrics.Gather()
	read := readMetrics(families)
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	rise := read.since(&r.last)
	for _, t := range []*track{&r.fine, &r.coarse} {
		t.add(rise, read)
		t.close(now)
	}
	return err
}

// Last returns what was seen in a time until now, of at most a day, in points of the length step,
// which are on the multiples of step of the clock. The last one may have begun lately. step is at
// least Interval, and two minutes where the time is more than an hour.
func (r *Recorder) Last(length, step time.Duration) Series {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := &r.fine
	if length > hour {
		t = &r.coarse
	}
	since := r.now().Add(-length)
	s := Series{Since: since, Points: []Point{}}
	if r.began.After(since) {
		s.Since = r.began
	}
	var all, point slot
	for i := range t.slots {
		next := &t.slots[i]
		if !next.At.After(since) {
			continue
		}
		if !point.At.IsZero() && !sameStep(point.At, next.At, step) {
			s.Points = append(s.Points, point.finish())
			point = slot{}
		}
		point.merge(next)
		all.merge(next)
	}
	if !point.At.IsZero() {
		s.Points = append(s.Points, point.finish())
	}
	total := all.finish()
	s.Total, s.P50, s.P95 = total.Counts, total.P50, total.P95
	s.Failures, s.Refusals = all.failures.list(), all.refusals.list()
	return s
}

// sameStep reports whether stretches of time that end at a and b are in the same step.
func sameStep(a, b time.Time, step time.Duration) bool {
	return a.Add(-1).Truncate(step).Equal(b.Add(-1).Truncate(step))
}

func (c *Counts) add(o Counts) {
	c.Accepted += o.Accepted
	c.Delivered += o.Delivered
	c.Failed += o.Failed
	c.Returned += o.Returned
	c.Rejected += o.Rejected
	c.Throttled += o.Throttled
}

// slot is a point with what it is made from.
type slot struct {
	Point
	took               times
	failures, refusals tallies
}

// merge adds what came after the slot.
func (s *slot) merge(o *slot) {
	s.At, s.Over = o.At, s.Over+o.Over
	s.Counts.add(o.Counts)
	s.Waiting, s.Held, s.Oldest = o.Waiting, o.Held, max(s.Oldest, o.Oldest)
	s.took.merge(&o.took)
	if s.failures == nil {
		s.failures, s.refusals = tallies{}, tallies{}
	}
	s.failures.add(o.failures)
	s.refusals.add(o.refusals)
}

func (s *slot) finish() Point {
	s.P50, s.P95 = s.took.quantile(.5), s.took.quantile(.95)
	return s.Point
}

// track is a ring of slots of one length.
type track struct {
	length time.Duration // the least that a slot stands for
	most   int
	slots  []slot // oldest first
	from   time.Time
	next   slot // since then; its At is zero
}

func newTrack(from time.Time, length time.Duration, most int) track {
	return track{length: length, most: most, from: from}
}

// add adds what has happened since the last call, and what is so now.
func (t *track) add(rise change, now reading) {
	n := &t.next
	n.Counts.add(rise.Counts)
	if n.failures == nil {
		n.failures, n.refusals = tallies{}, tallies{}
	}
	n.failures.add(rise.failures)
	n.refusals.add(rise.refusals)
	if now.queueKnown {
		n.Waiting = now.messages[queue.Queued] + now.messages[queue.Deferred] + now.messages[queue.Delivering]
		n.Held = now.messages[queue.Held]
		n.Oldest = now.oldest
	}
}

// close ends the slot if it is long enough. If the clock was set back, what it then had still to
// come to is forgotten: points are in the order of time.
func (t *track) close(now time.Time) {
	if now.Before(t.from) {
		t.slots = slices.DeleteFunc(t.slots, func(s slot) bool { return !s.At.Before(now) })
		t.from = now
	}
	over := now.Sub(t.from)
	if over < t.length || over == 0 {
		return
	}
	t.next.At, t.next.Over = now, over.Seconds()
	if len(t.slots) == t.most {
		t.slots = slices.Delete(t.slots, 0, 1)
	}
	t.slots = append(t.slots, t.next)
	t.from = now
	t.next = slot{Point: Point{Waiting: t.next.Waiting, Held: t.next.Held, Oldest: t.next.Oldest}}
}
