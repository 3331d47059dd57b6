package admin

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"graphrelay/relay/smtpd"
)

// maxConnections bounds the connections to the admin address. They take file descriptors,
// which mail needs.
const maxConnections = 64

// limitedListener accepts at most maxConnections. For one more, one is closed of the host that has
// the most: the one that has been without a request for the longest time. If all of them have
// one, the oldest is closed for another host, or else the new one is.
type limitedListener struct {
	net.Listener

	mu   sync.Mutex
	open map[*limitedConn]struct{}
}

type limitedConn struct {
	net.Conn
	listener *limitedListener
	host     netip.Prefix
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
		c := &limitedConn{Conn: nc, listener: l, host: hostOf(nc), since: time.Now()}
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

// hostOf returns the client's address, or its /64 with IPv6.
func hostOf(nc net.Conn) netip.Prefix {
	a, err := netip.ParseAddrPort(nc.RemoteAddr().String())
	if err != nil {
		return netip.Prefix{}
	}
	return smtpd.HostPrefix(a.Addr().Unmap())
}

// add counts c, in the place of evicted if there were too many.
func (l *limitedListener) add(c *limitedConn) (evicted *limitedConn, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) >= maxConnections {
		if evicted = l.victim(c.host); evicted == nil {
			return nil, false
		}
		delete(l.open, evicted)
	}
	l.open[c] = struct{}{}
	return evicted, true
}

// victim returns the connection that makes room for a new one of a host, or nil.
func (l *limitedListener) victim(host netip.Prefix) *limitedConn {
	counts := map[netip.Prefix]int{host: 1} // the new one
	for o := range l.open {
		counts[o.host]++
	}
	most := host
	for h, n := range counts {
		if n > counts[most] {
			most = h
		}
	}
	victim := l.oldest(func(o *limitedConn) bool { return o.host == most && !o.serving })
	if victim == nil && most != host {
		victim = l.oldest(func(o *limitedConn) bool { return o.host == most })
	}
	if victim == nil && counts[host] == 1 { // every host has one
		victim = l.oldest(func(o *limitedConn) bool { return !o.serving })
	}
	return victim
}

// oldest returns the connection for which of is true and whose last change is the longest ago, or
// nil.
func (l *limitedListener) oldest(of func(*limitedConn) bool) (oldest *limitedConn) {
	for o := range l.open {
		if of(o) && (oldest == nil || o.since.Before(oldest.since)) {
			oldest = o
		}
	}
	return oldest
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

// MaxBody bounds the body of a request: a form, or what the API is asked. The largest names some
// hundred messages or recipients.
const MaxBody = 64 << 10

// trackRequests notes which connections have a request. It reads the body first: one that
// comes slowly keeps nobody else waiting, and is given up like a connection without a request.
func trackRequests(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
		if err != nil {
			status := http.StatusBadRequest
			if _, large := errors.AsType[*http.MaxBytesError](err); large {
				status = http.StatusRequestEntityTooLarge
			}
			answer(w, status, "the request's body cannot be read: "+err.Error())
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
