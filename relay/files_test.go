package relay

import (
	"bytes"
	"log/slog"
	"os"
	"runtime"
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

func TestWarnOfDirectory(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes here")
	}
	dir := t.TempDir()
	for mode, want := range map[os.FileMode]bool{0o700: false, 0o750: true, 0o755: true, 0o777: true} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		warnOfDirectory(slog.New(slog.NewTextHandler(&log, nil)), dir)
		if got := strings.Contains(log.String(), "chmod 700"); got != want {
			t.Errorf("with mode %o: %q", mode, log.String())
		}
	}
}
