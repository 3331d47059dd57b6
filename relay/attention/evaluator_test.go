package attention

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// clock is set by tests.
type clock struct{ at time.Time }

func newClock() *clock                { return &clock{time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)} }
func (c *clock) now() time.Time       { return c.at }
func (c *clock) pass(d time.Duration) { c.at = c.at.Add(d) }

// testQueue is a queue of lists.
type testQueue struct {
	clock *clock
	list  []queue.Record
	lanes []queue.LaneStatus
	nodes []queue.NodeStatus
	err   error
}

func (q *testQueue) List(_ context.Context, f queue.Filter) (found []queue.Record, err error) {
	for i := range q.list {
		m := &q.list[i] // thousands of them are not copied at each look
		state := len(f.States) == 0
		for _, s := range f.States {
			state = state || s == m.State
		}
		if state && (len(f.Reasons) == 0 || slices.Contains(f.Reasons, m.Reason)) && !m.Received.Before(f.Since) && (f.Before.IsZero() || m.Received.Before(f.Before)) && len(found) < f.Limit {
			found = append(found, *m)
		}
	}
	return found, q.err
}

func (q *testQueue) Count(ctx context.Context, f queue.Filter) (int64, error) {
	f.Limit = 1000
	list, err := q.List(ctx, f)
	return int64(len(list)), err
}
func (q *testQueue) Lanes(context.Context) ([]queue.LaneStatus, error) { return q.lanes, q.err }
func (q *testQueue) Nodes(context.Context) ([]queue.NodeStatus, error) { return q.nodes, q.err }
func (q *testQueue) Now() time.Time                                    { return q.clock.at }
func (q *testQueue) Wall(t time.Time) time.Time                        { return t }

func evaluator(c *clock, s State) *Evaluator {
	return New(s, Catalogue, c.now, slog.New(slog.DiscardHandler))
}

// only returns the one open condition of a kind, or fails.
func only(t *testing.T, e *Evaluator, id string) Condition {
	t.Helper()
	var found []Condition
	for _, c := range e.Conditions() {
		if c.ID == id {
			found = append(found, c)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s: %+v", id, found)
	}
	return found[0]
}

func ids(e *Evaluator) string {
	var all []string
	for _, c := range e.Conditions() {
		all = append(all, c.ID)
	}
	return strings.Join(all, " ")
}

// TestMetrics moves each metric from its limit, where nothing holds, to where the condition does,
// and back.
func TestMetrics(t *testing.T) {
	for _, k := range Catalogue() {
		if k.Metric == "" {
			continue
		}
		t.Run(k.ID, func(t *testing.T) {
			c := newClock()
			r := prometheus.NewRegistry()
			labels := prometheus.Labels{}
			for _, name := range k.By {
				labels[name] = "x"
			}
			for _, m := range k.Where {
				if labels[m.Label] = m.Values[0]; len(m.Values) > 1 {
					labels[m.Label] = m.Values[1]
				}
			}
			bad, total := false, 0.0
			r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: k.Metric, Help: "x", ConstLabels: labels}, func() float64 {
				fine, ill := k.Limit, k.Limit+1
				switch k.Compare {
				case Below:
					ill = k.Limit - 60
				case Is:
					fine, ill = 1, k.Limit
				}
				switch {
				case k.Within > 0:
					total += ill * float64(bit(bad))
					return total
				case bad:
					fine = ill
				}
				if k.Remaining {
					return float64(c.at.Unix()) + fine
				}
				return fine
			}))
			e := evaluator(c, State{Metrics: r})
			pass := func(d time.Duration) string {
				for ; d > 0; d -= time.Minute {
					c.pass(time.Minute)
					e.Look(t.Context())
				}
				return ids(e)
			}
			if got := pass(k.For + time.Minute); got != "" {
				t.Fatalf("at the limit: %s", got)
			}
			bad = true
			pass(k.For + time.Minute)
			got := only(t, e, k.ID)
			if ids(e) != k.ID || got.Summary != k.Summary || got.Cause == "" || len(k.By) > 0 && got.Subject == "" {
				t.Errorf("%+v", got)
			}
			bad = false
			if got := pass(k.Within + k.Clear - time.Minute); got != k.ID {
				t.Errorf("it was over too soon: %s", got)
			}
			if got := pass(k.Within/slots + 2*time.Minute); got != "" {
				t.Errorf("it is not over: %s", got)
			}
		})
	}
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestHysteresis: a condition that comes and goes is one, and one that was never long enough is
// none.
func TestHysteresis(t *testing.T) {
	c := newClock()
	ready := 1.0
	r := prometheus.NewRegistry()
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "graphrelay_ready", Help: "x"}, func() float64 { return ready }))
	down := errors.New("disk full\r\nX-Evil: yes")
	e := evaluator(c, State{Metrics: r, Ready: func() error { return down }})
	look := func(value float64, after time.Duration) string {
		c.pass(after)
		ready = value
		e.Look(t.Context())
		return ids(e)
	}
	for _, step := range []struct {
		ready float64
		after time.Duration
		want  string
	}{
		{0, 0, ""}, {0, time.Minute, ""}, {1, 30 * time.Second, ""}, // not long enough
		{0, time.Minute, ""}, {0, 119 * time.Second, ""}, {0, time.Second, "RelayNotReady"},
		{1, time.Minute, "RelayNotReady"}, {0, 4 * time.Minute, "RelayNotReady"}, // it came back
		{1, time.Minute, "RelayNotReady"}, {1, 4 * time.Minute, ""},
	} {
		if got := look(step.ready, step.after); got != step.want {
			t.Errorf("%v after %s: %q, want %q", step.ready, step.after, got, step.want)
		}
	}
	look(0, 0)
	look(0, 2*time.Minute)
	got := only(t, e, "RelayNotReady")
	if got.Cause != "New mail is answered with 4xx. disk full  X-Evil: yes." || !got.Since.Equal(c.at.Add(-2*time.Minute)) || got.Severity != Critical {
		t.Errorf("%+v", got)
	}
}

