package probe_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
)

// inTime runs a subtest with a clock of its own, which goes on when all goroutines wait. Thus
// waiting takes no time, and nothing depends on how busy the machine is.
func inTime(t *testing.T, name string, test func(*testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, test)
	})
}

// network connects clients with servers in memory, as a clock of its own asks for.
type network struct {
	mu      sync.Mutex
	servers map[string]*listener // by address
	next    int
}

// serve returns the URL of a new server.
func (n *network) serve(t *testing.T, h http.Handler) (url string) {
	t.Helper()
	address := n.free()
	l := &listener{address: address, conns: make(chan net.Conn), closed: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.servers[address] = l
	server := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		_ = server.Close()
		served.Wait()
	})
	return "http://" + address
}

// free returns an address at which nobody listens.
func (n *network) free() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.next++
	return fmt.Sprintf("127.0.0.1:%d", n.next) // a proxy of the environment does not serve it
}

func (n *network) dial(ctx context.Context, kind, address string) (net.Conn, error) {
	n.mu.Lock()
	l := n.servers[address]
	n.mu.Unlock()
	refused := &net.OpError{Op: "dial", Net: kind, Err: errors.New("connection refused")}
	if l == nil {
		return nil, refused
	}
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, refused
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// listener is where a server of a network listens.
type listener struct {
	address string
	conns   chan net.Conn
	once    sync.Once
	closed  chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) Addr() net.Addr { return l }

// Network and String implement net.Addr.
func (l *listener) Network() string { return "tcp" }
func (l *listener) String() string  { return l.address }
