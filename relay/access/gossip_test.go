package access

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/config"
	"graphrelay/relay/smtpd"
)

// Wrong passwords count on the other nodes, in the same windows of time.
func TestGuardLearns(t *testing.T) {
	here, there := testPolicy(t), testPolicy(t)
	here.guard.Share()
	synctest.Test(t, func(t *testing.T) {
		for range 6 {
			here.wants(t, 535, "192.0.2.1", "crm", "wrong")
		}
		for range 3 {
			there.wants(t, 535, "192.0.2.1", "crm", "wrong")
		}
		told := here.guard.Untold()
		if err := there.guard.Learn(told); err != nil {
			t.Fatal(err)
		}
		there.wants(t, 535, "192.0.2.1", "crm", "wrong") // the tenth
		there.wants(t, 421, "192.0.2.1", "crm", "secret")
		there.wants(t, 235, "192.0.2.2", "crm", "secret")
		if again := there.guard.Untold(); again != nil {
			t.Errorf("told %s, which it was told itself, or counts only here", again)
		}
		time.Sleep(15 * time.Minute)
		there.wants(t, 235, "192.0.2.1", "crm", "secret")
	})
}

// Messages count on the other nodes, and those that were refused after all do not.
func TestRatesLearn(t *testing.T) {
	limit := config.Rate{Messages: 10, Recipients: 100}
	p := &Policy{Options: Options{Config: &config.Config{Rates: config.Rates{User: limit, Sender: limit}}}}
	meters := p.meters(smtpd.Identity{User: "crm", Client: netip.MustParseAddr("192.0.2.1")}, "a@b.test")
	here, there := NewRates(), NewRates()
	here.Share()
	there.limit(map[string]config.Rate{"user": limit})
	now := time.Now()
	for range 9 {
		if err := here.take(now, meters, 2); err != nil {
			t.Fatal(err)
		}
	}
	here.undo(now, meters, 2)
	if err := there.Learn(here.Untold()); err != nil {
		t.Fatal(err)
	}
	if err := there.check(meters, 2, 84); err != nil {
		t.Errorf("within the limit: %v", err)
	}
	if there.check(meters, 3, 0) == nil || there.check(meters, 0, 85) == nil {
		t.Error("what the other node has accepted does not count")
	}
	if _, counted := there.counts.Get(meterKey{"sender", "a@b.test"}); counted {
		t.Error("counts what has no limit here")
	}
}
