package access

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/config"
	"graphrelay/relay/smtpd"
)

// In no minute more is taken than the limit, and a wait is neither too short nor
// needlessly long.
func TestWindow(t *testing.T) {
	const limit = 20
	w := window{slot: time.Second}
	now := time.Date(2026, 11, 5, 12, 0, 0, 0, time.UTC)
	var taken []time.Time
	within := func(at time.Time) (n int) {
		for _, x := range taken {
			if at.Sub(x) < slots*w.slot {
				n++
			}
		}
		return n
	}
	waited := 0
	for range 5000 {
		now = now.Add(time.Duration(rand.ExpFloat64() * float64(2*time.Second)))
		n := 1 + rand.IntN(4)
		wait := w.wait(now, n, limit)
		if wait > 0 {
			waited++
			if w.wait(now.Add(wait-1), n, limit) == 0 || w.wait(now.Add(wait), n, limit) != 0 {
				t.Fatalf("a wait of %v is not what it takes", wait)
			}
			if earlier := within(now.Add(-w.slot)) + n; earlier <= limit-4 {
				t.Fatalf("%d were refused after %d in the minute before", n, earlier-n)
			}
			now = now.Add(wait)
		}
		w.add(now, n)
		for range n {
			taken = append(taken, now)
		}
		if got := within(now); got > limit {
			t.Fatalf("%d were taken in one minute", got)
		}
	}
	if waited == 0 {
		t.Error("nothing was ever refused")
	}
}

func TestWindowOddities(t *testing.T) {
	now := time.Date(2026, 11, 5, 12, 0, 0, 0, time.UTC)
	w := window{slot: time.Second}
	w.add(now, 3)
	w.add(now.Add(-59*time.Second), 2)
	w.add(now.Add(-62*time.Second), 7)
	if w.sum != 5 {
		t.Errorf("the sum is %d, want 5: what is older than the window does not count", w.sum)
	}
	if got := w.wait(now, 4, 3); got != time.Minute {
		t.Errorf("more than the limit at once waits %v", got)
	}
	if got := w.wait(now.Add(-10*time.Second), 1, 5); got <= 0 {
		t.Error("a clock that went back has forgotten what was taken")
	}
	if w.add(now, -3); w.wait(now, 3, 5) != 0 {
		t.Error("what was taken back still counts")
	}
	if w.wait(now.Add(1000*time.Hour), 1, 1) != 0 || w.sum != 0 {
		t.Error("the window does not end")
	}
}

func TestTooMuch(t *testing.T) {
	now := time.Date(2026, 11, 5, 12, 0, 30, 0, time.FixedZone("", 3600))
	for wait, want := range map[time.Duration]string{
		1: "try again in 1 seconds", 59*time.Second + 1: "try again in 60 seconds",
		time.Hour: "try again after 2026-11-05 12:01 UTC",
	} {
		if got := rateRefusal(now, wait, "No").Error(); got != "450 4.7.1 No; "+want {
			t.Errorf("%v gave %q", wait, got)
		}
	}
}

// Senders that a client makes up cost no memory without end, and it is not those
// who just sent that are forgotten.
func TestCountsAreBounded(t *testing.T) {
	p := &Policy{Options: Options{Config: &config.Config{Rates: config.Rates{Sender: config.Rate{Messages: 1}}}}}
	r, now := NewRates(), time.Now()
	for i := range maxCounts + 500 {
		last := p.meters(smtpd.Identity{}, fmt.Sprintf("s%d@contoso.test", i))
		if err := r.take(now.Add(time.Duration(i)), last, 1); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.counts) != maxCounts {
		t.Errorf("%d are counted, want %d", len(r.counts), maxCounts)
	}
	for i := maxCounts + 400; i < maxCounts+500; i++ {
		if r.check(p.meters(smtpd.Identity{}, fmt.Sprintf("s%d@contoso.test", i)), 1, 1) == nil {
			t.Errorf("the count of sender %d was lost", i)
		}
	}
}

func TestMeters(t *testing.T) {
	one := config.Rate{Messages: 1}
	p := &Policy{Options: Options{Config: &config.Config{Rates: config.Rates{User: one, Address: one, Sender: one}}}}
	for want, got := range map[string][]meter{
		"the user CRM, the address 192.0.2.1, the sender a@b":       p.meters(smtpd.Identity{User: "CRM", Client: netip.MustParseAddr("192.0.2.1")}, "A@b", "a@B"),
		"the address 2001:db8:1:2::/64, the sender a, the sender b": p.meters(smtpd.Identity{Client: netip.MustParseAddr("2001:db8:1:2:3:4:5:6")}, "a", "b", ""),
		"": p.meters(smtpd.Identity{}, ""),
	} {
		var names []string
		for _, m := range got {
			names = append(names, m.key.String())
		}
		if strings.Join(names, ", ") != want {
			t.Errorf("got %q, want %q", names, want)
		}
	}
}
