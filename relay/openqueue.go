package relay

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"time"

	"graphrelay/internal/private"
	"graphrelay/relay/config"
	"graphrelay/relay/queue"
	"graphrelay/relay/queue/postgres"
	"graphrelay/relay/queue/sqlite"
)

// OpenQueue opens the queue of a configuration. It is exclusive for the relay itself,
// which creates it if need be. Without exclusive it is for a command beside a running or
// stopped relay, which must have created it.
func OpenQueue(ctx context.Context, cfg *config.Config, exclusive bool) (*queue.Queue, error) {
	return openQueue(ctx, cfg, exclusive, nil, nil)
}

// openQueue is OpenQueue that calls broken when the queue takes no more changes
// (sqlite.Options.Broken), and warn with what may cost mail
// (postgres.Options.Warn).
func openQueue(ctx context.Context, cfg *config.Config, exclusive bool, broken func(error), warn func(string)) (*queue.Queue, error) {
	if cfg.Queue.Shared() {
		return openShared(ctx, cfg, exclusive, warn)
	}
	path := filepath.Join(cfg.DataDir, sqlite.DatabaseName)
	if !exclusive {
		_, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no queue in %s yet; start the relay once", cfg.DataDir)
		}
		if errors.Is(err, fs.ErrPermission) {
			return nil, notPermitted(cfg.DataDir, err)
		}
		if err != nil {
			return nil, err
		}
	}
	q, err := sqlite.Open(ctx, sqlite.Options{Dir: cfg.DataDir, Exclusive: exclusive, Broken: broken})
	if err != nil && !exclusive {
		if e := tryFile(path); errors.Is(e, fs.ErrPermission) {
			err = e // SQLite says only that it cannot open the file
		}
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, notPermitted(cfg.DataDir, err)
	}
	return q, err
}

// openShared opens a queue in PostgreSQL. As the daemon, it brings the database to the schema of
// this version. A transaction takes no longer than a part of the lease, so that a renewal
// whose answer is late can be repeated before the lease ends.
func openShared(ctx context.Context, cfg *config.Config, daemon bool, warn func(string)) (*queue.Queue, error) {
	o := postgres.Options{URL: cfg.Queue.URL.Reveal(), Dir: cfg.DataDir, Timeout: min(time.Duration(cfg.Queue.Lease)*3/10, 5*time.Second)}
	if daemon {
		name, _, err := nodeName(cfg)
		if err != nil {
			return nil, err
		}
		o.Node, o.Warn = name, warn
	}
	return postgres.Open(ctx, o)
}

// tryFile returns why a file cannot be opened for reading and writing.
func tryFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// notPermitted returns an error that says who may not use a folder, and what to do.
func notPermitted(folder string, err error) error {
	if whole, e := filepath.Abs(folder); e == nil {
		folder = whole
	}
	who := "this user"
	if u, e := user.Current(); e == nil {
		who = "the user " + u.Username
	}
	return fmt.Errorf("data_dir is %s, but %s may not read and write there (%w); %s", folder, who, err, private.AsOwner)
}
