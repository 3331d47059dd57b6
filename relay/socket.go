package relay

import (
	"net"
	"sync"
	"time"
)

// socket is a listening TCP socket that outlives a reload. Each generation of the
// relay accepts through a view of its own; closing the view leaves the socket open,
// so that no client is refused in between.
type socket struct {
	l    *net.TCPListener
	lock chan struct{} // holds a value while a view accepts
}

func listen(address string) (*socket, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	return &socket{l: l.(*net.TCPListener), lock: make(chan struct{}, 1)}, nil
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
