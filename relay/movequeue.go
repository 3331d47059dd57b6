package relay

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"graphrelay/relay/config"
	"graphrelay/relay/queue"
)

// MoveQueue moves the queue of a configuration to another place: a PostgreSQL database, whose
// address to is, or a folder. It returns how many messages are there then. No relay may be
// running on either. If it is interrupted, it goes on from there when it is called again.
func MoveQueue(ctx context.Context, cfg *config.Config, to string, progress func(moved, of int64)) (moved int64, err error) {
	target := *cfg
	target.Queue.URL, target.Queue.URLFile, target.Queue.URLEnv = config.Secret{}, "", ""
	name := to
	if strings.Contains(to, "://") {
		target.Queue.URL = config.NewSecret(to)
		name = withoutPassword(to)
	} else {
		target.DataDir = to
	}
	if samePlace(cfg, &target) {
		return 0, errors.New("the queue is there already")
	}
	if target.Queue.Shared() { // it has a folder for large messages, which may be root's, and locks it
		target.DataDir = filepath.Join(cfg.DataDir, "moving")
	}
	from, err := OpenQueue(ctx, cfg, true)
	if err != nil {
		return 0, fmt.Errorf("open the queue that is to be moved: %w", err)
	}
	defer from.Close()
	if target.Queue.Shared() { // no other move is under way: from is locked
		defer os.RemoveAll(target.DataDir)
	}
	into, err := OpenQueue(ctx, &target, true)
	if err != nil {
		return 0, fmt.Errorf("open the queue at %s: %w", name, err)
	}
	defer into.Close()
	m := queue.Mover{From: from, To: into, Name: name, Progress: progress}
	return m.Move(ctx)
}

func samePlace(a, b *config.Config) bool {
	if a.Queue.Shared() || b.Queue.Shared() {
		return a.Queue.URL.Reveal() == b.Queue.URL.Reveal()
	}
	return a.DataDir == b.DataDir
}

// withoutPassword returns the address of a database as people may see it.
func withoutPassword(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "the database"
	}
	u.RawQuery = "" // it may have a password too
	return u.Redacted()
}
