package connection

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/internal/testlog"
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
		var log testlog.Buffer
		cfg := &config.Config{Connections: []config.Connection{
			expiring("soon", time.Now().Add(31*day+time.Hour)), expiring("past", time.Now().Add(-day)), expiring("near", time.Now().Add(36*time.Hour)), {Name: "unknown"},
		}}
		go RemindOfExpiry(t.Context(), cfg, slog.New(slog.NewTextHandler(&log, nil)))
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
