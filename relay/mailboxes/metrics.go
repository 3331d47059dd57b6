package mailboxes

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"graphrelay/relay/config"
)

// Collector counts the connected mailboxes at each scrape.
type Collector struct {
	current func() (*config.Config, *Store)
	desc    *prometheus.Desc
}

// NewCollector returns a collector. current returns the configuration in use and its
// store, which is nil if no connection is delegated.
func NewCollector(current func() (*config.Config, *Store)) Collector {
	return Collector{current, prometheus.NewDesc("graphrelay_connected_mailboxes",
		"Mailboxes whose owners have signed in; refused: those whose owners have to connect them again.", []string{"connection", "state"}, nil)}
}

// Describe implements prometheus.Collector.
func (c Collector) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

const countTimeout = 5 * time.Second

// Collect implements prometheus.Collector.
func (c Collector) Collect(ch chan<- prometheus.Metric) {
	cfg, store := c.current()
	if store == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), countTimeout)
	defer cancel()
	all, err := store.List(ctx)
	if err != nil { // a reload may be closing it
		ch <- prometheus.NewInvalidMetric(c.desc, err)
		return
	}
	for _, name := range delegated(cfg) {
		counts := map[string]float64{"connected": 0, "refused": 0}
		for _, m := range all {
			switch {
			case m.Connection != name:
			case m.Refused == "":
				counts["connected"]++
			default:
				counts["refused"]++
			}
		}
		for state, n := range counts {
			ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, n, name, state)
		}
	}
}
