package alert

import "github.com/prometheus/client_golang/prometheus"

// The results of graphrelay_alerts_sent_total.
const (
	resultOK         = "ok"
	resultFailed     = "failed"     // one try, which is repeated
	resultDropped    = "dropped"    // given up
	resultSuppressed = "suppressed" // told in a summary
)

// heartbeatChannel is the name under which heartbeats are counted.
const heartbeatChannel = "heartbeat"

// Metrics counts what channels are told.
type Metrics struct{ sent *prometheus.CounterVec }

// NewMetrics registers the metrics with r.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{prometheus.NewCounterVec(prometheus.CounterOpts{Name: "graphrelay_alerts_sent_total",
		Help: "Alerts by channel, and heartbeats, by result: ok, failed (one try), suppressed (told in a summary) or dropped (given up)."}, []string{"channel", "result"})}
	r.MustRegister(m.sent)
	m.prepare(heartbeatChannel)
	return m
}

func (m *Metrics) prepare(channel string) {
	for _, result := range []string{resultOK, resultFailed, resultDropped, resultSuppressed} {
		m.sent.WithLabelValues(channel, result)
	}
}

func (m *Metrics) count(channel, result string) { m.sent.WithLabelValues(channel, result).Inc() }
