package relay

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"graphrelay/internal/mailaddr"
	"graphrelay/relay/alert"
	"graphrelay/relay/config"
	"graphrelay/relay/operations"
	"graphrelay/relay/operators"
	"graphrelay/relay/queue"
)

// alertTime bounds how long a test of one channel takes.
const alertTime = 30 * time.Second

// Incidents implements operations.Alerts.
func (r *Relay) Incidents(ctx context.Context, all bool) ([]operations.Incident, error) {
	list, err := r.alerts.List(ctx, all)
	shown := make([]operations.Incident, 0, len(list))
	for _, i := range list {
		x := operations.Incident{Reference: i.Ref, ID: i.ID, Subject: i.Subject, Severity: i.Severity, Since: i.Since, Opened: i.Opened, Summary: i.Summary, Cause: i.Cause,
			Remedy: i.Remedy, Command: i.Command, Page: i.Page, Count: i.Count, Examples: i.Examples, Shared: i.Shared}
		if !i.Closed.IsZero() {
			x.Closed = &i.Closed
		}
		shown = append(shown, x)
	}
	return shown, err
}

// TestAlerts implements operations.Alerts.
func (r *Relay) TestAlerts(ctx context.Context, channel string) (tests []operations.AlertTest, err error) {
	channels := []string{channel}
	if channel == "" {
		channels = r.alerts.Channels()
	}
	if len(channels) == 0 {
		return nil, &operations.Error{Kind: operations.ErrNoChannel, Text: "no channels are configured; add one to alerts.mail or alerts.webhooks"}
	}
	now := time.Now()
	a := queue.Audit{ID: queue.NewID(now), At: now, By: operators.Of(ctx).String(), Action: "test alerts", On: strings.Join(channels, " ")}
	for _, name := range channels {
		t := operations.AlertTest{Channel: name}
		ctx, cancel := context.WithTimeout(ctx, alertTime)
		t.Result, err = r.alerts.Test(ctx, name)
		cancel()
		if errors.Is(err, alert.ErrNoChannel) {
			return nil, &operations.Error{Kind: operations.ErrNoChannel, Text: err.Error()}
		}
		if err != nil {
			t.Result, t.Error = "", err.Error()
		} else {
			a.Changed++
		}
		tests = append(tests, t)
	}
	r.tryAudit(context.WithoutCancel(ctx), a)
	return tests, nil
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
