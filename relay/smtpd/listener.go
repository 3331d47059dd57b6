package smtpd

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"graphrelay/relay/reason"
)

// listener accepts TCP connections, refuses those that are not allowed, brings
// TLS up, waits for a first command, and only then hands them to go-smtp: a client that
// is slow in its handshake holds up nobody, and one that says nothing costs little.
//
// TLS is ours rather than go-smtp's for one reason. go-smtp ends a BDAT chunk
// without an error when the connection ends inside it, so a cut message would be
// taken for a whole one. conn turns that end into an error, and it can only do
// so above TLS, where a close_notify shows; with STARTTLS go-smtp would put its
// own TLS on top of ours.
type listener struct {
	net.Listener
	server *Server
	ready  chan *smtpConn
	ended  chan struct{}  // closed when no more can become ready
	wg     sync.WaitGroup // connections that are not ready yet
}

func newListener(l net.Listener, s *Server) *listener {
	return &listener{Listener: l, server: s, ready: make(chan *smtpConn), ended: make(chan struct{})}
}

// run accepts until the listener is closed. Who has connected by then is still served.
func (l *listener) run() {
	defer close(l.ended)
	defer l.wg.Wait()
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
		l.wg.Go(func() { l.handle(nc) })
	}
}

// handle decides whether the client may talk to us, and sees to it until it does.
func (l *listener) handle(nc net.Conn) {
	s := l.server
	c := newConn(nc, s)
	if refusal := s.register(c); refusal != nil {
		s.unregister(c)
		s.refuse(c, refusal)
		return
	}
	sc := &smtpConn{conn: c, suppress: 1} // go-smtp greets too
	if err := sc.secure(); err != nil {
		s.logLimited("connection ended before the session", "client", c.client.String(), "error", printable(err.Error()))
		_ = c.Close()
		return
	}
	if s.cfg.TLS.Mode != TLSStart { // or the client has been greeted
		c.greet()
	}
	l.ready <- sc
}

// Accept gives go-smtp the connections that are ready.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case <-l.ended:
		return nil, net.ErrClosed
	}
}

// register counts the connection, or says why it is refused.
func (s *Server) register(c *conn) *Refusal {
	c.client = clientAddr(c.tcp)
	if !contains(s.cfg.ProxyNetworks, c.client) {
		return s.admitClient(c)
	}
	if r := s.acquire(c, netip.Addr{}); r != nil {
		return r
	}
	_ = c.tcp.SetReadDeadline(time.Now().Add(proxyTimeout))
	client, err := readProxyHeader(c.tcp)
	if errors.Is(err, io.EOF) { // a health check that only connects
		return &Refusal{}
	}
	if err != nil {
		return &Refusal{Reason: reason.Protocol, Text: fmt.Sprintf("PROXY header: %v", err)}
	}
	if client.IsValid() {
		c.client = client
	}
	return s.admitClient(c)
}

// admitClient decides by the client's address.
func (s *Server) admitClient(c *conn) *Refusal {
	if len(s.cfg.Networks) > 0 && !contains(s.cfg.Networks, c.client) { // without a list, who authenticates may come from anywhere
		return &Refusal{554, [3]int{5, 7, 1}, reason.Network, "Your address is not in this listener's networks; ask the administrator to add it"}
	}
	return s.acquire(c, c.client)
}

// acquire counts the connection with the limiter, a second time when a PROXY header has
// named its client.
func (s *Server) acquire(c *conn, client netip.Addr) *Refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return errStopping
	}
	ok, evicted := s.limiter.acquire(c, client, s.rateLimited(client))
	if evicted.conn != nil {
		_ = evicted.tcp.Close() // its goroutine unregisters it
		evicted.server.metrics.rejected(evicted.server.cfg.Name, reason.Connections)
		evicted.server.logLimited("connection closed", "client", evicted.address.Addr().String(), "reason", reason.Connections,
			"error", "there are too many connections, and it had been idle for the longest time")
	}
	if !ok {
		return &Refusal{421, [3]int{4, 7, 0}, reason.Connections, "Too many connections; try again later"}
	}
	if _, again := s.conns[c]; !again {
		s.conns[c] = struct{}{}
		s.metrics.connections.WithLabelValues(s.cfg.Name).Inc()
	}
	return nil
}

// rateLimited tells whom the limit of new connections in a minute is for: not for this
// machine, nor for networks that are trusted to send without a password.
func (s *Server) rateLimited(client netip.Addr) bool {
	return !client.IsLoopback() && (s.cfg.Auth.Mode == AuthRequired || len(s.cfg.Networks) == 0)
}

// refuse says why and closes. The client may not read it; that must not hold us.
func (s *Server) refuse(c *conn, r *Refusal) {
	if r.Reason != "" {
		s.metrics.rejected(s.cfg.Name, r.Reason)
		s.logLimited("connection refused", "client", c.client.String(), "peer", c.tcp.RemoteAddr().String(), "reason", r.Reason, "error", r.Text)
	}
	if r.Code != 0 {
		_ = c.tcp.SetDeadline(soon())
		_, _ = c.tcp.Write([]byte(r.Error() + "\r\n"))
	}
	_ = c.tcp.Close()
}

func (s *Server) unregister(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.conns[c]; !ok {
		return
	}
	delete(s.conns, c)
	s.limiter.release(c)
	s.metrics.connections.WithLabelValues(s.cfg.Name).Dec()
	s.connEnded.Broadcast()
}

func contains(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
}

func clientAddr(nc net.Conn) netip.Addr {
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

// maxLinesASecond bounds what is logged of connections that came to nothing: they
// cost a stranger so little that the log could fill the disk.
const maxLinesASecond = 20

// lineLimiter counts log lines.
type lineLimiter struct {
	mu      sync.Mutex
	second  int64
	lines   int
	dropped int
}

// take says whether one more may be written, and how many were not before it.
func (l *lineLimiter) take() (ok bool, dropped int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now().Unix(); now != l.second {
		l.second, l.lines = now, 0
	}
	if l.lines++; l.lines > maxLinesASecond {
		l.dropped++
		return false, 0
	}
	dropped, l.dropped = l.dropped, 0
	return true, dropped
}

// logLimited logs what any stranger can cause by connecting.
func (s *Server) logLimited(message string, args ...any) {
	ok, dropped := s.logLimiter.take()
	if dropped > 0 {
		args = append(args, "dropped_lines", dropped)
	}
	if ok {
		s.log.Info(message, args...)
	}
}
