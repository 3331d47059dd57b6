package smtpd

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// Long headers and many recipients of one client leave memory for those of others, and are
// given back.
func TestSessionMemory(t *testing.T) {
	b := start(t, func(c *Config) {
		behindProxy(c)
		c.Message.HeaderBytes, c.Message.Recipients, c.Message.LineBytes = 256<<10, 500, 1000
	})
	memory := b.server.limiter.memory
	memory.mu.Lock()
	memory.total, memory.share = 600<<10, 250<<10
	memory.mu.Unlock()
	header := strings.Repeat("X-Long: "+strings.Repeat("x", 900)+"\r\n", 220) // some 200 KB
	long := func(from, answer string) *client {
		c := b.dialFrom(from)
		c.expect("220")
		c.cmd("250", "EHLO client.test")
		c.envelope()
		c.cmd("354", "DATA")
		c.send(header)
		if answer != "" {
			c.cmd(answer, "\r\n.")
		}
		return c
	}
	used := func() int { memory.mu.Lock(); defer memory.mu.Unlock(); return memory.used }
	first := long("192.0.2.1", "")
	b.wait("the first header", func() bool { return used() > 200<<10 })
	second := long("192.0.2.1", "452 4.3.1 Too many messages from your address")
	long("198.51.100.1", "250 2.0.0 queued")
	first.cmd("250 2.0.0 queued", "\r\n.")
	second.envelope()
	second.cmd("354", "DATA")
	second.cmd("250 2.0.0 queued", header+"\r\n.")

	var kept []*client
	recipients := func(from string) (accepted int) {
		c := b.dialFrom(from)
		c.expect("220")
		c.cmd("250", "EHLO client.test")
		c.cmd("250", "MAIL FROM:<a@contoso.test>")
		kept = append(kept, c)
		for i := range 300 {
			c.send(fmt.Sprintf("RCPT TO:<%s%d@%s.example.test>\r\n", strings.Repeat("x", 50), i, strings.Repeat("y", 60)))
			if strings.HasPrefix(c.reply(), "250") {
				accepted++
			}
		}
		return accepted
	}
	if n, second, other := recipients("192.0.2.1"), recipients("192.0.2.1"), recipients("198.51.100.1"); n != 300 || second == 300 || second < 20 || other != 300 {
		t.Errorf("of 300 recipients each, %d, %d and %d were taken", n, second, other)
	}
	for _, c := range kept {
		c.cmd("250", "RSET")
	}
	if n := used(); n != 0 || len(memory.clients) != 0 {
		t.Errorf("%d bytes are kept for nothing", n)
	}
	if n := recipients("192.0.2.1"); n != 300 {
		t.Errorf("then %d were taken", n)
	}
}

// The memory of all is bounded beside that of each.
func TestSharedMemory(t *testing.T) {
	m := newSharedMemory(100, 60)
	a, b, c := HostPrefix(netip.MustParseAddr("192.0.2.1")), HostPrefix(netip.MustParseAddr("192.0.2.2")), HostPrefix(netip.MustParseAddr("192.0.2.3"))
	take := func(client netip.Prefix, n int, want bool) {
		t.Helper()
		if got := m.take(client, n); got != want {
			t.Errorf("%s takes %d: %v", client, n, got)
		}
	}
	take(a, 61, false)
	take(a, 60, true)
	take(a, 1, false)
	take(b, 41, false)
	take(b, 40, true)
	take(c, 1, false)
	m.give(a, 10)
	take(c, 11, false)
	take(c, 10, true)
}
