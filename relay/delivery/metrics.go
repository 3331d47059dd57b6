package delivery

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"graphrelay/internal/histogram"
	"graphrelay/relay/bounce"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// Metrics counts deliveries.
type Metrics struct {
	delivered *prometheus.CounterVec
	failed    *prometheus.CounterVec
	bounces   *prometheus.CounterVec
	unbounced *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
}

var buckets = []float64{.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400}

// NewMetrics registers the metrics with r.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		delivered: counter("graphrelay_messages_delivered_total", "Messages that Graph accepted for sending.", "connection", "path"),
		failed:    counter("graphrelay_messages_failed_total", "Messages that were given up.", "connection", "reason"),
		bounces:   counter("graphrelay_bounces_total", "Notifications to senders that were queued: failed, delayed, relayed.", "connection", "kind"),
		unbounced: counter("graphrelay_bounces_impossible_total", "Failures, of a message or for one of its recipients, of which nobody can be told.", "connection"),
		seconds:   histogram.New("graphrelay_delivery_seconds", "Time from receipt to Graph's acceptance.", buckets, "connection"),
	}
	r.MustRegister(m.delivered, m.failed, m.bounces, m.unbounced, m.seconds)
	return m
}

// failures are the reasons for which an outlet refuses a message for good. Their series
// start at 0, so that the first failure is seen as an increase.
var failures = []reason.Reason{reason.InvalidMessage, reason.InvalidRecipients, reason.TooLarge, reason.MailboxUnknown, reason.SendDenied}

// Prepare makes the series of a connection appear, whose messages usually go by path.
func (m *Metrics) Prepare(connection, path string) {
	m.delivered.WithLabelValues(connection, path)
	m.seconds.WithLabelValues(connection)
	m.unbounced.WithLabelValues(connection)
	for _, kind := range []bounce.Action{bounce.Failed, bounce.Delayed, bounce.Relayed} {
		m.bounces.WithLabelValues(connection, string(kind))
	}
	for _, why := range failures {
		m.failed.WithLabelValues(connection, string(why))
	}
}

func (m *Metrics) sent(connection, path string, took time.Duration) {
	m.delivered.WithLabelValues(connection, path).Inc()
	m.seconds.WithLabelValues(connection).Observe(took.Seconds())
}

// ended counts failures and notifications.
func (m *Metrics) ended(connection string, o queue.Outcome, unbounced bool, notified []bounce.Action) {
	if o.State == queue.Failed || unbounced && o.State != queue.Sent {
		m.failed.WithLabelValues(connection, string(o.Reason)).Inc()
	}
	if unbounced {
		m.unbounced.WithLabelValues(connection).Inc()
	}
	if o.Refusal != "" { // see countOffered
		return
	}
	for _, kind := range notified {
		m.bounces.WithLabelValues(connection, string(kind)).Inc()
	}
}

// countOffered counts the notifications of an outcome whose refusal a session may be told instead:
// once it is certain that it was not. A process that ends before does not count them.
func (j *job) countOffered(o queue.Outcome) {
	if o.Refusal == "" || len(o.Notifications) == 0 {
		return
	}
	n, _, err := j.d.work.Get(context.Background(), o.Notifications[0].ID)
	switch wait := n.Due.Sub(j.d.work.Now()); {
	case err != nil: // the session was told
	case n.State == queue.Deferred && n.Attempts == 0 && wait > 0:
		time.AfterFunc(wait+pollEvery, func() { j.countOffered(o) })
	default:
		for _, kind := range j.notified {
			j.d.metrics.bounces.WithLabelValues(j.task.Lane.Connection, string(kind)).Inc()
		}
	}
}
