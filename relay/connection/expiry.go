//go:build ignore

package relay

import (
	"context"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// expiryNotices has a line for each connection whose credential has expired or soon does.
func (g *generation) expiryNotices() (lines []string) {
	for i := range g.cfg.Connections {
		if notice := g.cfg.Connections[i].ExpiryNotice(time.Now()); notice != "" {
			lines = append(lines, notice)
		}
	}
	return lines
}

// remindOfCredentials tells once a day of those that expire soon, until ctx is done. The
// configuration's warnings, which a start and a reload log, have told of them already.
func (g *generation) remindOfCredentials(ctx context.Context) {
	g.logCredentials(true)
	tick := time.NewTicker(remindEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			g.logCredentials(false)
		}
	}
}

func (g *generation) logCredentials(expiredOnly bool) {
	now := time.Now()
	for i := range g.cfg.Connections {
		c := &g.cfg.Connections[i]
		notice := c.ExpiryNotice(now)
		_, _, end := c.Credential()
		switch {
		case notice == "":
		case !now.Before(end):
			g.log.Error(notice, "connection", c.Name)
		case !expiredOnly:
			g.log.Warn(notice, "connection", c.Name)
		}
	}
}

// credentialCollector reads when the credentials in use end.
type credentialCollector struct {
	relay *Relay
	desc  *prometheus.Desc
}

func newCredentialCollector(r *Relay) credentialCollector {
	return credentialCollector{r, prometheus.NewDesc("graphrelay_credential_expiry_timestamp_seconds",
		"When the connection's client secret or certificate expires, in Unix time; NaN where nobody says, as of a secret without client_secret_expires.",
		[]string{"connection"}, nil)}
}

// Describe implements prometheus.Collector.
func (c credentialCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

// Collect implements prometheus.Collector.
func (c credentialCollector) Collect(ch chan<- prometheus.Metric) {
	c.relay.mu.Lock()
	cfg := c.relay.current.cfg
	c.relay.mu.Unlock()
	for i := range cfg.Connections {
		at := math.NaN()
		if _, _, end := cfg.Connections[i].Credential(); !end.IsZero() {
			at = float64(end.Unix())
		}
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, at, cfg.Connections[i].Name)
	}
}
