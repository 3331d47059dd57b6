package relay

import (
	"log/slog"

	"graphrelay/relay/config"
)

// otherFiles is an upper bound for what the queue, the log and the listeners have open.
const otherFiles = 100

// warnOfFiles logs a warning if the process may not open as many files as the
// configuration allows connections of clients and to Graph. most is how many it may
// open; 0 means unknown.
func warnOfFiles(log *slog.Logger, cfg *config.Config, most uint64) {
	need := uint64(cfg.Limits.Connections + cfg.Delivery.Concurrency + otherFiles)
	if most > 0 && most < need {
		log.Warn("connections may fail because the process may not open enough files: raise its limit (LimitNOFILE= in systemd, ulimit -n), or lower limits.connections",
			"open_files", most, "needed", need)
	}
}
