package connection

import (
	"context"
	"log/slog"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"graphrelay/relay/config"
)

const remindEvery = 24 * time.Hour

// ExpiryNotices returns a line for each connection whose credential has expired or
// is about to.
func ExpiryNotices(cfg *config.Config) (lines []string) {
	for i := range cfg.Connections {
		if notice := cfg.Connections[i].ExpiryNotice(time.Now()); notice != "" {
			lines = append(lines, notice)
		}
	}
	return lines
}

// RemindOfExpiry logs once a day, until ctx is done, which credentials have expired
// or soon will. At its start it logs only those that have expired: the
// configuration's warnings, which a start and a reload log, name the others.
func RemindOfExpiry(ctx context.Context, cfg *config.Config, log *slog.Logger) {
	logExpiry(cfg, log, true)
	tick := time.NewTicker(remindEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			logExpiry(cfg, log, false)
		}
	}
}

func logExpiry(cfg *config.Config, log *slog.Logger, expiredOnly bool) {
	now := time.Now()
	for i := range cfg.Connections {
		c := &cfg.Connections[i]
		notice := c.ExpiryNotice(now)
		_, _, end := c.Credential()
		switch {
		case notice == "":
		case !now.Before(end):
			log.Error(notice, "connection", c.Name)
		case !expiredOnly:
			log.Warn(notice, "connection", c.Name)
		}
	}
}

// ExpiryCollector exports when the credentials of the configuration in use expire.
type ExpiryCollector struct {
	current func() *config.Config
	desc    *prometheus.Desc
}

// NewExpiryCollector returns a collector; current returns the configuration in use.
func NewExpiryCollector(current func() *config.Config) ExpiryCollector {
	return ExpiryCollector{current, prometheus.NewDesc("graphrelay_credential_expiry_timestamp_seconds",
		"When the connection's client secret or certificate expires, in Unix time; NaN if unknown, as for a secret without client_secret_expires.",
		[]string{"connection"}, nil)}
}

// Describe implements prometheus.Collector.
func (c ExpiryCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

// Collect implements prometheus.Collector.
func (c ExpiryCollector) Collect(ch chan<- prometheus.Metric) {
	cfg := c.current()
	for i := range cfg.Connections {
		at := math.NaN()
		if _, _, end := cfg.Connections[i].Credential(); !end.IsZero() {
			at = float64(end.Unix())
		}
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, at, cfg.Connections[i].Name)
	}
}
