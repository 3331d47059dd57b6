package relay

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"graphrelay/relay/config"
)

// socket is a listening TCP socket that outlives a reload. Each generation of the
// relay accepts through a view of its own; closing the view leaves the socket open,
// so that no client is refused in between.
type socket struct {
	l    *net.TCPListener
	lock chan struct{} // holds a value while a view accepts
	new  bool          // no generation has logged it yet
}

// listen opens an IPv4 address for IPv4 alone: Go would open 0.0.0.0 for IPv6 as well, whose
// clients the configuration does not mention.
func listen(address string) (*socket, error) {
	network := "tcp"
	if a, err := netip.ParseAddrPort(address); err == nil && a.Addr().Unmap().Is4() {
		network = "tcp4"
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	return &socket{l: l.(*net.TCPListener), lock: make(chan struct{}, 1)}, nil
}

// listenRemedy returns what to do about an error of listen.
func listenRemedy(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "this user may not open that port: run the relay as the service of deploy/graphrelay.service, give the program the right with setcap cap_net_bind_service=+ep, or choose a port from 1024 on"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "this machine does not have that address; choose one that it has, or 0.0.0.0 for all"
	}
	return "choose another address, or stop what uses it"
}

// level returns the severity at which a socket is logged: Info the first time, and Debug after a
// reload that keeps it open.
func (s *socket) level() slog.Level {
	if s.new {
		s.new = false
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

func (s *socket) view() *view { return &view{socket: s, closed: make(chan struct{})} }

// view implements net.Listener.
type view struct {
	*socket
	once   sync.Once
	closed chan struct{}
}

func (v *view) Addr() net.Addr { return v.l.Addr() }

// Accept waits until no other view accepts: the one before may not have ended yet.
func (v *view) Accept() (net.Conn, error) {
	select {
	case v.lock <- struct{}{}:
		defer func() { <-v.lock }()
	case <-v.closed:
		return nil, net.ErrClosed
	}
	for {
		select {
		case <-v.closed:
			_ = v.l.SetDeadline(time.Time{}) // for the next view
			return nil, net.ErrClosed
		default:
		}
		c, err := v.l.Accept()
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			_ = v.l.SetDeadline(time.Time{})
			continue // this view was closed, or the deadline was meant for the one before
		}
		return c, err
	}
}

// Close ends this view's Accept, not the socket.
func (v *view) Close() error {
	v.once.Do(func() {
		close(v.closed)
		_ = v.l.SetDeadline(time.Now())
	})
	return nil
}

func addresses(cfg *config.Config) map[string]bool {
	set := map[string]bool{cfg.Admin.Address: true}
	for _, l := range cfg.Listeners {
		set[l.Address] = true
	}
	return set
}

// openSockets opens the sockets that the configuration needs and that are not open
// yet. After an error none of those stays open.
func (r *Relay) openSockets(cfg *config.Config) error {
	var opened []string
	for address := range addresses(cfg) {
		if r.sockets[address] != nil {
			continue
		}
		s, err := listen(address)
		if err != nil {
			for _, a := range opened {
				_ = r.sockets[a].l.Close()
				delete(r.sockets, a)
			}
			return fmt.Errorf("listen on %s: %w; %s", address, err, listenRemedy(err))
		}
		s.new = true
		r.sockets[address] = s
		opened = append(opened, address)
	}
	return nil
}

// closeSockets closes the sockets that cfg does not use; all if cfg is nil.
func (r *Relay) closeSockets(cfg *config.Config) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	used := map[string]bool{}
	if cfg != nil {
		used = addresses(cfg)
	}
	var errs []error
	for address, s := range r.sockets {
		if !used[address] {
			errs = append(errs, s.l.Close())
			delete(r.sockets, address)
		}
	}
	return errors.Join(errs...)
}

// Address returns the address on which a configured address listens: its port may be
// 0 in the configuration. It returns the configured one if a reload has closed that.
func (r *Relay) Address(configured string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.sockets[configured]; s != nil {
		return s.l.Addr().String()
	}
	return configured
}