// TestUnknown: while the queue cannot be asked, nothing opens and nothing is over.
func TestUnknown(t *testing.T) {
	c := newClock()
	q := &testQueue{clock: c, lanes: []queue.LaneStatus{{Lane: queue.Lane{Connection: "contoso"}, PausedUntil: queue.Forever, PausedFor: reason.Operator}}}
	e := evaluator(c, State{Queue: q})
	e.Look(t.Context())
	c.pass(5 * time.Minute)
	e.Look(t.Context())
	only(t, e, "ConnectionPaused")
	q.lanes, q.err = nil, queue.ErrAway
	c.pass(time.Hour)
	e.Look(t.Context())
	only(t, e, "ConnectionPaused")
	q.err = nil
	c.pass(time.Minute)
	e.Look(t.Context())
	only(t, e, "ConnectionPaused")
	c.pass(5 * time.Minute)
	e.Look(t.Context())
	if got := ids(e); got != "" {
		t.Error(got)
	}
}

// TestRestore: what was open before a restart stays open until it is seen that it is over, also
// if it counts what happened before.
func TestRestore(t *testing.T) {
	c := newClock()
	r := prometheus.NewRegistry()
	failed := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "graphrelay_messages_failed_total", Help: "x"}, []string{"connection", "reason"})
	failed.WithLabelValues("contoso", "send_denied")
	r.MustRegister(failed)
	e := evaluator(c, State{Metrics: r})
	before := Condition{ID: "MailFailed", Subject: "contoso send_denied", Severity: Warning, Since: c.at.Add(-time.Hour), Cause: "x"}
	e.Restore([]Condition{before, {ID: "NoSuchKind"}})
	for range 64 {
		e.Look(t.Context())
		if got := only(t, e, "MailFailed"); !got.Since.Equal(before.Since) {
			t.Fatalf("%+v", got)
		}
		c.pass(time.Minute)
	}
	c.pass(time.Minute)
	e.Look(t.Context())
	if got := ids(e); got != "" {
		t.Error(got)
	}
}

