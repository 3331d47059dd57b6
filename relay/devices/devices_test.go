package devices

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/internal/testlog"
	"graphrelay/relay/config"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
	"graphrelay/relay/smtpd"
)

// bench is a list with a configuration of one listener that permits it, and one that does not.
type bench struct {
	*testing.T
	*List
	cfg    *config.Config
	of     *config.Listener
	log    *testlog.Buffer
	audits map[string]queue.Audit
}

func network(text string) netip.Prefix { return netip.MustParsePrefix(text) }

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

func newBench(t *testing.T) *bench {
	b := &bench{T: t, log: &testlog.Buffer{}, audits: map[string]queue.Audit{}}
	b.cfg = &config.Config{Listeners: []config.Listener{
		{Name: "office", Auth: smtpd.AuthNone, AllowDevices: true, Networks: []netip.Prefix{network("10.0.0.0/24")},
			DenyNetworks: []netip.Prefix{network("10.9.9.0/24")}, ProxyNetworks: []netip.Prefix{network("10.0.5.1/32")}},
		{Name: "closed", Auth: smtpd.AuthNone, Networks: []netip.Prefix{network("10.0.0.0/24")}},
	}}
	b.of = &b.cfg.Listeners[0]
	b.List = b.list(File(filepath.Join(t.TempDir(), "devices.json")))
	t.Cleanup(b.Stop)
	return b
}

func (b *bench) list(s Storage) *List {
	return New(Options{Storage: s, Log: func() *slog.Logger { return slog.New(slog.NewTextHandler(b.log, nil)) },
		Audit: func(_ context.Context, a queue.Audit) error { b.audits[a.ID] = a; return nil }})
}

func (b *bench) audited(action string) (n int) {
	for _, a := range b.audits {
		if a.Action == action && a.Changed == 1 {
			n++
		}
	}
	return n
}

