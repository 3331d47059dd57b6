package flow

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// rig is a recorder of metrics that a test sets.
type rig struct {
	*Recorder
	now                 time.Time
	registry            *prometheus.Registry
	gatherErr           error
	accepted, delivered prometheus.Counter
	failed, rejected    *prometheus.CounterVec
	states              *prometheus.GaugeVec
	oldest              prometheus.Gauge
}

func (r *rig) Gather() ([]*dto.MetricFamily, error) {
	if r.gatherErr != nil {
		return nil, r.gatherErr
	}
	return r.registry.Gather()
}

func newRig() *rig {
	r := &rig{now: time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC), registry: prometheus.NewRegistry()}
	acceptedVec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "graphrelay_messages_accepted_total"}, []string{"listener"})
	r.accepted = acceptedVec.WithLabelValues("devices")
	deliveredVec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "graphrelay_messages_delivered_total"}, []string{"connection", "path"})
	r.delivered = deliveredVec.WithLabelValues("contoso", "draft")
	r.failed = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "graphrelay_messages_failed_total"}, []string{"connection", "reason"})
	r.rejected = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "graphrelay_messages_rejected_total"}, []string{"listener", "reason"})
	r.states = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "graphrelay_queue_messages"}, []string{"state"})
	r.oldest = prometheus.NewGauge(prometheus.GaugeOpts{Name: "graphrelay_queue_oldest_seconds"})
	r.registry.MustRegister(acceptedVec, deliveredVec, r.failed, r.rejected, r.states, r.oldest)
	r.Recorder = New(r, func() time.Time { return r.now })
	return r
}

