package smtpd

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"graphrelay/relay/reason"
	"graphrelay/relay/refusals"
)

// listener accepts TCP connections, refuses those that are not allowed, negotiates TLS,
// and waits for a first command before it hands them to go-smtp. Each connection has a
// goroutine of its own for that, so that a slow handshake delays no other client.
type listener struct {
	net.Listener
	server *Server
	ready  chan *smtpConn
	ended  chan struct{}  // closed when no further connection can become ready
	wg     sync.WaitGroup // connections that are not ready yet
}

func newListener(l net.Listener, s *Server) *listener {
	return &listener{Listener: l, server: s, ready: make(chan *smtpConn), ended: make(chan struct{})}
}

// run accepts connections until the listener is closed. Those accepted by then are served.
func (l *listener) run() {
	defer close(l.ended)
	defer l.wg.Wait()
	var faults acceptFaults
	for {
		nc, err := l.Listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Probably out of file descriptors. Waiting helps; returning would end the service.
			faults.add(l.server.log, err)
			if !l.server.waitAfterError() {
				return
			}
			continue
		}
		l.wg.Go(func() { l.handle(nc) })
	}
}

// acceptFaults counts accepts that failed, and logs one line a minute of them: while a fault
// lasts, there are twenty a second.
type acceptFaults struct {
	logged time.Time
	times  int // since then
}

func (f *acceptFaults) add(log *slog.Logger, err error) {
	f.times++
	if now := time.Now(); now.Sub(f.logged) >= time.Minute {
		log.Error("accept failed", "error", err, "times", f.times)
		f.logged, f.times = now, 0
	}
}

// handle checks whether the client may connect, and looks after the connection until it is
// ready for go-smtp.
func (l *listener) handle(nc net.Conn) {
	s := l.server
	c := newConn(nc, s)
	defer func() {
		if v := recover(); v != nil {
			s.panicked(v, string(debug.Stack()), "client", c.client.String())
			_ = c.Close()
		}
	}()
	if refusal := s.register(c); refusal != nil {
		s.unregister(c)
		s.refuse(c, refusal)
		return
	}
	sc := &smtpConn{conn: c, suppress: 1, started: make(chan struct{}, 1)} // go-smtp greets too
	if err := sc.secure(); err != nil {
		s.logLimited("connection ended before the session", "client", c.client.String(), "error", printable(err.Error()))
		_ = c.Close()
		return
	}
	if s.cfg.TLS.Mode != TLSStart { // with STARTTLS, it has been greeted
		c.greet()
	}
	l.ready <- sc
}

// Accept implements net.Listener for go-smtp. It returns connections that are ready.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case <-l.ended:
		return nil, net.ErrClosed
	}
}

// register determines the client's address and counts the connection, or returns why it is
// refused. A Refusal without a Code closes the connection without a reply.
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
		s.mu.Lock() // Sessions reads it
		c.client = client
		s.mu.Unlock()
	}
	return s.admitClient(c)
}

// admitClient checks the client's address, and counts the connection for it.
func (s *Server) admitClient(c *conn) *Refusal {
	if contains(s.cfg.DenyNetworks, c.client) {
		return &Refusal{554, [3]int{5, 7, 1}, reason.Network, "Your address is denied on this listener; ask the administrator"}
	}
	if len(s.cfg.Networks) > 0 && !contains(s.cfg.Networks, c.client) { // no list: any address, with AUTH required
		c.guest = s.policy.Guest(s.cfg.Name, c.client)
	}
	if len(s.cfg.Networks) > 0 && !c.guest && !contains(s.cfg.Networks, c.client) {
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
	ok, evicted := s.limiter.acquire(c, client, c.guest || s.rateLimited(client))
	if evicted.conn != nil {
		_ = evicted.tcp.Close() // its goroutine unregisters it
		evicted.server.rejected(refusals.Refusal{Client: evicted.address.Addr(), Reason: reason.Connections, Text: "closed to make way for another connection"})
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

// rateLimited reports whether the limit of new connections a minute applies to the client.
// It does not apply to this host and to networks that may send without a password.
func (s *Server) rateLimited(client netip.Addr) bool {
	return !client.IsLoopback() && (s.cfg.Auth.Mode == AuthRequired || len(s.cfg.Networks) == 0)
}

// refuseTimeout is how long a client that is refused may take to read why.
const refuseTimeout = 5 * time.Second

// refuse logs and sends the refusal, and closes the connection.
func (s *Server) refuse(c *conn, r *Refusal) {
	if r.Reason != "" {
		s.rejected(refusals.Refusal{Client: c.client, Reason: r.Reason, Answer: r.reply(), Text: r.unsaid()})
		s.logLimited("connection refused", "client", c.client.String(), "peer", c.tcp.RemoteAddr().String(), "reason", r.Reason, "error", r.Text)
	}
	if reply := r.reply(); reply != "" {
		_ = c.tcp.SetDeadline(time.Now().Add(refuseTimeout))
		_, _ = c.tcp.Write([]byte(reply + "\r\n"))
	}
	_ = c.tcp.Close()
}

// unregister counts the connection as ended. It may be called more than once.
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

// maxLinesASecond is how many connections without a session are logged in a second. A
// stranger can make very many, which could fill the disk.
const maxLinesASecond = 20

// lineLimiter limits log lines to maxLinesASecond.
type lineLimiter struct {
	mu      sync.Mutex
	second  int64
	lines   int
	dropped int
}

// take reports whether a line may be written, and how many were dropped before it.
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

// logLimited logs an event that any stranger can cause by connecting.
func (s *Server) logLimited(message string, args ...any) {
	ok, dropped := s.logLimiter.take()
	if dropped > 0 {
		args = append(args, "dropped_lines", dropped)
	}
	if ok {
		s.log.Info(message, args...)
	}
}
