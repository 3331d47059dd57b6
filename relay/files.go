package relay

import (
	"log/slog"

	"graphrelay/relay/config"
)

// otherFiles is more than the queue, the log and the listeners have open.
const otherFiles = 100

// warnOfFiles says so if the process may not have as many files open as clients may
// have connections, beside those to Graph; most 0 is not known.
func warnOfFiles(log *slog.Logger, cfg *config.Config, most uint64) {
	need := uint64(cfg.Limits.Connections + cfg.Delivery.Concurrency + otherFiles)
	if most > 0 && most < need {
		log.Warn("connections may fail for want of open files: allow the process more (LimitNOFILE= of systemd, ulimit -n), or lower limits.connections",
			"open_files", most, "needed", need)
	}
}