// pass lets time pass, with a sample each Interval.
func (r *rig) pass(t *testing.T, length time.Duration, each func(i int)) {
	t.Helper()
	for i := range int(length / Interval) {
		if each != nil {
			each(i)
		}
		r.now = r.now.Add(Interval)
		if err := r.Sample(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCounts(t *testing.T) {
	r := newRig()
	r.accepted.Add(3) // before the first sample, in the first interval
	r.delivered.Add(2)
	r.failed.WithLabelValues("contoso", "send_denied").Add(1)
	r.failed.WithLabelValues("other", "send_denied").Add(1)
	r.failed.WithLabelValues("other", "too_large").Add(1)
	r.rejected.WithLabelValues("devices", "sender").Add(4)
	r.states.WithLabelValues("queued").Set(5)
	r.states.WithLabelValues("deferred").Set(2)
	r.states.WithLabelValues("held").Set(1)
	r.states.WithLabelValues("sent").Set(99)
	r.oldest.Set(90)
	r.Delivered(time.Second)
	r.Delivered(3 * time.Second)
	r.pass(t, Interval, nil)
	r.accepted.Add(1)
	r.pass(t, 2*Interval, nil)

	s := r.Last(time.Hour, Interval)
	if want := (Counts{Accepted: 4, Delivered: 2, Failed: 3, Rejected: 4}); s.Total != want {
		t.Errorf("total %+v, want %+v", s.Total, want)
	}
	if want := []Tally{{"send_denied", 2}, {"too_large", 1}}; !reflect.DeepEqual(s.Failures, want) {
		t.Errorf("failures %v, want %v", s.Failures, want)
	}
	if want := []Tally{{"sender", 4}}; !reflect.DeepEqual(s.Refusals, want) {
		t.Errorf("refusals %v, want %v", s.Refusals, want)
	}
	if len(s.Points) != 3 {
		t.Fatalf("%d points", len(s.Points))
	}
	p := s.Points[0]
	if p.Accepted != 3 || p.Waiting != 7 || p.Held != 1 || p.Oldest != 90 || p.Over != 10 || !p.At.Equal(r.now.Add(-2*Interval)) {
		t.Errorf("%+v", p)
	}
	if p.P50 < .9 || p.P50 > 1.1 || p.P95 < 2.7 || p.P95 > 3.3 {
		t.Errorf("p50 %v, p95 %v", p.P50, p.P95)
	}
	if p := s.Points[1]; p.Accepted != 1 || p.P50 != 0 || p.Waiting != 7 {
		t.Errorf("%+v", p)
	}
	if !s.Since.Equal(r.began) {
		t.Errorf("since %v, want the start", s.Since)
	}
}

// TestBounded checks what is kept of a week, and that no message of it is counted twice or lost.
func TestBounded(t *testing.T) {
	r := newRig()
	r.pass(t, 3*day, func(int) {
		r.accepted.Add(1)
		r.Delivered(time.Second)
	})
	for _, test := range []struct {
		length, step time.Duration
		points       int
		total        int64
	}{
		{time.Hour, Interval, 360, 360}, {time.Hour, time.Minute, 60, 360}, {10 * time.Minute, time.Minute, 10, 60},
		{day, coarse, 720, 24 * 360}, {day, time.Hour, 24, 24 * 360}, {6 * time.Hour, 10 * time.Minute, 36, 6 * 360}, {7 * day, coarse, 720, 24 * 360},
	} {
		s := r.Last(test.length, test.step)
		if len(s.Points) != test.points || s.Total.Accepted != test.total {
			t.Errorf("%v: %d points with %d messages, want %d with %d", test.length, len(s.Points), s.Total.Accepted, test.points, test.total)
		}
		if s.P95 < .95 || s.P95 > 1.05 {
			t.Errorf("%v: p95 is %v", test.length, s.P95)
		}
		for i := 1; i < len(s.Points); i++ {
			if !s.Points[i].At.After(s.Points[i-1].At) {
				t.Fatalf("%v: point %d is not after the one before", test.length, i)
			}
		}
	}
}

// TestClockSetBack checks that points stay in the order of time.
func TestClockSetBack(t *testing.T) {
	r := newRig()
	r.pass(t, time.Hour, nil)
	r.now = r.now.Add(-10 * time.Minute)
	r.accepted.Add(1)
	r.pass(t, 20*time.Minute, nil)
	s := r.Last(time.Hour, Interval)
	for i := 1; i < len(s.Points); i++ {
		if !s.Points[i].At.After(s.Points[i-1].At) {
			t.Fatalf("point %d at %v is not after %v", i, s.Points[i].At, s.Points[i-1].At)
		}
	}
	if s.Total.Accepted != 1 {
		t.Errorf("%d messages", s.Total.Accepted)
	}
}

// TestUnreadable checks that what could not be read is counted later, and is no fall to 0.
func TestUnreadable(t *testing.T) {
	r := newRig()
	r.accepted.Add(2)
	r.states.WithLabelValues("queued").Set(5)
	r.pass(t, Interval, nil)
	r.gatherErr = errors.New("the queue does not answer")
	r.accepted.Add(3)
	r.now = r.now.Add(Interval)
	if err := r.Sample(); err == nil {
		t.Error("no error")
	}
	r.gatherErr = nil
	r.pass(t, Interval, nil)
	s := r.Last(time.Hour, Interval)
	if s.Total.Accepted != 5 || s.Points[1].Waiting != 5 || s.Points[1].Accepted != 0 {
		t.Errorf("%+v", s)
	}
}

func TestQuantiles(t *testing.T) {
	var times times
	for i := 1; i <= 1000; i++ {
		times.add(time.Duration(i) * 10 * time.Millisecond)
	}
	for q, want := range map[float64]float64{.5: 5, .95: 9.5, 1: 10} {
		if got := times.quantile(q); got < want*.94 || got > want*1.06 {
			t.Errorf("%v: %v, want %v", q, got, want)
		}
	}
	for _, d := range []time.Duration{0, -1, time.Microsecond, 14 * day, 1 << 62} {
		times.add(d)
	}
	if got := fmt.Sprint(times.buckets[0], times.buckets[most-1]); got != "3 2" {
		t.Errorf("the outer buckets have %s", got)
	}
}
