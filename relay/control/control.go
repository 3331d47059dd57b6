// Package control is the Unix socket in a relay's data_dir on which commands reach the relay that
// runs on the same machine. Only the user that the relay runs as, and root, can connect. What is
// served there is the API (relay/api).
package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

const (
	folder     = "control" // in data_dir, for its owner alone
	socketName = "socket"

	// maxPath is the longest path of a socket on all systems (sun_path).
	maxPath = 100
	// readTimeout is for the head of a request.
	readTimeout = 5 * time.Second
)

// ErrNotRunning means that no relay listens in the data_dir.
var ErrNotRunning = errors.New("no relay runs with this data_dir, or it is of an older version")

// Server serves on a socket.
type Server struct {
	http   http.Server
	socket string
}

// Listen begins to serve in the data_dir of the relay, which has to be its own: what is left of an
// earlier process is removed.
func Listen(dataDir string, h http.Handler, log *slog.Logger) (*Server, error) {
	dir := filepath.Join(dataDir, folder)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o700); err != nil { // keeps others out until the socket itself does
		return nil, err
	}
	socket := filepath.Join(dir, socketName)
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var l net.Listener
	err := withShortPath(dir, func(path string) (err error) {
		l, err = net.Listen("unix", path)
		return err
	})
	if err != nil {
		return nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // its path may be that of a descriptor
	if err := os.Chmod(socket, 0o600); err != nil && runtime.GOOS != "windows" {
		return nil, errors.Join(err, l.Close())
	}
	s := &Server{socket: socket}
	s.http = http.Server{Handler: h, ReadHeaderTimeout: readTimeout, ReadTimeout: readTimeout, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	go func() { _ = s.http.Serve(l) }() // ends with Close
	return s, nil
}

// Close ends the requests under way and removes the socket.
func (s *Server) Close() error { return errors.Join(s.http.Close(), os.Remove(s.socket)) }

// Dial connects to the relay that runs with a data_dir. It returns ErrNotRunning if none listens, and
// os.ErrPermission if the user may not connect.
func Dial(ctx context.Context, dataDir string) (conn net.Conn, err error) {
	err = withShortPath(filepath.Join(dataDir, folder), func(path string) (err error) {
		conn, err = (&net.Dialer{}).DialContext(ctx, "unix", path)
		return err
	})
	switch {
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("%w; run this as the user of the relay, or as root", err)
	case err != nil:
		return nil, ErrNotRunning
	}
	return conn, nil
}

// withShortPath calls do with a path of the socket that a socket can have. On Linux that of a
// long data_dir goes by way of a descriptor.
func withShortPath(dir string, do func(path string) error) error {
	path := filepath.Join(dir, socketName)
	if len(path) <= maxPath || runtime.GOOS != "linux" {
		return do(path)
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return cmp.Or(do(fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), socketName)), d.Close())
}
