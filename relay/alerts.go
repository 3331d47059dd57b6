package relay

import (
	"context"
	"log/slog"
	"path/filepath"
	"time"

	"graphrelay/internal/mailaddr"
	"graphrelay/relay/alert"
	"graphrelay/relay/config"
	"graphrelay/relay/queue"
)

// Incidents returns those that are open, and with all also those that were lately, oldest first.
func (r *Relay) Incidents(ctx context.Context, all bool) ([]alert.Incident, error) {
	return r.alerts.List(ctx, all)
}

// AlertChannels returns the names of the channels that are told of incidents.
func (r *Relay) AlertChannels() []string { return r.alerts.Channels() }

// TestAlert sends a test message to a channel, and returns what became of it.
func (r *Relay) TestAlert(ctx context.Context, channel string) (string, error) {
	return r.alerts.Test(ctx, channel)
}

// openAlerts begins to keep incidents, and goes on with those of before.
func (r *Relay) openAlerts(cfg *config.Config, log *slog.Logger) {
	var err error
	r.alerts, err = alert.New(alert.Config{Queue: r.store, Node: r.node.ID, File: filepath.Join(cfg.DataDir, "alerts.json"), Ready: r.ready, Metrics: alert.NewMetrics(r.registry)})
	if err != nil {
		log.Error("cannot read which incidents are open; some may be told again", "error", err)
	}
	r.attention = r.newEvaluator(cfg, log)
	r.alerts.Attach(r.attention)
}

// alertSettings translates the configuration.
func alertSettings(cfg *config.Config, node queue.Node, log *slog.Logger) alert.Settings {
	a := &cfg.Alerts
	s := alert.Settings{Host: cfg.Hostname, PerHour: a.PerHour, Sends: a.Sends, Digest: a.Digest.At, Log: log,
		Heartbeat: alert.Heartbeat{URL: a.Heartbeat.URL.Reveal(), Every: time.Duration(a.Heartbeat.Every)}}
	if cfg.Queue.Shared() {
		s.Node = node.Name
	}
	for _, m := range a.Mail {
		c := alert.Channel{Name: m.Name, Severity: m.Severity, To: m.To}
		for _, from := range m.From {
			if of := cfg.ConnectionOf(from); of != nil {
				c.From = append(c.From, queue.Lane{Connection: of.Name, Mailbox: mailaddr.Canonical(from)})
			}
		}
		s.Channels = append(s.Channels, c)
	}
	for i := range a.Webhooks {
		w := &a.Webhooks[i]
		s.Channels = append(s.Channels, alert.Channel{Name: w.Name, Severity: w.Severity, URL: w.URL.Reveal(), Format: string(w.Format), Key: w.SigningKey()})
	}
	return s
}
