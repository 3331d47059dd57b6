// Package control lets commands steer the relay that runs on the same machine, through a Unix
// socket in its data_dir. Only the user that the relay runs as, and root, can connect.
//
// The server speaks HTTP, with JSON in its answers. The client of this package is its only user,
// so that both change together.
package control

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"graphrelay/internal/text"
	"graphrelay/relay/config"
)

const (
	folder     = "control" // in data_dir, for its owner alone
	socketName = "socket"

	reloadPath = "/reload"
	diffPath   = "/diff"
	linkPath   = "/console-link"

	// maxPath is the longest path of a socket on all systems (sun_path).
	maxPath = 100
	// maxAnswer bounds what a client reads.
	maxAnswer = 4 << 20
	// readTimeout is for the head of a request.
	readTimeout = 5 * time.Second
)

// ErrNotRunning means that no relay listens in the data_dir.
var ErrNotRunning = errors.New("no relay runs with this data_dir, or it is of an older version")

// Refusal is why a relay does not take a configuration, one fault on each line.
type Refusal string

// Error implements error.
func (r Refusal) Error() string { return string(r) }

// Relay is what can be asked of a relay. The errors of a Client are a Refusal if the relay has
// answered.
type Relay interface {
	// ReloadFile replaces the configuration with that of the file.
	ReloadFile() error
	// DiffFile returns what ReloadFile would change.
	DiffFile() (Difference, error)
	// ConsoleLink returns a link with which a browser signs in to the console once, as
	// administrator. by is the user of this system who asks for it.
	ConsoleLink(by string) (string, error)
}

// Difference is what a reload would change.
type Difference struct {
	File    string          `json:"file"` // the configuration file of the relay
	Changes []config.Change `json:"changes"`
}

// Server serves a relay on a socket.
type Server struct {
	http   http.Server
	socket string
}

// Listen begins to serve in the data_dir of the relay, which has to be its own: what is left of an
// earlier process is removed.
func Listen(dataDir string, r Relay, log *slog.Logger) (*Server, error) {
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
	s.http = http.Server{Handler: handler(r), ReadHeaderTimeout: readTimeout, ReadTimeout: readTimeout, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	go func() { _ = s.http.Serve(l) }() // ends with Close
	return s, nil
}

// Close ends the requests under way and removes the socket.
func (s *Server) Close() error { return errors.Join(s.http.Close(), os.Remove(s.socket)) }

// answer is what the server answers: a fault, or what was asked for.
type answer struct {
	Error string `json:"error,omitempty"`
	Link  string `json:"link,omitempty"`
	Difference
}

func handler(r Relay) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+reloadPath, func(w http.ResponseWriter, _ *http.Request) { reply(w, answer{}, r.ReloadFile()) })
	mux.HandleFunc("GET "+diffPath, func(w http.ResponseWriter, _ *http.Request) {
		d, err := r.DiffFile()
		reply(w, answer{Difference: d}, err)
	})
	mux.HandleFunc("POST "+linkPath, func(w http.ResponseWriter, req *http.Request) {
		link, err := r.ConsoleLink(text.Printable(req.URL.Query().Get("by")))
		reply(w, answer{Link: link}, err)
	})
	return mux
}

func reply(w http.ResponseWriter, a answer, err error) {
	if err != nil {
		a.Error = err.Error()
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(a)
}

// Client asks the relay that runs with a data_dir. It implements Relay.
type Client struct{ DataDir string }

var _ Relay = Client{}

// ReloadFile implements Relay.
func (c Client) ReloadFile() error {
	_, err := c.ask(http.MethodPost, reloadPath)
	return err
}

// DiffFile implements Relay.
func (c Client) DiffFile() (Difference, error) {
	a, err := c.ask(http.MethodGet, diffPath)
	return a.Difference, err
}

// ConsoleLink implements Relay.
func (c Client) ConsoleLink(by string) (string, error) {
	a, err := c.ask(http.MethodPost, linkPath+"?"+url.Values{"by": {by}}.Encode())
	return a.Link, err
}

func (c Client) ask(method, path string) (a answer, err error) {
	transport := &http.Transport{DialContext: c.dial}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequest(method, "http://relay"+path, http.NoBody)
	if err != nil {
		return a, err
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return a, errors.Unwrap(err) // without the URL, which says nothing
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return a, fmt.Errorf("the relay does not know this request (%s): it is of another version", resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&a); err != nil {
		return a, fmt.Errorf("the relay ended before it answered: %w", err)
	}
	if a.Error != "" {
		return a, Refusal(a.Error)
	}
	return a, nil
}

func (c Client) dial(ctx context.Context, _, _ string) (conn net.Conn, err error) {
	err = withShortPath(filepath.Join(c.DataDir, folder), func(path string) (err error) {
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
