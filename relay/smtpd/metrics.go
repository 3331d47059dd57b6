package smtpd

import (
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"graphrelay/internal/histogram"
	"graphrelay/internal/text"
	"graphrelay/relay/reason"
	"graphrelay/relay/refusals"
)

// The results of graphrelay_smtp_auth_total.
const (
	authOK      = "ok"
	authFailed  = "failed"  // a wrong password
	authBlocked = "blocked" // not checked, after too many wrong ones
	authError   = "error"   // a fault of the relay, or too many at a time
)

// Metrics are the metrics of all listeners.
type Metrics struct {
	connections *prometheus.GaugeVec
	auth        *prometheus.CounterVec
	accepted    *prometheus.CounterVec
	refused     *prometheus.CounterVec
	seconds     *prometheus.HistogramVec
	bytes       *prometheus.HistogramVec
	bare        *prometheus.CounterVec
	panics      *prometheus.CounterVec
}

// NewMetrics returns metrics that are registered with r.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		connections: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "graphrelay_smtp_connections", Help: "Open SMTP connections."}, []string{"listener"}),
		auth: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "graphrelay_smtp_auth_total", Help: "AUTH attempts by result."}, []string{"listener", "result"}),
		accepted: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "graphrelay_messages_accepted_total", Help: "Messages answered with 250."}, []string{"listener"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "graphrelay_messages_rejected_total", Help: "Refusals by reason."}, []string{"listener", "reason"}),
		seconds: histogram.New("graphrelay_accept_seconds", "Time from DATA to the answer.",
			[]float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}, "listener"),
		bytes: histogram.New("graphrelay_message_bytes", "Size of accepted messages.", prometheus.ExponentialBuckets(1<<10, 4, 10), "listener"),
	}
	m.bare = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "graphrelay_smtp_bare_line_endings_total", Help: "Messages with a CR or LF that is not part of a CRLF."}, []string{"listener", "kind", "action"})
	m.panics = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "graphrelay_smtp_panics_total", Help: "Sessions that a fault of the relay ended."}, []string{"listener"})
	r.MustRegister(m.connections, m.auth, m.accepted, m.refused, m.seconds, m.bytes, m.bare, m.panics)
	return m
}

// Prepare makes a listener's series appear with 0 before anything happened.
func (m *Metrics) Prepare(listener string) {
	m.connections.WithLabelValues(listener)
	m.accepted.WithLabelValues(listener)
	m.panics.WithLabelValues(listener)
	m.seconds.WithLabelValues(listener)
	m.bytes.WithLabelValues(listener)
	for _, kind := range []string{"cr", "lf"} {
		m.bare.WithLabelValues(listener, kind, "normalized")
		m.bare.WithLabelValues(listener, kind, "rejected")
	}
	for _, result := range []string{authOK, authFailed, authBlocked, authError} {
		m.auth.WithLabelValues(listener, result)
	}
	for _, r := range reason.Refusals() {
		m.refused.WithLabelValues(listener, string(r))
	}
}

// maxStack is how many bytes of a stack are logged.
const maxStack = 8 << 10

// panicked logs and counts a panic that ended one session and nothing else. value may quote
// the client.
func (s *Server) panicked(value any, stack string, args ...any) {
	s.metrics.panics.WithLabelValues(s.cfg.Name).Inc()
	s.log.Error("a fault in the relay ended a session; please report it",
		append(args, "panic", printable(fmt.Sprint(value)), "stack", text.Shorten(text.Printable(strings.ReplaceAll(stack, "\n", " | ")), maxStack))...)
}

// rejected counts a refusal, and has it remembered.
func (s *Server) rejected(r refusals.Refusal) {
	s.metrics.refused.WithLabelValues(s.cfg.Name, string(r.Reason)).Inc()
	s.cfg.Refusals.Add(s.cfg.Name, r)
}
