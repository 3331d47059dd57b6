package relay

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"graphrelay/relay/config"
)

func TestWarnOfFiles(t *testing.T) {
	cfg := &config.Config{}
	cfg.Limits.Connections, cfg.Delivery.Concurrency = 1000, 32
	for most, want := range map[uint64]bool{0: false, 1131: true, 1132: false} {
		var log bytes.Buffer
		warnOfFiles(slog.New(slog.NewTextHandler(&log, nil)), cfg, most)
		if got := strings.Contains(log.String(), "needed=1132"); got != want {
			t.Errorf("%d files: %q", most, log.String())
		}
	}
}
