package relay

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"graphrelay/internal/buildinfo"
	"graphrelay/internal/durable"
	"graphrelay/internal/private"
	"graphrelay/relay/config"
	"graphrelay/relay/queue"
)

// newNode returns this process as a node of the queue. Its ID is new with each start, so that
// the claims of the process before are not taken for its own.
func newNode(cfg *config.Config) (queue.Node, error) {
	name, home, err := nodeName(cfg)
	if err != nil {
		return queue.Node{}, err
	}
	n := queue.Node{ID: name + "/" + letters(8), Name: name}
	n.About = queue.About{Version: buildinfo.Read().Version, Started: time.Now().UTC().Truncate(time.Second), Config: digest(cfg), Home: home}
	return n, nil
}

// nodeName returns the name of this relay: the same after a restart, and not that of another
// relay, which may run on the same host, or on one of the same name. It also returns what
// data_dir is known by.
func nodeName(cfg *config.Config) (name, home string, err error) {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "relay"
	}
	if !cfg.Queue.Shared() {
		return cmp.Or(cfg.Queue.Node, host), "", nil
	}
	home, err = homeMark(cfg)
	return cmp.Or(cfg.Queue.Node, host+"-"+home), home, err
}

// homeMark returns the letters by which data_dir is known, which are made up at the first start.
func homeMark(cfg *config.Config) (string, error) {
	if err := private.MkdirAll(cfg.DataDir); err != nil {
		return "", fmt.Errorf("create data_dir: %w", err)
	}
	path := filepath.Join(cfg.DataDir, "node")
	mark, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		mark = []byte(letters(4) + "\n")
		err = durable.Create(path, mark)
	}
	mark = bytes.TrimSpace(mark)
	if err != nil {
		return "", fmt.Errorf("the file that tells this relay from others on the queue: %w", err)
	}
	if len(mark) == 0 || len(mark) > 16 || bytes.ContainsFunc(mark, func(r rune) bool { return !('a' <= r && r <= 'z' || '0' <= r && r <= '9') }) {
		return "", fmt.Errorf("the file %s, which tells this relay from others on the queue, is damaged; remove it, or set queue.node", path)
	}
	return string(mark), nil
}

func letters(n int) string { return strings.ToLower(rand.Text()[:n]) }
