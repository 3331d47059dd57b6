package smtpd

import (
	"net/netip"
	"sync"
)

// sharedMemory bounds what all sessions keep of messages that are being received: long headers
// and many recipients. What is usual is not counted, since limits on connections bound it.
type sharedMemory struct {
	total, share int // bytes: of all, and of one client

	mu      sync.Mutex
	used    int
	clients map[netip.Prefix]int // by HostPrefix
}

const (
	maxSessionMemory = 256 << 20
	maxClientMemory  = maxSessionMemory / 4
	usualMemory      = 32 << 10 // bytes of a header, and of recipients, that are not counted
)

func newSharedMemory(total, share int) *sharedMemory {
	return &sharedMemory{total: total, share: share, clients: map[netip.Prefix]int{}}
}

func (m *sharedMemory) take(client netip.Prefix, n int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.used+n > m.total || m.clients[client]+n > m.share {
		return false
	}
	m.used += n
	m.clients[client] += n
	return true
}

func (m *sharedMemory) give(client netip.Prefix, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used -= n
	if m.clients[client] -= n; m.clients[client] == 0 {
		delete(m.clients, client)
	}
}

// held is what one session keeps, of one kind.
type held struct {
	memory *sharedMemory
	client netip.Prefix
	bytes  int
	taken  int
}

func (s *session) newHeld() held {
	return held{memory: s.server.limiter.memory, client: HostPrefix(s.conn.client)}
}

// add reports whether there is memory for n more bytes.
func (h *held) add(n int) bool {
	if more := max(h.bytes+n-usualMemory, 0) - h.taken; more > 0 {
		if !h.memory.take(h.client, more) {
			return false
		}
		h.taken += more
	}
	h.bytes += n
	return true
}

func (h *held) release() {
	if h.taken > 0 {
		h.memory.give(h.client, h.taken)
	}
	h.bytes, h.taken = 0, 0
}
