package flow

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"

	"graphrelay/relay/queue"
)

// reading is what the metrics were at one time.
type reading struct {
	counters   map[string]float64 // by name and, where that matters, reason
	messages   map[queue.State]int64
	oldest     float64 // seconds
	queueKnown bool
}

// change is by how much counters have risen.
type change struct {
	Counts
	failures, refusals tallies
}

// counted are the counters that are read.
var counted = map[string]func(c *change, reason string, n int64){
	"graphrelay_messages_accepted_total":  func(c *change, _ string, n int64) { c.Accepted += n },
	"graphrelay_messages_delivered_total": func(c *change, _ string, n int64) { c.Delivered += n },
	"graphrelay_messages_returned_total":  func(c *change, _ string, n int64) { c.Returned += n },
	"graphrelay_graph_throttled_total":    func(c *change, _ string, n int64) { c.Throttled += n },
	"graphrelay_messages_failed_total": func(c *change, reason string, n int64) {
		c.Failed += n
		c.failures[reason] += n
	},
	"graphrelay_messages_rejected_total": func(c *change, reason string, n int64) {
		c.Rejected += n
		c.refusals[reason] += n
	},
}

// separator is in no reason.
const separator = "\n"

func readMetrics(families []*dto.MetricFamily) reading {
	r := reading{counters: map[string]float64{}, messages: map[queue.State]int64{}}
	for _, f := range families {
		name := f.GetName()
		switch {
		case counted[name] != nil:
			for _, m := range f.GetMetric() {
				r.counters[name+separator+label(m, "reason")] += m.GetCounter().GetValue()
			}
		case name == "graphrelay_queue_messages":
			r.queueKnown = true
			for _, m := range f.GetMetric() {
				r.messages[queue.State(label(m, "state"))] = int64(m.GetGauge().GetValue())
			}
		case name == "graphrelay_queue_oldest_seconds" && len(f.GetMetric()) > 0:
			r.oldest = f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return r
}

func label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// since returns by how much the counters have risen since last, and makes last what they are now.
// Those that could not be read stay as they were.
func (r reading) since(last *reading) change {
	c := change{failures: tallies{}, refusals: tallies{}}
	if last.counters == nil {
		last.counters = map[string]float64{}
	}
	for key, value := range r.counters {
		n := int64(value - last.counters[key])
		last.counters[key] = value
		if n <= 0 {
			continue
		}
		name, reason, _ := strings.Cut(key, separator)
		counted[name](&c, reason, n)
	}
	return c
}

// tallies count by reason. The reasons are those of a closed list.
type tallies map[string]int64

func (t tallies) add(o tallies) {
	for reason, n := range o {
		t[reason] += n
	}
}

// list returns the tallies, the largest first.
func (t tallies) list() []Tally {
	list := make([]Tally, 0, len(t))
	for _, reason := range slices.Sorted(maps.Keys(t)) {
		list = append(list, Tally{reason, t[reason]})
	}
	slices.SortStableFunc(list, func(a, b Tally) int { return cmp.Compare(b.N, a.N) })
	return list
}
