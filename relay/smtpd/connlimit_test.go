package smtpd

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// newIdleConn returns a connection that has just begun.
func newIdleConn() *conn {
	c := &conn{}
	c.idle.begin()
	return c
}

// acquireAll returns for each address whether one more connection from it is allowed.
func acquireAll(r *ConnectionLimiter, rateLimited bool, addresses ...string) (got string) {
	for _, a := range addresses {
		ok, _ := r.acquire(newIdleConn(), netip.MustParseAddr(a), rateLimited)
		got += map[bool]string{true: "+", false: "-"}[ok]
	}
	return got
}

func TestConnectionLimiter(t *testing.T) {
	tests := []struct {
		name      string
		limits    ConnectionLimits
		addresses string
		want      string
	}{
		{"in all", ConnectionLimits{Total: 2, PerAddress: 2, PerNetwork: 2}, "192.0.2.1 198.51.100.1 203.0.113.1", "++-"},
		{"address", ConnectionLimits{Total: 9, PerAddress: 1, PerNetwork: 9}, "192.0.2.1 192.0.2.2 192.0.2.1", "++-"},
		{"IPv6 address", ConnectionLimits{Total: 9, PerAddress: 1, PerNetwork: 9}, "2001:db8::1 2001:db8::ffff:1 2001:db8:0:1::1", "+-+"},
		{"network", ConnectionLimits{Total: 9, PerAddress: 1, PerNetwork: 2}, "192.0.2.1 192.0.2.2 192.0.2.3 192.0.3.1", "++-+"},
		{"IPv6 network", ConnectionLimits{Total: 9, PerAddress: 1, PerNetwork: 2}, "2001:db8::1 2001:db8:0:1::1 2001:db8:0:2::1 2001:db8:1::1", "++-+"},
		{"a network is no smaller than an address", ConnectionLimits{Total: 9, PerAddress: 3, PerNetwork: 1}, "192.0.2.1 192.0.2.1 192.0.2.2 192.0.2.2", "+++-"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.limits.PerMinute = 100
			if got := acquireAll(NewConnectionLimiter(tt.limits), true, strings.Fields(tt.addresses)...); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestConnectionLimiterForgets(t *testing.T) {
	r := NewConnectionLimiter(ConnectionLimits{Total: 2, PerAddress: 1, PerNetwork: 1, PerMinute: 100})
	for range 3 {
		c := newIdleConn()
		if ok, _ := r.acquire(c, netip.MustParseAddr("192.0.2.1"), true); !ok {
			t.Fatal("a released place is not free")
		}
		r.release(c)
		r.release(c)
	}
	if a, _ := r.addresses.Get(netip.MustParsePrefix("192.0.2.1/32")); len(r.open) != 0 || len(r.networks) != 0 || a.open != 0 {
		t.Errorf("left behind: %v %v %v", r.open, r.networks, r.addresses)
	}
}

func TestConnectionLimiterPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewConnectionLimiter(ConnectionLimits{Total: 1000, PerAddress: 1000, PerMinute: 3})
		ask := func(rateLimited bool, want string) {
			t.Helper()
			if got := acquireAll(r, rateLimited, strings.Fields(strings.Repeat("192.0.2.1 ", len(want)))...); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		ask(true, "+++--")
		ask(false, "++") // from a network that may send without a password
		time.Sleep(20 * time.Second)
		ask(true, "+-")
		time.Sleep(time.Hour)
		ask(true, "+++-")
		r.trust(netip.MustParseAddr("192.0.2.1"))
		ask(true, "+++++")
		time.Sleep(trustTime)
		ask(true, "+++-")
	})
}

// The number of addresses is bounded, and those that are trusted are evicted last.
func TestConnectionLimiterMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewConnectionLimiter(ConnectionLimits{Total: 10, PerAddress: 10, PerMinute: 1})
		good := netip.MustParseAddr("192.0.2.1")
		r.trust(good)
		for i := range 3 * maxAddresses {
			c := newIdleConn()
			r.acquire(c, netip.MustParseAddr(fmt.Sprintf("2001:db8:%x:%x::1", i>>8, i&0xff)), true)
			r.release(c)
			if r.addresses.Len() > maxAddresses+1 {
				t.Fatalf("%d addresses are remembered", r.addresses.Len())
			}
		}
		if got := acquireAll(r, true, "192.0.2.1", "192.0.2.1", "192.0.2.1"); got != "+++" {
			t.Errorf("the trusted address: %s", got)
		}
	})
}

// The connection that has been idle for the longest time is evicted.
func TestConnectionLimiterEvicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewConnectionLimiter(ConnectionLimits{Total: 4, PerAddress: 2, PerNetwork: 3, PerMinute: 100})
		enter := func(address string) (*conn, bool, *conn) {
			t.Helper()
			c := newIdleConn()
			ok, evicted := r.acquire(c, netip.MustParseAddr(address), true)
			return c, ok, evicted.conn
		}
		mail, _, _ := enter("192.0.2.1")
		mail.inTransaction.Store(true)
		time.Sleep(time.Second)
		first, _, _ := enter("192.0.2.1")
		time.Sleep(time.Second)
		served, _, _ := enter("198.51.100.1")
		served.idle.waiting.Store(false) // the relay is at work for it
		second, _, _ := enter("198.51.100.1")
		if _, ok, _ := enter("203.0.113.1"); ok {
			t.Fatal("a connection that has only begun was evicted")
		}
		time.Sleep(idleGrace + time.Second)
		for _, step := range []struct {
			from  string
			makes *conn
		}{
			{"198.51.100.1", second}, // the address is full: its own
			{"203.0.113.1", first},   // all are
			{"203.0.113.1", nil},     // within the grace
		} {
			_, ok, evicted := enter(step.from)
			if evicted != step.makes || ok != (step.makes != nil) {
				t.Errorf("%s: %v, evicted %p", step.from, ok, evicted)
			}
		}
		if len(r.open) != 4 {
			t.Errorf("%d are open, want 4", len(r.open))
		}
		time.Sleep(mailGrace)
		served.inTransaction.Store(true)
		if _, ok, evicted := enter("203.0.113.7"); !ok || evicted == mail || evicted == served {
			t.Errorf("%v; the wrong one was evicted", ok)
		}
	})
}
