package smtpd

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
)

// proxyV2 is a header of version 2 with the given command, family and rest.
func proxyV2(command, family byte, rest []byte) string {
	return proxyV2Signature + string([]byte{command, family, byte(len(rest) >> 8), byte(len(rest))}) + string(rest)
}

// proxyV2From is one with a client's address.
func proxyV2From(address string) string {
	a := netip.MustParseAddr(address)
	family := byte(0x11)
	if a.Is6() {
		family = 0x21
	}
	rest := append(a.AsSlice(), a.AsSlice()...)
	return proxyV2(0x21, family, append(rest, 0x9c, 0x40, 0, 25))
}

func TestProxyHeader(t *testing.T) {
	tests := []struct{ name, in, client string }{
		{"v1", "PROXY TCP4 192.0.2.1 192.0.2.25 40000 25\r\n", "192.0.2.1"},
		{"v1 IPv6", "PROXY TCP6 2001:db8::1 2001:db8::25 40000 25\r\n", "2001:db8::1"},
		{"v1 IPv4 in IPv6", "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.25 40000 25\r\n", "192.0.2.1"},
		{"v1 health check", "PROXY UNKNOWN\r\n", "none"},
		{"v1 unknown with more", "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "none"},
		{"v1 wrong family", "PROXY TCP4 2001:db8::1 2001:db8::25 40000 25\r\n", ""},
		{"v1 zone", "PROXY TCP6 fe80::1%eth0 fe80::2 40000 25\r\n", ""},
		{"v1 too few", "PROXY TCP4 192.0.2.1\r\n", ""},
		{"v1 two spaces", "PROXY TCP4  192.0.2.1 192.0.2.25 40000 25\r\n", ""},
		{"v1 without CR", "PROXY TCP4 192.0.2.1 192.0.2.25 40000 25\n", ""},
		{"v1 too long", "PROXY UNKNOWN " + strings.Repeat("x", 200) + "\r\n", ""},
		{"v1 cut", "PROXY TCP4 192.0.2.1 192.0.2", ""},
		{"v2", proxyV2From("192.0.2.1"), "192.0.2.1"},
		{"v2 IPv6", proxyV2From("2001:db8::1"), "2001:db8::1"},
		{"v2 with extensions", proxyV2(0x21, 0x11, append([]byte{192, 0, 2, 1, 192, 0, 2, 25, 1, 2, 3, 4}, "\x04\x00\x01x"...)), "192.0.2.1"},
		{"v2 health check", proxyV2(0x20, 0, nil), "none"},
		{"v2 health check with addresses", proxyV2(0x20, 0x11, make([]byte, 12)), "none"},
		{"v2 unspecified", proxyV2(0x21, 0, nil), "none"},
		{"v2 unspecified with more", proxyV2(0x21, 0, append(make([]byte, 12), "\x04\x00\x01x"...)), "none"},
		{"v2 short", proxyV2(0x21, 0x11, make([]byte, 11)), ""},
		{"v2 Unix socket", proxyV2(0x21, 0x31, make([]byte, 216)), ""},
		{"v2 datagram", proxyV2(0x21, 0x12, make([]byte, 12)), ""},
		{"v2 version 3", proxyV2(0x31, 0x11, make([]byte, 12)), ""},
		{"v2 too long", proxyV2(0x21, 0x11, make([]byte, maxProxyV2+1)), ""},
		{"v2 cut", proxyV2From("192.0.2.1")[:20], ""},
		{"SMTP", "EHLO client.test\r\n", ""},
		{"nothing", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			const more = "EHLO client.test\r\n"
			r := strings.NewReader(tt.in)
			if tt.client != "" {
				r = strings.NewReader(tt.in + more)
			}
			client, err := readProxyHeader(r)
			got := map[bool]string{true: client.String(), false: "none"}[client.IsValid()]
			if err != nil {
				got = ""
			}
			if got != tt.client {
				t.Errorf("got %q (%v), want %q", got, err, tt.client)
			}
			if rest, _ := io.ReadAll(r); tt.client != "" && string(rest) != more {
				t.Errorf("%q was left, want %q", rest, more)
			}
		})
	}
}

