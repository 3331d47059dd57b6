package postgres

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// proxy stands between the engine and the database and breaks connections where a test wants
// it.
type proxy struct {
	target  string
	mu      sync.Mutex
	changed *sync.Cond
	links   map[*link]bool
	refuse  bool // new connections
	hold    bool // forwards nothing, and closes nothing
	fate    func(round []byte) fate
	alone   bool // when the fate of a round is not pass, all other connections end, and no new ones are taken
}

// fate is what becomes of what a client sends until it waits for an answer.
type fate int

const (
	pass fate = iota
	drop      // the database does not get it, and the connection ends
	cut       // the database gets it, and the connection ends before the client has its answer
)

// link is a connection through the proxy.
type link struct {
	client, server net.Conn
	quiet          chan struct{} // closed when the client is to get no more answers
	answered       chan struct{} // closed when the database has answered after that, or has ended
}

func (l *link) close() {
	l.client.Close()
	l.server.Close()
}

// newProxy returns a proxy and the URL of the database through it.
func newProxy(t *testing.T, database string) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{target: u.Host, links: map[*link]bool{}}
	p.changed = sync.NewCond(&p.mu)
	t.Cleanup(func() { l.Close(); p.set(func() { p.refuse, p.hold = true, false }); p.breakAll() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(c)
		}
	}()
	u.Host = l.Addr().String()
	return p, u.String()
}

// set changes what the proxy does.
func (p *proxy) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	p.changed.Broadcast()
}

// breakAll ends all connections.
func (p *proxy) breakAll() {
	p.set(func() {
		for l := range p.links {
			l.close()
		}
	})
}

// once has the next round of which both texts are a part come to an end.
func (p *proxy) once(part, other string, f fate) {
	done := false
	p.set(func() {
		p.fate = func(round []byte) fate {
			if done || !bytes.Contains(round, []byte(part)) || !bytes.Contains(round, []byte(other)) {
				return pass
			}
			done = true
			return f
		}
	})
}

func (p *proxy) serve(client net.Conn) {
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		client.Close()
		return
	}
	l := &link{client, server, make(chan struct{}), make(chan struct{})}
	defer l.close()
	refused := false
	p.set(func() {
		refused = p.refuse
		p.links[l] = true
	})
	defer p.set(func() { delete(p.links, l) })
	if !refused {
		go l.answer()
		_ = p.forward(l) // how it ends does not matter
	}
}

// forward reads what the client sends, round by round.
func (p *proxy) forward(l *link) error {
	var size [4]byte // of the message with which a connection begins
	if _, err := io.ReadFull(l.client, size[:]); err != nil {
		return err
	}
	first := make([]byte, binary.BigEndian.Uint32(size[:])-4)
	if _, err := io.ReadFull(l.client, first); err != nil {
		return err
	}
	if _, err := l.server.Write(append(size[:], first...)); err != nil {
		return err
	}
	for {
		round, err := readRound(l.client)
		if err != nil {
			return err
		}
		f := p.decide(l, round)
		if f == drop {
			return nil
		}
		if f == cut {
			close(l.quiet)
		}
		if _, err := l.server.Write(round); err != nil {
			return err
		}
		if f == cut {
			<-l.answered
			return nil
		}
	}
}

// decide waits while the proxy holds everything.
func (p *proxy) decide(l *link, round []byte) (f fate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.hold {
		p.changed.Wait()
	}
	if p.fate != nil {
		f = p.fate(round)
	}
	if f != pass && p.alone {
		p.refuse = true
		for other := range p.links {
			if other != l {
				other.close()
			}
		}
	}
	return f
}

// answer forwards what the database sends, or only waits for it.
func (l *link) answer() {
	defer close(l.answered)
	buffer := make([]byte, 64<<10)
	for {
		n, err := l.server.Read(buffer)
		if err != nil {
			l.client.Close()
			return
		}
		select {
		case <-l.quiet:
			if bytes.HasSuffix(buffer[:n], []byte("Z\x00\x00\x00\x05I")) { // ready, outside of a transaction
				return
			}
		default:
			if _, err := l.client.Write(buffer[:n]); err != nil {
				return
			}
		}
	}
}

// readRound reads messages up to one that asks for all answers.
func readRound(r io.Reader) (round []byte, err error) {
	for {
		var head [5]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return nil, err
		}
		body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		if _, err := io.ReadFull(r, body); err != nil {
			return nil, fmt.Errorf("read a message: %w", err)
		}
		round = append(append(round, head[:]...), body...)
		switch head[0] {
		case 'S', 'Q', 'p', 'X', 'H': // sync, query, password, terminate, flush
			return round, nil
		}
	}
}
