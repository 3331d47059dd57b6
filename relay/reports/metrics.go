package reports

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"graphrelay/relay/queue"
)

// Metrics counts the messages that came back.
type Metrics struct {
	returned *prometheus.CounterVec
	mu       sync.Mutex
	codes    map[string]bool // that are labels
}

// maxCodes bounds the codes that are labels: anyone can write a report.
const maxCodes = 100

const otherCode = "other"

// watchedCodes are the codes whose series start at 0, so that the first report is seen as an
// increase: what keeps all mail of a mailbox or tenant from being delivered.
var watchedCodes = []string{"5.7.232", "5.7.233", "5.7.236", "5.1.8", "5.1.90", otherCode}

// NewMetrics registers the metrics with r.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{codes: map[string]bool{}, returned: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "graphrelay_messages_returned_total",
		Help: "Messages for which a non-delivery report came, by its enhanced status code."}, []string{"connection", "code"})}
	r.MustRegister(m.returned)
	return m
}

// Prepare makes the series of a connection appear.
func (m *Metrics) Prepare(connection string) {
	for _, code := range watchedCodes {
		m.returned.WithLabelValues(connection, m.label(code))
	}
}

// count counts a report about a message, once for each of its codes.
func (m *Metrics) count(connection string, returns []queue.Return) {
	seen := map[string]bool{}
	for _, r := range returns {
		if code := m.label(r.Code); !seen[code] {
			seen[code] = true
			m.returned.WithLabelValues(connection, code).Inc()
		}
	}
}

// label returns the code, which is valid or empty, or "other".
func (m *Metrics) label(code string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if code == "" || !m.codes[code] && len(m.codes) >= maxCodes {
		return otherCode
	}
	m.codes[code] = true
	return code
}
