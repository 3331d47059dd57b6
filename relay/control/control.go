// Package control is the way by which commands reach the relay that runs on the same machine: a Unix
// socket in its data_dir, or on Windows a named pipe of which a file there has the name. Only the user
// that the relay runs as, and root or the administrators, can connect. What is served there is the
// API (relay/api).
package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

const (
	folder = "control" // in data_dir, for its owner alone

	// readTimeout is for the head of a request.
	readTimeout = 5 * time.Second
)

// ErrNotRunning means that no relay listens in the data_dir.
var ErrNotRunning = errors.New("no relay runs with this data_dir, or it is of an older version")

// Server serves the commands.
type Server struct {
	http   http.Server
	remove func() error
}

// Listen begins to serve in the data_dir of the relay, which has to be its own: what is left of an
// earlier process is removed.
func Listen(dataDir string, h http.Handler, log *slog.Logger) (*Server, error) {
	l, remove, err := listen(filepath.Join(dataDir, folder))
	if err != nil {
		return nil, err
	}
	s := &Server{remove: remove}
	s.http = http.Server{Handler: h, ReadHeaderTimeout: readTimeout, ReadTimeout: readTimeout, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	go func() { _ = s.http.Serve(l) }() // ends with Close
	return s, nil
}

// Close ends the requests under way, and removes what Listen has made.
func (s *Server) Close() error { return errors.Join(s.http.Close(), s.remove()) }

// Dial connects to the relay that runs with a data_dir. It returns ErrNotRunning if none listens, and
// os.ErrPermission if the user may not connect.
func Dial(ctx context.Context, dataDir string) (net.Conn, error) {
	conn, err := dial(ctx, filepath.Join(dataDir, folder))
	switch {
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("%w; %s", err, asOwner)
	case err != nil:
		return nil, ErrNotRunning
	}
	return conn, nil
}
