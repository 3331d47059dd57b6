package refusals

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/reason"
)

func refusal(client, from string) Refusal {
	return Refusal{Client: netip.MustParseAddr(client), From: from, Reason: reason.Sender, Answer: "550 5.7.1 No"}
}

func TestCountsWhatRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New()
		l.Add("office", refusal("10.0.0.5", "a@contoso.test"))
		time.Sleep(time.Minute)
		l.Add("office", refusal("10.0.0.6", "a@contoso.test"))
		time.Sleep(time.Minute)
		l.Add("office", refusal("10.0.0.5", "a@contoso.test"))
		time.Sleep(time.Second)
		l.Add("other", refusal("10.0.0.5", "a@contoso.test"))
		got := l.Recent("office", 10)
		if len(got) != 2 || got[0].Client.String() != "10.0.0.5" || got[0].Count != 2 || got[1].Count != 1 {
			t.Fatalf("got %+v", got)
		}
		if got[0].Last.Sub(got[0].First) != 2*time.Minute || got[0].Remedy != Remedy(reason.Sender) {
			t.Errorf("got %+v", got[0])
		}
		if n := len(l.Recent("office", 1)); n != 1 {
			t.Errorf("%d were returned, not 1", n)
		}
		l.Forget("office", netip.MustParseAddr("::ffff:10.0.0.5"))
		if got := l.Recent("office", 10); len(got) != 1 || got[0].Client.String() != "10.0.0.6" {
			t.Errorf("after Forget: %+v", got)
		}
		if h := l.Hosts("office"); len(h) != 1 || h[0].Hour != 1 || !h[0].Accepted.IsZero() {
			t.Errorf("within the last hour: %+v", h)
		}
		l.Accepted("office", netip.MustParseAddr("10.0.0.6"))
		l.Accepted("office", netip.MustParseAddr("10.0.0.7"))
		if h := l.Hosts("office"); len(h) != 1 || h[0].Accepted.IsZero() {
			t.Errorf("after a message: %+v", h)
		}
		l.Retain([]string{"office"})
		if len(l.Recent("other", 10)) != 0 || len(l.Recent("office", 10)) != 1 {
			t.Error("Retain kept another listener, or forgot this one")
		}
		time.Sleep(2 * time.Hour)
		if h := l.Hosts("office"); len(h) != 0 {
			t.Errorf("two hours later: %+v", h)
		}
		time.Sleep(keep)
		if got := l.Recent("office", 10); len(got) != 0 {
			t.Errorf("after a week: %+v", got)
		}
	})
}

// TestShares has one client, one network and then very many networks be refused without end. A
// device of the house stays visible, and the memory is bounded.
func TestShares(t *testing.T) {
	l := New()
	l.Add("office", refusal("192.168.1.20", "scanner@contoso.test"))
	l.Add("office", refusal("198.51.100.9", "branch@contoso.test"))
	for i := range 10_000 {
		l.Add("office", refusal("203.0.113.7", fmt.Sprintf("%d@stranger.test", i)))
	}
	for i := range 256 {
		l.Add("office", refusal(fmt.Sprintf("203.0.113.%d", i), ""))
	}
	if n := len(l.Recent("office", 100_000)); n > 256+2+maxKinds {
		t.Errorf("one network and two devices have %d refusals", n)
	}
	for i := range 5000 { // one site of a provider has as many hosts as it likes
		l.Add("office", refusal(fmt.Sprintf("2001:db8:1:%x::1", i), ""))
	}
	if !has(l, "192.168.1.20") || !has(l, "198.51.100.9") {
		t.Error("one network pushed out another")
	}
	for i := range 20_000 {
		l.Add("office", refusal(netip.AddrFrom4([4]byte{100, byte(i >> 8), byte(i), 1}).String(), ""))
	}
	if !has(l, "192.168.1.20") {
		t.Error("strangers pushed out a device of the house")
	}
	for i := range 20_000 {
		l.Add("office", refusal(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}).String(), ""))
	}
	if n := len(l.listeners["office"].hosts); n != maxHosts {
		t.Errorf("%d hosts are remembered, want %d", n, maxHosts)
	}
}

func has(l *Log, client string) bool {
	for _, r := range l.Recent("office", 100_000) {
		if r.Client.String() == client {
			return true
		}
	}
	return false
}

// TestTextsAreCleaned checks that nothing a client says is kept raw or whole.
func TestTextsAreCleaned(t *testing.T) {
	l := New()
	bad := "\x1b[2J\r\n\u202e" + strings.Repeat("x", 1000)
	l.Add("office", Refusal{Client: netip.MustParseAddr("10.0.0.5"), User: bad, Hello: bad, From: bad, To: bad, Answer: bad, Text: bad, Reason: reason.Auth})
	r := l.Recent("office", 1)[0]
	for _, s := range []string{r.User, r.Hello, r.From, r.To, r.Answer, r.Text} {
		if strings.ContainsAny(s, "\x1b\r\n\u202e") || len(s) > maxAnswer+3 || s == "" {
			t.Errorf("kept %q", s)
		}
	}
}

// TestEveryReasonHasARemedy also checks that a nil Log can be used.
func TestEveryReasonHasARemedy(t *testing.T) {
	for _, r := range reason.Refusals() {
		if Remedy(r) == "" {
			t.Errorf("there is no remedy for %s", r)
		}
	}
	if len(remedies) != len(reason.Refusals()) {
		t.Error("there are remedies for reasons for which no listener refuses")
	}
	var none *Log
	none.Add("office", refusal("10.0.0.5", ""))
	if none.Recent("office", 1) != nil {
		t.Error("a nil Log remembers")
	}
}
