package smtpd

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// pipes is a listener without a network, where each write of a client is one read
// of the server.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{} }

// dial connects from another address of this machine each time, as one has few
// connections in a minute.
func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	n := dialled.Add(1)
	p.conns <- localPipe{theirs, net.TCPAddr{IP: net.IPv4(127, byte(n>>16), byte(n>>8), byte(n))}}
	return ours
}

var dialled atomic.Uint32

type localPipe struct {
	net.Conn
	addr net.TCPAddr
}

func (p localPipe) RemoteAddr() net.Addr { return &p.addr }

// talk sends the pieces, each as a packet of its own, and returns all replies once
// the server has closed the connection.
func (p *pipes) talk(tb testing.TB, pieces ...string) string {
	tb.Helper()
	ours := p.dial()
	_ = ours.SetDeadline(time.Now().Add(guard))
	var sent sync.WaitGroup
	sent.Go(func() {
		for _, piece := range pieces {
			if _, err := io.WriteString(ours, piece); err != nil {
				return // the server has closed
			}
		}
	})
	replies, err := io.ReadAll(ours)
	if err != nil {
		tb.Errorf("after %q: %v", replies, err)
	}
	_ = ours.Close()
	sent.Wait()
	return string(replies)
}
