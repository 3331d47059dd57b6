package relay

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/config"
)

func expiring(name string, end time.Time) config.Connection {
	return config.Connection{Name: name, ClientSecretExpires: config.Date(end)}
}

// A credential that soon expires is told of once a day; one that has expired at once and
// as an error.
func TestCredentialReminders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const day = 24 * time.Hour
		var log syncBuffer
		g := &generation{log: slog.New(slog.NewTextHandler(&log, nil)), cfg: &config.Config{Connections: []config.Connection{
			expiring("soon", time.Now().Add(31*day+time.Hour)), expiring("past", time.Now().Add(-day)), expiring("near", time.Now().Add(36*time.Hour)), {Name: "unknown"},
		}}}
		go g.remindOfCredentials(t.Context())
		for _, step := range []struct {
			after            time.Duration
			warnings, errors int
		}{{time.Minute, 0, 1}, {day, 1, 2}, {day, 2, 4}, {12 * time.Hour, 2, 4}, {12 * time.Hour, 3, 6}, {28 * day, 31, 62}} {
			time.Sleep(step.after)
			synctest.Wait()
			warnings, errors := strings.Count(log.String(), "level=WARN"), strings.Count(log.String(), "level=ERROR")
			if warnings != step.warnings || errors != step.errors || strings.Contains(log.String(), "unknown") {
				t.Errorf("after %s more: %d warnings and %d errors, want %d and %d", step.after, warnings, errors, step.warnings, step.errors)
			}
		}
	})
}

// The metric and the text of /readyz tell of each connection; a reload takes another date.
func TestCredentialExpiry(t *testing.T) {
	_, url := sim(t)
	cfg := settings(t, t.TempDir(), url, "")
	end := time.Now().Add(10*24*time.Hour + time.Hour).Truncate(time.Second)
	cfg.Connections[0].ClientSecretExpires = config.Date(end)
	r, err := Start(t.Context(), cfg, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	name := cfg.Connections[0].Name
	series := fmt.Sprintf("\ngraphrelay_credential_expiry_timestamp_seconds{connection=%q} ", name)
	if body := get(t, r, "/metrics"); !strings.Contains(body, fmt.Sprintf("%s%v\n", series, float64(end.Unix()))) {
		t.Error("the metric has not the date")
	}
	if got := get(t, r, "/readyz"); !strings.HasPrefix(got, "200 ready\nthe client secret of connection "+name+" expires on ") || !strings.Contains(got, "in 10 days") {
		t.Errorf("/readyz: %q", got)
	}
	next := *cfg
	next.Connections = []config.Connection{cfg.Connections[0]}
	next.Connections[0].ClientSecretExpires = config.Date{}
	if err := r.Reload(&next); err != nil {
		t.Fatal(err)
	}
	if body := get(t, r, "/metrics"); !strings.Contains(body, series+"NaN\n") {
		t.Error("the metric keeps a date that is not known any more")
	}
	if got := get(t, r, "/readyz"); got != "200 ready\n" {
		t.Errorf("/readyz: %q", got)
	}
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
}
