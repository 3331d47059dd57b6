package graphmail

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"graphrelay/internal/histogram"
)

// Metrics counts the requests to Graph, and what messages lose on the way.
type Metrics struct {
	requests   *prometheus.CounterVec
	took       *prometheus.HistogramVec
	throttled  *prometheus.CounterVec
	unreliable *prometheus.CounterVec
	tokens     *prometheus.CounterVec
	losses     *prometheus.CounterVec
}

var buckets = []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120}

// NewMetrics registers the metrics with r.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		requests:  counter("graphrelay_graph_requests_total", "Requests to Graph; status 0: no answer.", "operation", "status"),
		took:      histogram.New("graphrelay_graph_request_seconds", "Time to Graph's answer.", buckets, "operation"),
		throttled: counter("graphrelay_graph_throttled_total", "Answers of Graph that asked to slow down.", "connection"),
		unreliable: counter("graphrelay_lookups_unreliable_total",
			"Look-ups in a mailbox that returned items which were not searched for; they were left alone.", "connection"),
		tokens: counter("graphrelay_token_requests_total", "Requests for a token by result.", "connection", "result"),
		losses: counter("graphrelay_conversion_losses_total", "What messages have lost on their way into Graph.", "kind"),
	}
	r.MustRegister(m.requests, m.took, m.throttled, m.unreliable, m.tokens, m.losses)
	for _, kind := range Losses() {
		m.losses.WithLabelValues(string(kind))
	}
	return m
}

func (m *Metrics) lost(kind Loss) {
	if m != nil {
		m.losses.WithLabelValues(string(kind)).Inc()
	}
}

// Observer returns the graph.Observer of a connection and makes its series appear.
func (m *Metrics) Observer(connection string) *Observer {
	m.throttled.WithLabelValues(connection)
	m.unreliable.WithLabelValues(connection)
	m.tokens.WithLabelValues(connection, "ok")
	m.tokens.WithLabelValues(connection, "failed")
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
	o.m.requests.WithLabelValues(operation, statusLabel(status)).Inc()
	o.m.took.WithLabelValues(operation).Observe(took.Seconds())
}

// statusLabel returns a status as a label. One that nobody has defined, as a proxy may make up, is
// "other", so that the series are bounded.
func statusLabel(status int) string {
	if status != 0 && http.StatusText(status) == "" {
		return "other"
	}
	return strconv.Itoa(status)
}

// Throttled implements graph.Observer.
func (o *Observer) Throttled() { o.m.throttled.WithLabelValues(o.connection).Inc() }

// LookupUnreliable implements graph.Observer.
func (o *Observer) LookupUnreliable() { o.m.unreliable.WithLabelValues(o.connection).Inc() }

// Token implements graph.Observer.
func (o *Observer) Token(err error) {
	result := "ok"
	if err != nil {
		result = "failed"
	}
	o.m.tokens.WithLabelValues(o.connection, result).Inc()
}