func patterns(t *testing.T, list ...string) (all []config.Pattern) {
	t.Helper()
	for _, text := range list {
		p, err := config.ParsePattern(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

func (b *bench) allow(address string, senders ...string) error {
	b.Helper()
	_, err := b.Allow(b.Context(), "anna", b.cfg, Request{Listener: "office", Address: addr(address), Senders: patterns(b.T, senders...), Why: "the scanner\nof room 5"})
	return err
}

func (b *bench) open(prefix string, length time.Duration) error {
	b.Helper()
	_, err := b.Open(b.Context(), "anna", b.cfg, Opening{Listener: "office", Network: network(prefix), Domain: "contoso.test", Length: length})
	return err
}

// send is what a session does for a guest: whether its message was accepted.
func (b *bench) send(client string, senders ...string) error {
	if !b.Admits(b.of, addr(client)) {
		return errors.New("not admitted")
	}
	if err := b.Check(b.of, addr(client), senders...); err != nil {
		return err
	}
	b.Learn(b.Context(), b.of, addr(client), senders...)
	return nil
}

func refusedFor(err error) reason.Reason {
	var r *smtpd.Refusal
	if errors.As(err, &r) {
		return r.Reason
	}
	return ""
}

func TestAllow(t *testing.T) {
	b := newBench(t)
	if b.Admits(b.of, addr("10.0.1.5")) {
		t.Fatal("a device was let in that nobody has allowed")
	}
	if err := b.allow("10.0.1.5", "scanner@contoso.test"); err != nil {
		t.Fatal(err)
	}
	if err := b.send("10.0.1.5", "Scanner@Contoso.test"); err != nil {
		t.Errorf("the device may not send: %v", err)
	}
	for _, senders := range [][]string{{"boss@contoso.test"}, {"scanner@contoso.test", "boss@contoso.test"}, {}} {
		if err := b.send("10.0.1.5", senders...); refusedFor(err) != reason.Sender {
			t.Errorf("as %q: %v", senders, err)
		}
	}
	if b.Admits(b.of, addr("10.0.1.6")) || b.Admits(&b.cfg.Listeners[1], addr("10.0.1.5")) {
		t.Error("another device was let in, or the device at another listener")
	}
	if err := b.allow("10.0.1.5", "fax@contoso.test"); err != nil || b.send("10.0.1.5", "fax@contoso.test") != nil {
		t.Errorf("a second sender was not added: %v", err)
	}
	d := b.All()[0]
	if len(b.All()) != 1 || d.By != "anna" || d.At.IsZero() || d.Why != "the scanner of room 5" || d.Learnt || len(d.Senders) != 2 {
		t.Errorf("the list has %+v", b.All())
	}
	if b.audited("allow device") != 2 || !strings.Contains(b.log.String(), "client=10.0.1.5 by=anna") {
		t.Errorf("audits: %+v\n%s", b.audits, b.log.String())
	}
	again := b.list(b.Storage)
	if err := again.Load(t.Context()); err != nil || !slices.EqualFunc(again.All(), b.All(), func(a, b Device) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
		t.Errorf("after a restart: %+v, %v", again.All(), err)
	}
	if err := b.Remove(t.Context(), "otto", "office", addr("::ffff:10.0.1.5")); err != nil || b.Admits(b.of, addr("10.0.1.5")) {
		t.Errorf("not removed: %v", err)
	}
	if err := b.Remove(t.Context(), "otto", "office", addr("10.0.1.5")); !errors.Is(err, ErrNotListed) {
		t.Errorf("removed twice: %v", err)
	}
}

func TestRefusedRequests(t *testing.T) {
	b := newBench(t)
	for client, says := range map[string]string{
		"10.0.0.5": "in networks", "10.9.9.5": "deny_networks", "10.0.5.1": "load balancer", "127.0.0.1": "this machine",
		"::1": "this machine", "::ffff:127.0.0.1": "this machine", "0.0.0.0": "one device", "224.0.0.1": "one device",
	} {
		if err := b.allow(client, "scanner@contoso.test"); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", client, err)
		}
	}
	for _, senders := range [][]string{{}, {"*"}, {"*@*"}} {
		if err := b.allow("10.0.1.5", senders...); err == nil {
			t.Errorf("allowed with the senders %q", senders)
		}
	}
	if _, err := b.Allow(t.Context(), "anna", b.cfg, Request{Listener: "closed", Address: addr("10.0.1.5"), Senders: patterns(t, "a@contoso.test")}); err == nil || !strings.Contains(err.Error(), "allow_devices") {
		t.Errorf("allowed where the configuration does not permit it: %v", err)
	}
	if len(b.All()) != 0 || len(b.audits) != 0 {
		t.Errorf("a refused request has left %v, %v", b.All(), b.audits)
	}
}

// TestBlocks has a block of the operator, one of the configuration, and a listener that is no
// longer permitted to have a list beat what was allowed.
func TestBlocks(t *testing.T) {
	b := newBench(t)
	for _, a := range []string{"10.0.1.5", "10.0.1.6"} {
		if err := b.allow(a, "scanner@contoso.test"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Block(t.Context(), "otto", b.cfg, Request{Listener: "office", Address: addr("10.0.1.5"), Why: "stolen"}); err != nil {
		t.Fatal(err)
	}
	if err := b.open("10.0.0.0/8", time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := b.send("10.0.1.5", "scanner@contoso.test"); err == nil {
		t.Error("a blocked device was learnt")
	}
	if err := b.allow("10.0.1.5", "scanner@contoso.test"); err == nil || !strings.Contains(err.Error(), "blocked by otto") {
		t.Errorf("a block was lifted unseen: %v", err)
	}
	b.of.DenyNetworks = append(b.of.DenyNetworks, network("10.0.1.6/32"))
	if b.Admits(b.of, addr("10.0.1.6")) || refusedFor(b.Check(b.of, addr("10.0.1.6"), "scanner@contoso.test")) != reason.Network {
		t.Error("the configuration does not beat the list")
	}
	if err := b.send("10.9.9.5", "scanner@contoso.test"); err == nil {
		t.Error("a device of deny_networks was learnt")
	}
	b.of.AllowDevices = false
	if b.Admits(b.of, addr("10.0.1.7")) {
		t.Error("a window outlives the setting that permits it")
	}
}

func TestLearn(t *testing.T) {
	b := newBench(t)
	if err := b.open("10.0.0.0/8", 30*time.Minute); err != nil {
		t.Fatal(err)
	}
	for _, refused := range []struct {
		client  string
		senders []string
		want    reason.Reason
	}{
		{"10.0.1.5", []string{"scanner@fabrikam.test"}, reason.Sender},
		{"10.0.1.5", []string{"scanner@contoso.test", "boss@fabrikam.test"}, reason.Sender}, // envelope and author
		{"10.0.1.5", []string{"scanner@contoso.test.evil.test"}, reason.Sender},
		{"10.0.1.5", []string{"*@contoso.test"}, reason.Sender}, // a legal address that is a pattern too
		{"10.0.1.5", nil, reason.Sender},
		{"192.168.1.5", []string{"scanner@contoso.test"}, ""}, // outside of the network
		{"10.0.5.1", []string{"scanner@contoso.test"}, ""},    // the load balancer itself
	} {
		if err := b.send(refused.client, refused.senders...); err == nil || refusedFor(err) != refused.want {
			t.Errorf("%s as %q: %v", refused.client, refused.senders, err)
		}
	}
	if len(b.All()) != 0 {
		t.Fatalf("learnt without an acceptable message: %+v", b.All())
	}
	if err := b.send("10.0.1.5", "Scanner@Contoso.test"); err != nil {
		t.Fatal(err)
	}
	if err := b.send("10.0.1.5", "fax@contoso.test"); err != nil {
		t.Fatal(err)
	}
	d := b.All()
	if len(d) != 1 || !d[0].Learnt || d[0].By != "anna" || fmt.Sprint(d[0].Senders) != "[scanner@contoso.test fax@contoso.test]" {
		t.Errorf("learnt %+v", d)
	}
	if b.audited("learn device") != 2 || strings.Count(b.log.String(), "device learnt") != 2 {
		t.Errorf("learnt in silence: %+v\n%s", b.audits, b.log.String())
	}
	if w := b.Windows(); len(w) != 1 || w[0].Learnt != 1 {
		t.Errorf("windows: %+v", w)
	}
	if err := b.Close(t.Context(), "otto", "office"); err != nil {
		t.Fatal(err)
	}
	if b.send("10.0.1.5", "scanner@contoso.test") != nil || b.send("10.0.1.5", "boss@contoso.test") == nil || b.send("10.0.1.6", "scanner@contoso.test") == nil {
		t.Error("after the window, the device may not send as it has, or something else may be sent")
	}
}

func TestOpenings(t *testing.T) {
	b := newBench(t)
	for prefix, ok := range map[string]bool{
		"0.0.0.0/0": false, "::/0": false, "10.0.0.0/8": true, "192.168.0.0/16": true, "172.16.0.0/12": true,
		"100.64.0.0/10": false, "100.64.1.0/24": true, "203.0.113.0/23": false, "198.51.100.0/24": true, "198.51.100.7/32": true,
		"2a01:4f8::/48": false, "2a01:4f8:1:2::/64": true, "fd00::/8": true, "127.0.0.0/8": false, "::1/128": false,
		"64:ff9b::/96": false, "2002:c633:6401::/64": false, "::ffff:0:0/96": false, "::ffff:192.168.1.0/120": true, "8.0.0.0/5": false,
		"192.0.0.0/2": false,
	} {
		err := b.open(prefix, time.Minute)
		if (err == nil) != ok {
			t.Errorf("%s: %v", prefix, err)
		}
		if err == nil {
			_ = b.Close(t.Context(), "anna", "office")
		}
	}
	for _, length := range []time.Duration{0, -time.Hour, time.Second, MaxWindow + time.Second, 1 << 62} {
		if err := b.open("192.168.1.0/24", length); err == nil {
			t.Errorf("open for %s", length)
		}
	}
	for _, domain := range []string{"", "*", "*.test", "a b", "contoso.test/x"} {
		if _, err := b.Open(t.Context(), "anna", b.cfg, Opening{Listener: "office", Network: network("192.168.1.0/24"), Domain: domain, Length: time.Minute}); err == nil {
			t.Errorf("open for the domain %q", domain)
		}
	}
	if _, err := b.Open(t.Context(), "anna", b.cfg, Opening{Listener: "closed", Network: network("192.168.1.0/24"), Domain: "contoso.test", Length: time.Minute}); err == nil {
		t.Error("open where the configuration does not permit it")
	}
	if err := b.open("192.168.1.0/24", time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := b.open("192.168.2.0/24", time.Minute); err == nil {
		t.Error("a second window was opened over the first")
	}
}

// TestWindowEnds has windows end by time, although the clock is set back or ahead, by a reload and
// by a stop.
func TestWindowEnds(t *testing.T) {
	open := func(b *bench) bool { return b.Admits(b.of, addr("192.168.1.5")) }
	for name, step := range map[string]struct {
		do   func(*bench)
		open bool
	}{
		"in time":         {func(*bench) { time.Sleep(19 * time.Minute) }, true},
		"by time":         {func(*bench) { time.Sleep(20 * time.Minute) }, false},
		"clock set ahead": {func(b *bench) { b.now = func() time.Time { return time.Now().Add(24 * time.Hour) } }, false},
		"clock set back": {func(b *bench) {
			b.now = func() time.Time { return time.Now().Add(-24 * time.Hour) }
			time.Sleep(20 * time.Minute)
		}, false},
		"a reload that ends": {func(b *bench) { b.of.AllowDevices = false; b.Reconfigure(b.cfg); b.of.AllowDevices = true }, false},
		"another reload":     {func(b *bench) { b.Reconfigure(b.cfg) }, true},
		"a stop":             {func(b *bench) { b.Stop() }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				if err := b.open("192.168.1.0/24", 20*time.Minute); err != nil || !open(b) {
					t.Fatalf("not open: %v", err)
				}
				step.do(b)
				synctest.Wait()
				if open(b) != step.open || (len(b.Windows()) > 0) != step.open {
					t.Errorf("open: %v, %+v", open(b), b.Windows())
				}
				if err := b.Check(b.of, addr("192.168.1.5"), "scanner@contoso.test"); (err == nil) != step.open {
					t.Errorf("a session that was begun before: %v", err)
				}
				b.Learn(t.Context(), b.of, addr("192.168.1.5"), "scanner@contoso.test")
				if len(b.All()) > 0 != step.open {
					t.Errorf("learnt %v", b.All())
				}
			})
		})
	}
}

// TestManyDevices has 10,000 devices want to be learnt, in windows that are opened again and again.
func TestManyDevices(t *testing.T) {
	b := newBench(t)
	b.Storage = memory{}
	n := 0
	for range 50 {
		if err := b.open("10.128.0.0/9", time.Hour); err != nil {
			t.Fatal(err)
		}
		accepted := 0
		for range maxLearnt {
			n++
			if b.send(netip.AddrFrom4([4]byte{10, 200, byte(n >> 8), byte(n)}).String(), "scanner@contoso.test") == nil {
				accepted++
			}
		}
		if err := b.send("10.201.0.1", "scanner@contoso.test"); err == nil || refusedFor(err) != reason.Network {
			t.Fatalf("a device beyond the bound of a window: %v", err)
		}
		if accepted == 0 && !strings.Contains(b.allow("10.200.255.1", "a@contoso.test").Error(), "the list has 1000 devices") {
			t.Error("an operator adds to a full list")
		}
		if err := b.Close(t.Context(), "anna", "office"); err != nil {
			t.Fatal(err)
		}
	}
	if len(b.All()) != maxDevices {
		t.Errorf("%d devices", len(b.All()))
	}
	for i := range 30 {
		_ = b.open("10.128.0.0/9", time.Hour)
		_ = b.send("10.200.0.1", fmt.Sprintf("%d@contoso.test", i))
	}
	if n := len(b.All()[0].Senders); n != maxSenders {
		t.Errorf("a device has %d senders", n)
	}
}

// memory is a Storage that keeps nothing.
type memory struct{}

func (memory) Load(context.Context) ([]Device, error)             { return nil, nil }
func (memory) Save(context.Context, []Device, Device, bool) error { return nil }

// failing is a Storage on a full disk.
type failing struct{ memory }

func (failing) Save(context.Context, []Device, Device, bool) error { return errors.New("disk full") }

func TestStorageFails(t *testing.T) {
	b := newBench(t)
	file := b.Storage.(File)
	b.Storage = failing{}
	if err := b.allow("10.0.1.5", "scanner@contoso.test"); err == nil || b.Admits(b.of, addr("10.0.1.5")) {
		t.Errorf("a device counts that was not stored: %v", err)
	}
	if err := b.open("10.0.0.0/22", time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := b.send("10.0.1.5", "scanner@contoso.test"); err != nil || len(b.All()) != 0 || !strings.Contains(b.log.String(), "disk full") {
		t.Errorf("learnt what was not stored: %v, %v", err, b.All())
	}
	b.Storage = file
	if err := os.WriteFile(string(file), []byte(`{"listener":"office","address":"10.0.1.5"}`+"\nbroken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.Load(t.Context()); err == nil || len(b.All()) != 0 {
		t.Errorf("a damaged list allows %v, %v", b.All(), err)
	}
	if err := b.allow("10.0.1.5", "scanner@contoso.test"); err == nil {
		t.Error("a damaged list was written over")
	}
	var none *List
	if none.Admits(b.of, addr("10.0.1.5")) || none.All() != nil || none.Windows() != nil {
		t.Error("no list allows something")
	}
}
