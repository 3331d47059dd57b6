package nodes

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// A line carries the connections of a node to the database, until it is cut.
type line struct {
	listener net.Listener
	target   atomic.Pointer[string]

	mu     sync.Mutex
	open   chan struct{} // closed while the line carries
	refuse bool          // connections are reset
	conns  map[*net.TCPConn]bool
}

func newLine(t *testing.T, target string) *line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{listener: listener, open: make(chan struct{}), conns: map[*net.TCPConn]bool{}}
	close(l.open)
	l.target.Store(&target)
	go l.serve()
	t.Cleanup(func() {
		_ = listener.Close()
		l.mend(true)
	})
	return l
}

func (l *line) address() string { return l.listener.Addr().String() }

func (l *line) serve() {
	for {
		c, err := l.listener.Accept()
		if err != nil {
			return
		}
		go l.carry(c.(*net.TCPConn))
	}
}

func (l *line) carry(client *net.TCPConn) {
	if !l.add(client) {
		return
	}
	l.wait()
	c, err := net.Dial("tcp", *l.target.Load())
	if err != nil {
		l.drop(client)
		return
	}
	server := c.(*net.TCPConn)
	if !l.add(server) {
		l.drop(client)
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.pump(server, client) })
	both.Go(func() { l.pump(client, server) })
	both.Wait()
	l.drop(client)
	l.drop(server)
}

// pump carries bytes one way. What comes while the line is silent waits, as it does where the
// network loses packets that are sent again.
func (l *line) pump(to, from *net.TCPConn) {
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		l.wait()
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			_ = to.CloseWrite()
			return
		}
	}
}

func (l *line) wait() {
	l.mu.Lock()
	open := l.open
	l.mu.Unlock()
	<-open
}

func (l *line) add(c *net.TCPConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuse {
		reset(c)
		return false
	}
	l.conns[c] = true
	return true
}

func (l *line) drop(c *net.TCPConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
	_ = c.Close()
}

func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// silence has the line carry nothing: neither end is told.
func (l *line) silence() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.open:
		l.open = make(chan struct{})
	default:
	}
}

// cut resets all connections, and those that come.
func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuse = true
	l.resetAll()
}

// resetAll resets all connections. The caller holds the lock.
func (l *line) resetAll() {
	for c := range l.conns {
		reset(c)
	}
	clear(l.conns)
}

// mend has the line carry again. What has waited then arrives, unless it is lost: then the
// connections are reset.
func (l *line) mend(lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if lost {
		l.resetAll()
	}
	l.refuse = false
	select {
	case <-l.open:
	default:
		close(l.open)
	}
}
