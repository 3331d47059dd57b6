package admin

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// maxConnections bounds the connections to the admin address. They take file descriptors,
// which mail needs.
const maxConnections = 64

// limitedListener accepts at most maxConnections. For one more, the one that has been without
// a request for the longest time is closed; if all have one, the new one is.
type limitedListener struct {
	net.Listener

	mu   sync.Mutex
	open map[*limitedConn]struct{}
}

type limitedConn struct {
	net.Conn
	listener *limitedListener
	once     sync.Once
	serving  bool // a request that is complete
	since    time.Time
}

func newLimitedListener(l net.Listener) *limitedListener {
	return &limitedListener{Listener: l, open: map[*limitedConn]struct{}{}}
}

// Accept implements net.Listener.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &limitedConn{Conn: nc, listener: l, since: time.Now()}
		evicted, ok := l.add(c)
		if evicted != nil {
			_ = evicted.Conn.Close()
		}
		if ok {
			return c, nil
		}
		_ = nc.Close()
	}
}

// add counts c, in the place of evicted if there were too many.
func (l *limitedListener) add(c *limitedConn) (evicted *limitedConn, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) >= maxConnections {
		for o := range l.open {
			if !o.serving && (evicted == nil || o.since.Before(evicted.since)) {
				evicted = o
			}
		}
		if evicted == nil {
			return nil, false
		}
		delete(l.open, evicted)
	}
	l.open[c] = struct{}{}
	return evicted, true
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	c.once.Do(func() {
		c.listener.mu.Lock()
		defer c.listener.mu.Unlock()
		delete(c.listener.open, c)
	})
	return c.Conn.Close()
}

func (c *limitedConn) serve(serving bool) {
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	c.serving, c.since = serving, time.Now()
}

type connKey struct{}

// withConn lets trackRequests find the connection of a request.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// maxBody bounds the body of a request: a form, which is small.
const maxBody = 16 << 10

// trackRequests notes which connections have a request. It reads the body first: one that
// comes slowly keeps nobody else waiting, and is given up like a connection without a request.
func trackRequests(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			answer(w, http.StatusBadRequest, "the request's body cannot be read: "+err.Error())
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		nc, _ := r.Context().Value(connKey{}).(net.Conn)
		if t, ok := nc.(*tls.Conn); ok {
			nc = t.NetConn()
		}
		if c, ok := nc.(*limitedConn); ok {
			c.serve(true)
			defer c.serve(false)
		}
		h.ServeHTTP(w, r)
	})
}
