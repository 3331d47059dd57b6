package delivery

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"graphrelay/graph"
	"graphrelay/relay/bounce"
	"graphrelay/relay/queue"
)

// Metrics counts deliveries and the requests to Graph behind them.
type Metrics struct {
	delivered *prometheus.CounterVec
	failed    *prometheus.CounterVec
	bounces   *prometheus.CounterVec
	unbounced *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
	requests  *prometheus.CounterVec
	took      *prometheus.HistogramVec
	throttled *prometheus.CounterVec
	tokens    *prometheus.CounterVec
}

var (
	deliveryBuckets = []float64{.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400}
	requestBuckets  = []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120}
)

// NewMetrics registers the metrics with r.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64, label string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, []string{label})
	}
	m := &Metrics{
		delivered: counter("graphrelay_messages_delivered_total", "Messages that Graph accepted for sending.", "connection", "path"),
		failed:    counter("graphrelay_messages_failed_total", "Messages that were given up.", "connection", "reason"),
		bounces:   counter("graphrelay_bounces_total", "Notifications to senders that were queued: failed, delayed, relayed.", "connection", "kind"),
		unbounced: counter("graphrelay_bounces_impossible_total", "Messages that failed and are held since nobody can be told.", "connection"),
		seconds:   histogram("graphrelay_delivery_seconds", "Time from receipt to Graph's acceptance.", deliveryBuckets, "connection"),
		requests:  counter("graphrelay_graph_requests_total", "Requests to Graph; status 0: no answer.", "operation", "status"),
		took:      histogram("graphrelay_graph_request_seconds", "Time to Graph's answer.", requestBuckets, "operation"),
		throttled: counter("graphrelay_graph_throttled_total", "Answers of Graph that asked to slow down.", "connection"),
		tokens:    counter("graphrelay_token_requests_total", "Requests for a token by result.", "connection", "result"),
	}
	r.MustRegister(m.delivered, m.failed, m.bounces, m.unbounced, m.seconds, m.requests, m.took, m.throttled, m.tokens)
	return m
}

func (m *Metrics) sent(connection, path string, took time.Duration) {
	m.delivered.WithLabelValues(connection, path).Inc()
	m.seconds.WithLabelValues(connection).Observe(took.Seconds())
}

// failures are the reasons for which Graph's answers fail a message at once. Their
// series start at 0, so that the first failure is seen to be one.
var failures = []graph.Reason{graph.ReasonInvalid, graph.ReasonRecipients, graph.ReasonTooLarge, graph.ReasonMailbox, graph.ReasonSendDenied}

// ended counts failures, and what is said of any end.
func (m *Metrics) ended(connection string, o queue.Outcome, unbounced bool) {
	if o.State == queue.Failed || unbounced {
		m.failed.WithLabelValues(connection, string(o.Reason)).Inc()
	}
	if unbounced {
		m.unbounced.WithLabelValues(connection).Inc()
	}
	if o.Notification != nil {
		kind := map[queue.State]bounce.Action{queue.Failed: bounce.Failed, queue.Deferred: bounce.Delayed, queue.Sent: bounce.Relayed}[o.State]
		m.bounces.WithLabelValues(connection, string(kind)).Inc()
	}
}

// Observer returns the graph.Observer of a connection and makes its series appear.
func (m *Metrics) Observer(connection string) *Observer {
	m.delivered.WithLabelValues(connection, pathDraft)
	m.seconds.WithLabelValues(connection)
	m.throttled.WithLabelValues(connection)
	m.unbounced.WithLabelValues(connection)
	for _, kind := range []bounce.Action{bounce.Failed, bounce.Delayed, bounce.Relayed} {
		m.bounces.WithLabelValues(connection, string(kind))
	}
	m.tokens.WithLabelValues(connection, "ok")
	m.tokens.WithLabelValues(connection, "failed")
	for _, reason := range failures {
		m.failed.WithLabelValues(connection, string(reason))
	}
	m.requests.WithLabelValues("send", "202")
	m.took.WithLabelValues("send")
	return &Observer{m, connection}
}

// Observer counts one connection's requests.
type Observer struct {
	m          *Metrics
	connection string
}

// Request implements graph.Observer.
func (o *Observer) Request(operation string, status int, took time.Duration) {
	o.m.requests.WithLabelValues(operation, strconv.Itoa(status)).Inc()
	o.m.took.WithLabelValues(operation).Observe(took.Seconds())
}

// Throttled implements graph.Observer.
func (o *Observer) Throttled() { o.m.throttled.WithLabelValues(o.connection).Inc() }

// Token implements graph.Observer.
func (o *Observer) Token(ok bool) {
	result := "ok"
	if !ok {
		result = "failed"
	}
	o.m.tokens.WithLabelValues(o.connection, result).Inc()
}
