package smtpd

import (
	"net/netip"
	"sync"
)

// Room bounds the connections that are open at a time, in all and from one address.
type Room struct {
	total, perClient int // the limits

	mu      sync.Mutex
	open    int
	clients map[netip.Addr]int
}

// NewRoom makes room for total connections, perClient of them from one address.
func NewRoom(total, perClient int) *Room {
	return &Room{total: total, perClient: perClient, clients: map[netip.Addr]int{}}
}

func (r *Room) enter(client netip.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open >= r.total || r.clients[client] >= r.perClient {
		return false
	}
	r.open++
	r.clients[client]++
	return true
}

func (r *Room) leave(client netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open--
	if r.clients[client]--; r.clients[client] == 0 {
		delete(r.clients, client)
	}
}
