package attention

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"

	"graphrelay/internal/window"
)

// maxSeries bounds what is remembered of one metric. A metric of the relay has far fewer series.
const maxSeries = 2000

// counters remembers by how much counters have risen. It begins with the process, so that a
// counter which is first seen has risen from 0.
type counters struct {
	last   map[string]float64                          // by series
	within map[string]map[string]*window.Window[int64] // by kind, then by series
}

func newCounters() *counters {
	return &counters{last: map[string]float64{}, within: map[string]map[string]*window.Window[int64]{}}
}

// slots is how finely the time of an increase is divided.
const slots = 60

// rise returns by how much a series has risen within the time of the kind.
func (c *counters) rise(k Kind, series string, value float64, now time.Time) float64 {
	name := k.ID + " " + promDuration(k.Within) // a reload may change it
	all := c.within[name]
	if all == nil {
		all = map[string]*window.Window[int64]{}
		c.within[name] = all
	}
	w := all[series]
	if w == nil {
		if len(all) >= maxSeries {
			c.forget(name, now)
		}
		if len(all) >= maxSeries {
			return 0
		}
		made := window.New[int64](k.Within, slots)
		w = &made
		all[series] = w
	}
	key := name + " " + series
	if value < c.last[key] { // it was forgotten, and begins anew
		c.last[key] = 0
	}
	w.Add(now, int64(value-c.last[key]))
	c.last[key] = value
	return float64(w.Sum(now))
}

// forget removes the series of a kind that have not risen.
func (c *counters) forget(name string, now time.Time) {
	for series, w := range c.within[name] {
		if w.Sum(now) == 0 {
			delete(c.within[name], series)
			delete(c.last, name+" "+series)
		}
	}
}

// byMetric returns what holds of a kind with a metric. known is false if the metric is not among
// what was gathered.
func (c *counters) byMetric(k Kind, families map[string]*dto.MetricFamily, now time.Time) (holds []Observation, known bool) {
	family := families[k.Metric]
	if family == nil {
		return nil, false
	}
	type sum struct {
		labels map[string]string
		value  float64
	}
	sums := map[string]*sum{}
	for _, m := range family.GetMetric() {
		labels := map[string]string{}
		for _, l := range m.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		if !k.matches(labels) {
			continue
		}
		value := m.GetGauge().GetValue() + m.GetCounter().GetValue()
		switch {
		case k.Within > 0:
			value = c.rise(k, fmt.Sprint(labels), value, now)
		case k.Remaining:
			value -= float64(now.UnixMilli()) / 1000
		}
		subject := k.subject(labels)
		if s := sums[subject]; s != nil && k.Within > 0 {
			s.value += value
		} else {
			sums[subject] = &sum{labels, value}
		}
	}
	for _, subject := range slices.Sorted(maps.Keys(sums)) {
		s := sums[subject]
		if k.Compare.holds(s.value, k.Limit) {
			holds = append(holds, Observation{Subject: strings.TrimSpace(subject), Value: s.value, Cause: k.cause(s.labels, s.value)})
		}
	}
	return holds, true
}
