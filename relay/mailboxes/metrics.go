//go:build ignore

package relay

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// mailboxCollector counts the connected mailboxes at each scrape.
type mailboxCollector struct {
	relay *Relay
	desc  *prometheus.Desc
}

func newMailboxCollector(r *Relay) mailboxCollector {
	return mailboxCollector{r, prometheus.NewDesc("graphrelay_connected_mailboxes",
		"Mailboxes whose owners have signed in; refused: those whose owners have to connect them again.", []string{"connection", "state"}, nil)}
}

// Describe implements prometheus.Collector.
func (c mailboxCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

const countTimeout = 5 * time.Second

// Collect implements prometheus.Collector.
func (c mailboxCollector) Collect(ch chan<- prometheus.Metric) {
	c.relay.mu.Lock()
	g := c.relay.current
	c.relay.mu.Unlock()
	if g.mailboxes == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), countTimeout)
	defer cancel()
	all, err := g.mailboxes.List(ctx)
	if err != nil { // a reload may be closing it
		ch <- prometheus.NewInvalidMetric(c.desc, err)
		return
	}
	k := Connector{cfg: g.cfg}
	for _, name := range k.Connections() {
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