// A header reads one client or none, and never a byte beyond itself.
func FuzzProxyHeader(f *testing.F) {
	for _, s := range []string{"PROXY TCP4 192.0.2.1 192.0.2.25 40000 25\r\n", "PROXY UNKNOWN\r\n", proxyV2From("192.0.2.1"), proxyV2From("2001:db8::1"), proxyV2(0x20, 0, nil)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		client, err := readProxyHeader(r)
		used := in[:len(in)-r.Len()]
		switch {
		case err != nil && client.IsValid():
			t.Errorf("%q gave an error and %s", in, client)
		case client.Is4In6() || client.Zone() != "":
			t.Errorf("%q gave %s", in, client)
		case err == nil && used[0] == 'P' && bytes.IndexByte(used, '\n') != len(used)-1:
			t.Errorf("%q was read of %q", used, in)
		case err == nil && used[0] != 'P' && len(used) != 16+int(in[14])<<8+int(in[15]):
			t.Errorf("%q was read of %q", used, in)
		}
	})
}

// The address in the header is the client's, for networks, Received and the queue.
func TestBehindProxy(t *testing.T) {
	for _, mode := range []TLSMode{TLSNone, TLSStart, TLSImplicit} {
		t.Run(string(mode), func(t *testing.T) {
			b := start(t, func(c *Config) {
				secured(mode)(c)
				behindProxy(c)
				c.Networks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
			})
			for n, from := range []string{"192.0.2.1", "2001:db8::1"} {
				b.prelude = proxyV2From(from)
				c := b.ready()
				c.envelope()
				c.cmd("354", "DATA")
				c.cmd("250", "Subject: x\r\n\r\nbody\r\n.")
				got := b.queue.all()[n]
				trace := string(got.data[:got.Trace])
				if want := strings.Replace(from, "2001:", "IPv6:2001:", 1); got.Client != from || !strings.Contains(trace, "(["+want+"])") {
					t.Errorf("the client is %s, and %q lacks %s", got.Client, trace, want)
				}
			}
		})
	}
	b := start(t, func(c *Config) {
		behindProxy(c)
		c.Networks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	})
	b.dialFrom("198.51.100.1").expect("554 5.7.1")
}

// A connection from a load balancer without a header is closed without a reply. Health
// checks of the load balancer itself are allowed.
func TestProxyHeaderIsRequired(t *testing.T) {
	b := start(t, behindProxy)
	for _, in := range []string{"EHLO client.test\r\n", "PROXY TCP4 nonsense\r\n", "", "PROXY TC"} {
		c := b.dial()
		c.send(in)
		_ = c.tcp.CloseWrite()
		if got := c.reply(); got != "" {
			t.Errorf("%q was answered %q", in, got)
		}
	}
	for _, in := range []string{"PROXY UNKNOWN\r\n", proxyV2(0x20, 0, nil)} {
		c := b.dial()
		c.send(in)
		c.expect("220")
	}
}

// A header from elsewhere is not read, so that no client can choose its address.
func TestProxyHeaderIsNotForged(t *testing.T) {
	b := start(t, func(c *Config) { c.ProxyNetworks = []netip.Prefix{netip.MustParsePrefix("192.0.2.10/32")} })
	c := b.dial()
	c.expect("220")
	c.cmd("5", "PROXY TCP4 198.51.100.1 192.0.2.25 40000 25")
	c.cmd("250", "EHLO client.test")
	c.envelope()
	c.cmd("354", "DATA")
	c.cmd("250", "Subject: x\r\n\r\nbody\r\n.")
	if got := b.queue.all()[0].Client; got != "127.0.0.1" {
		t.Errorf("the client is %s", got)
	}
	c = b.dial()
	c.expect("220")
	c.send(proxyV2From("198.51.100.1"))
	for got := c.reply(); got != ""; got = c.reply() { // its empty lines are no commands; its NUL is the end
		if !strings.HasPrefix(got, "500 5.5.2") {
			t.Errorf("a header of version 2 was answered %q", got)
		}
	}
}

// Missing headers delay no other client.
func TestSlowProxyHeaders(t *testing.T) {
	b := start(t, behindProxy)
	for i := range 10 {
		b.dial().send("PROXY TCP4 "[:i])
	}
	b.dialFrom("192.0.2.1").expect("220")
	b.wait("the connections", func() bool {
		b.server.mu.Lock()
		defer b.server.mu.Unlock()
		return len(b.server.conns) == 11
	})
	// They are counted in all, though their clients are not known yet.
	for i := range 40 {
		want := "220"
		if i == 39 {
			want = "421 4.7.0"
		}
		b.dialFrom(fmt.Sprintf("198.51.%d.1", i)).expect(want)
	}
}
