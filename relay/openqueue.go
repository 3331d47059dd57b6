package relay

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"graphrelay/relay/config"
	"graphrelay/relay/queue"
	"graphrelay/relay/queue/sqlite"
)

// OpenQueue opens the queue of a configuration. It is exclusive for the relay itself,
// which creates it if need be. Without exclusive it is for a command beside a running or
// stopped relay, which must have created it.
func OpenQueue(ctx context.Context, cfg *config.Config, exclusive bool) (*queue.Queue, error) {
	if !exclusive {
		_, err := os.Stat(filepath.Join(cfg.DataDir, sqlite.DatabaseName))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no queue in %s yet; start the relay once", cfg.DataDir)
		}
		if err != nil {
			return nil, err
		}
	}
	return sqlite.Open(ctx, sqlite.Options{Dir: cfg.DataDir, Exclusive: exclusive})
}