// TestState has each condition that no metric shows.
func TestState(t *testing.T) {
	c := newClock()
	const week = 7 * day
	lane := queue.Lane{Connection: "contoso", Mailbox: "scanner@contoso.test"}
	record := func(id string, age time.Duration, s queue.State, why reason.Reason) queue.Record {
		return queue.Record{ID: id, Received: c.at.Add(-age), Entry: queue.Entry{Lane: lane, Client: "192.0.2.1"}, Status: queue.Status{State: s, Reason: why, Detail: "no"}}
	}
	for _, tt := range []struct {
		id, subject, cause string
		state              State
	}{
		{"RelayRestarts", "", "It was started 5 times within 60 minutes.", State{Starts: func() []time.Time {
			return []time.Time{c.at.Add(-2 * time.Hour), c.at, c.at, c.at, c.at, c.at.Add(-30 * time.Minute)}
		}}},
		{"NoIntake", "", "Nothing was accepted for 2 hours, in which mail came a week ago.", State{Queue: &testQueue{clock: c, list: func() (all []queue.Record) {
			for range 11 {
				all = append(all, record("A", week+time.Hour, queue.Sent, ""))
			}
			own := record("B", time.Hour, queue.Sent, "")
			own.Client = "" // the relay's own
			return append(all, own)
		}()}}},
		{"ConnectionPaused", "contoso", "The connection contoso is paused until 2026-11-30 13:00 UTC. The relay cannot sign in to Microsoft 365 (sign_in). No mail of it is sent.",
			State{Queue: &testQueue{clock: c, lanes: []queue.LaneStatus{{Lane: lane.Whole(), PausedUntil: c.at.Add(time.Hour), PausedFor: reason.SignIn}}}}},
		{"MailboxPaused", "contoso operator", "The lane contoso/scanner@contoso.test is paused until it is resumed. An operator asked for this (operator).",
			State{Queue: &testQueue{clock: c, lanes: []queue.LaneStatus{{Lane: lane, PausedUntil: queue.Forever, PausedFor: reason.Operator}, {Lane: lane, PausedUntil: c.at}}}}},
		{"MailDamaged", "", "1 message is damaged and held.", State{Queue: &testQueue{clock: c, list: []queue.Record{record("A", 0, queue.Held, reason.Storage), record("B", 0, queue.Held, reason.Operator)}}}},
		{"NodesDiffer", "", "What a message becomes depends on the relay that takes it.", State{NodesDiffer: func() bool { return true }}},
		{"RedirectAll", "", "ALL mail goes to test@contoso.test, and to nobody else.", State{Redirect: func() string { return "test@contoso.test" }}},
		{"DeviceRefused", "192.0.2.7", "The listener devices has refused 192.0.2.7 11 times within 60 minutes, and accepted nothing. The sender is unknown, or this client may not use it (sender).", State{RefusedDevices: func(time.Time) []Device {
			return []Device{{Client: "192.0.2.7", Listener: "devices", Reason: reason.Sender, Refusals: 11, Remedy: "allow it"}, {Client: "192.0.2.8", Refusals: 10}}
		}}},
		{"LearningWindow", "devices", "The listener devices lets in and learns devices of 192.0.2.0/24 that send as *@contoso.test until 2026-11-30 12:15 UTC; 3 learnt so far. anna has opened the window.",
			State{LearningWindows: func() []LearningWindow {
				return []LearningWindow{{Listener: "devices", Network: "192.0.2.0/24", Domain: "contoso.test", By: "anna", Until: c.at.Add(15 * time.Minute), Learnt: 3}}
			}}},
	} {
		t.Run(tt.id, func(t *testing.T) {
			e := evaluator(&clock{c.at}, tt.state)
			e.now = c.now
			time.Local = time.UTC
			e.Look(t.Context())
			for _, x := range e.tracked {
				x.Since = x.Since.Add(-time.Hour)
			}
			e.Look(t.Context())
			got := only(t, e, tt.id)
			if got.Subject != tt.subject || got.Cause != tt.cause || got.Remedy == "" || ids(e) != tt.id {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestBounds: however many mailboxes are paused and devices refused, what is returned is bounded.
func TestBounds(t *testing.T) {
	c := newClock()
	q := &testQueue{clock: c}
	for i := range 10_000 {
		q.lanes = append(q.lanes, queue.LaneStatus{Lane: queue.Lane{Connection: "contoso", Mailbox: fmt.Sprintf("m%d@contoso.test", i)}, PausedUntil: queue.Forever, PausedFor: reason.AccessDenied})
	}
	devices := make([]Device, 1000)
	for i := range devices {
		devices[i] = Device{Client: fmt.Sprintf("192.0.%d.%d", i/250, i%250), Refusals: 100, Remedy: strings.Repeat("x", 10_000)}
	}
	e := evaluator(c, State{Queue: q, RefusedDevices: func(time.Time) []Device { return devices }})
	e.Look(t.Context())
	first := e.Conditions()[0].Subject
	c.pass(5 * time.Minute)
	devices = append([]Device{{Client: "192.0.2.250", Refusals: 1000}}, devices...)
	e.Look(t.Context())
	paused := only(t, e, "MailboxPaused")
	if paused.Count != 10_000 || len(paused.Examples) != maxExamples || !strings.HasPrefix(paused.Cause, "10000 lanes of the connection contoso are paused") {
		t.Errorf("%+v", paused)
	}
	all := e.Conditions()
	if len(all) != 1+maxSubjects+1 || all[0].Subject != first {
		t.Errorf("%d conditions, the first of %s and before of %s", len(all), all[0].Subject, first)
	}
	for _, x := range all {
		if len(x.Remedy) > maxText+len("…") || len(x.Cause) > maxText+len("…") {
			t.Errorf("a text of %d and %d bytes", len(x.Remedy), len(x.Cause))
		}
	}
}
