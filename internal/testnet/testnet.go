// Package testnet is a network in memory for tests with the clock of testing/synctest, which does
// not go on while a goroutine waits for a real network.
package testnet

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
)

// Network connects clients with servers. The zero Network has no servers.
type Network struct {
	mu      sync.Mutex
	servers map[string]*listener // by address, made when needed
	next    int
}

// Serve returns the URL of a new server.
func (n *Network) Serve(t *testing.T, h http.Handler) (url string) {
	t.Helper()
	address := n.Free()
	l := &listener{address: address, conns: make(chan net.Conn), closed: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.servers == nil {
		n.servers = map[string]*listener{}
	}
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

// Free returns an address at which nobody listens.
func (n *Network) Free() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.next++
	return fmt.Sprintf("127.0.0.1:%d", n.next) // a proxy of the environment does not serve it
}

// Dial connects to a server of the network, as net.Dialer.DialContext does.
func (n *Network) Dial(ctx context.Context, kind, address string) (net.Conn, error) {
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
