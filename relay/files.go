package relay

import (
	"fmt"
	"log/slog"
	"os"

	"graphrelay/internal/private"
	"graphrelay/relay/config"
)

// warnOfDirectory logs a warning if other users of the machine may look into data_dir. They
// cannot read the files in it, but see their names, and the sizes of messages.
func warnOfDirectory(log *slog.Logger, dir string) {
	if st, err := os.Stat(dir); err == nil && private.OthersMayEnter(dir) {
		log.Warn("other users of this machine may look into data_dir: make it accessible to the user of the relay alone ("+private.FolderRemedy+")",
			"data_dir", dir, "mode", fmt.Sprintf("%04o", st.Mode().Perm()))
	}
}

// warnOfRoot logs a warning if the relay runs as root, since a fault of the program could then do
// anything to the machine.
func warnOfRoot(log *slog.Logger) {
	if os.Geteuid() == 0 {
		log.Warn("the relay runs as root, and needs none of root's rights: run it as a user of its own, as deploy/graphrelay.service does")
	}
}

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
