package smtpd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// listener accepts TCP connections, refuses those that are not allowed, brings
// TLS up, and only then hands them to go-smtp: a client that is slow in its
// handshake holds up nobody.
//
// TLS is ours rather than go-smtp's for one reason. go-smtp ends a BDAT chunk
// without an error when the connection ends inside it, so a cut message would be
// taken for a whole one. conn turns that end into an error, and it can only do
// so above TLS, where a close_notify shows; with STARTTLS go-smtp would put its
// own TLS on top of ours.
type listener struct {
	net.Listener
	server *Server
	ready  chan net.Conn
	closed chan struct{}
	once   sync.Once
	wg     sync.WaitGroup // handshakes under way
}

func newListener(l net.Listener, s *Server) *listener {
	return &listener{Listener: l, server: s, ready: make(chan net.Conn), closed: make(chan struct{})}
}

// run accepts until the listener is closed.
func (l *listener) run() {
	for {
		nc, err := l.Listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Most likely out of file descriptors: waiting helps, returning would end the service.
			l.server.log.Error("accept failed", "error", err)
			if !l.server.sleep() {
				return
			}
			continue
		}
		l.wg.Go(func() { l.admit(nc) })
	}
}

// admit decides whether the client may talk to us and brings TLS up.
func (l *listener) admit(nc net.Conn) {
	s := l.server
	c, reply, reason := s.register(nc)
	if reason != "" {
		s.metrics.rejected(s.cfg.Name, reason)
		s.log.Info("connection refused", "client", nc.RemoteAddr().String(), "reason", reason)
		refuse(nc, reply)
		return
	}
	if err := c.secure(); err != nil {
		s.log.Info("connection ended before the session", "client", c.client.String(), "error", printable(err.Error()))
		_ = c.Close()
		return
	}
	select {
	case l.ready <- c:
	case <-l.closed:
		_ = c.Close()
	}
}

// Accept gives go-smtp the connections that are ready.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// refuse says why and closes. The client may not read it; that must not hold us.
func refuse(nc net.Conn, reply string) {
	_ = nc.SetDeadline(soon())
	_, _ = nc.Write([]byte(reply + "\r\n"))
	_ = nc.Close()
}

// register counts the connection, or says why it is refused.
func (s *Server) register(nc net.Conn) (c *conn, reply string, reason Reason) {
	client := clientAddr(nc)
	if !s.networkAllowed(client) {
		return nil, "554 5.7.1 Your address is not in this listener's networks; ask the administrator to add it", ReasonNetwork
	}
	if !s.room.enter(client) {
		return nil, "421 4.7.0 Too many connections; try again later", ReasonConnections
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		s.room.leave(client)
		return nil, "421 4.3.2 The relay is stopping; try again later", ReasonConnections
	}
	c = &conn{Conn: nc, tcp: nc, server: s, client: client, turn: time.Now()}
	s.conns[c] = struct{}{}
	s.metrics.connections.WithLabelValues(s.cfg.Name).Inc()
	return c, "", ""
}

func (s *Server) unregister(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.conns[c]; !ok {
		return
	}
	delete(s.conns, c)
	s.room.leave(c.client)
	s.metrics.connections.WithLabelValues(s.cfg.Name).Dec()
	s.gone.Broadcast()
}

// networkAllowed: without a list, who authenticates may come from anywhere.
func (s *Server) networkAllowed(client netip.Addr) bool {
	if len(s.cfg.Networks) == 0 {
		return true
	}
	for _, p := range s.cfg.Networks {
		if p.Contains(client) {
			return true
		}
	}
	return false
}

func clientAddr(nc net.Conn) netip.Addr {
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

// serverLog carries go-smtp's own messages, which may quote the client.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Printf(format string, v ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("smtp", "message", printable(fmt.Sprintf(format, v...)))
	}
}

func (l serverLog) Println(v ...any) { l.Printf("%v", v) }
