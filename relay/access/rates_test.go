package access

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/config"
	"graphrelay/relay/smtpd"
)

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
	if r.counts.Len() != maxCounts {
		t.Errorf("%d are counted, want %d", r.counts.Len(), maxCounts)
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
		"the sender info@xn--bcher-kva.test":                        p.meters(smtpd.Identity{}, "info@bücher.test", "info@XN--bcher-kva.test"),
		"":                                                          p.meters(smtpd.Identity{}, ""),
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
