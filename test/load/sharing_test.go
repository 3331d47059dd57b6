package load

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

// The lanes of these tests. There are more bad lanes than messages that may be in
// delivery at a time. Each of Graph's calls is slow, so that Graph and not the machine
// limits the pace.
const (
	placesInAll = 4
	badLanes    = 12
	badMail     = badLanes * 3
	wellLanes   = 5
	wellMail    = wellLanes * 6
	callTime    = "100ms"
)

// mailFrom returns an outbox of messages from several mailboxes in turn. Their names
// begin with the title.
func mailFrom(relay *harness.Relay, title string, mailboxes, messages int) *harness.Outbox {
	plain := harness.TenKilobytes(title)
	return &harness.Outbox{
		Dial: func() (*harness.Dialog, error) { return relay.Dial("devices") }, Connections: 4, Messages: messages,
		Make: func(n int) harness.Sample {
			s := plain(n)
			s.From = fmt.Sprintf("%s-%d@contoso.test", strings.ReplaceAll(title, " ", "-"), n%mailboxes)
			return s
		},
	}
}

// queueAll sends all messages of an outbox.
func queueAll(t *testing.T, o *harness.Outbox) {
	t.Helper()
	o.Await(t, o.Start())
}

// arrived returns the sends of a title, in order.
func arrived(t *testing.T, s *harness.Sim, title string) []simulator.Delivery {
	t.Helper()
	return slices.DeleteFunc(s.Ledger(t), func(d simulator.Delivery) bool { return !strings.HasPrefix(d.Subject, title+" ") })
}

// begun returns the time of the first call for one of the title's mailboxes.
func begun(t *testing.T, s *harness.Sim, title string) time.Time {
	t.Helper()
	calls := harness.View[[]simulator.Call](t, s, "journal")
	calls = slices.DeleteFunc(calls, func(c simulator.Call) bool {
		return !strings.HasPrefix(c.Mailbox, strings.ReplaceAll(title, " ", "-")+"-")
	})
	return slices.MinFunc(calls, func(a, b simulator.Call) int { return a.Time.Compare(b.Time) }).Time
}

// TestBadLanesDelayNoOther has five healthy lanes send mail alone, and then beside twelve
// lanes whose mail was queued before and which Graph throttles, refuses or does not
// answer. The mail of the healthy lanes must arrive while all the others are bad.
func TestBadLanesDelayNoOther(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t, "--latency", callTime)
	relay := harness.StartRelay(t, sim, harness.DeliveryKey(fmt.Sprintf("concurrency: %d", placesInAll)), harness.DeliveryKey("retry_delays: [2s]"))
	well := func(title string) time.Duration {
		t.Helper()
		queueAll(t, mailFrom(relay, title, wellLanes, wellMail))
		relay.ResumeAll(t)
		harness.WaitFor(t, "the lanes that are well", func() bool { return len(arrived(t, sim, title)) == wellMail })
		return arrived(t, sim, title)[wellMail-1].Time.Sub(begun(t, sim, title))
	}
	relay.PauseAll(t)
	alone := well("alone")
	for _, c := range []struct {
		title string
		bad   simulator.Fault
	}{
		{"throttled", simulator.Fault{Status: http.StatusTooManyRequests, Code: "ApplicationThrottled", RetryAfter: "2"}},
		{"unavailable", simulator.Fault{Status: http.StatusServiceUnavailable, RetryAfter: "2"}},
		{"failing", simulator.Fault{Status: http.StatusInternalServerError}},
		{"hanging", simulator.Fault{Hang: 10 * harness.Guard}},
	} {
		for n := range badLanes {
			c.bad.Mailbox = fmt.Sprintf("%s-%d@contoso.test", c.title, n)
			sim.Fault(t, c.bad)
		}
		relay.PauseAll(t)
		queueAll(t, mailFrom(relay, c.title, badLanes, badMail))
		beside := well("beside " + c.title)
		for _, f := range harness.View[[]simulator.Fault](t, sim, "faults") {
			if f.Acted == 0 {
				t.Errorf("%s: nothing was asked for %s", c.title, f.Mailbox)
			}
		}
		t.Logf("%d messages of %d lanes: %.2f s alone, %.2f s beside %d that are %s, %.2f of the pace",
			wellMail, wellLanes, alone.Seconds(), beside.Seconds(), badLanes, c.title, alone.Seconds()/beside.Seconds())
		if c.bad.Hang > 0 {
			break
		}
		sim.ClearFaults(t)
		relay.Settled(t)
		if n := len(arrived(t, sim, c.title)); n != badMail {
			t.Errorf("%s: of %d messages %d were sent in the end", c.title, badMail, n)
		}
	}
	if n := harness.View[simulator.Stats](t, sim, "stats").Lost; n > 0 {
		t.Errorf("%d requests that hung had ended when the last message of the others arrived", n)
	}
	relay.Kill(t) // a clean stop would wait for them
}

// TestBulkDelaysNoTrickle has two lanes send hundreds of messages while five others get
// one message after another. Between the 250 of such a message and its send, only a few
// of the hundreds may be sent.
func TestBulkDelaysNoTrickle(t *testing.T) {
	t.Parallel()
	const bulk, few = 200, 60
	sim := harness.StartSim(t, "--latency", callTime)
	relay := harness.StartRelay(t, sim, harness.DeliveryKey(fmt.Sprintf("concurrency: %d", placesInAll)))
	d, err := relay.Dial("devices")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	accepted := map[string]time.Time{}
	trickle := func(title string, n int) {
		s := mailFrom(relay, title, wellLanes, 0).Make(n)
		if _, err := d.Submit(s.From, s.Recipients(), strings.NewReader(s.Compose(harness.RFC2231Name))); err != nil {
			t.Fatal(err)
		}
		accepted[s.Subject] = time.Now()
	}
	took := func(title string) (seconds []float64, passed []int) {
		harness.WaitFor(t, "the trickle", func() bool { return len(arrived(t, sim, title)) == len(accepted) })
		for _, m := range arrived(t, sim, title) {
			n := 0
			for _, b := range arrived(t, sim, "bulk") {
				if b.Time.After(accepted[m.Subject]) && b.Time.Before(m.Time) {
					n++
				}
			}
			seconds, passed = append(seconds, m.Time.Sub(accepted[m.Subject]).Seconds()), append(passed, n)
		}
		return seconds, passed
	}
	for n := range 20 {
		trickle("alone", n)
		time.Sleep(50 * time.Millisecond)
	}
	alone, _ := took("alone")

	clear(accepted)
	relay.PauseAll(t)
	queueAll(t, mailFrom(relay, "bulk", 2, bulk))
	relay.ResumeAll(t)
	harness.WaitFor(t, "the bulk", func() bool { return len(arrived(t, sim, "bulk")) > 0 })
	for n := 0; len(arrived(t, sim, "bulk")) < bulk/2; n++ {
		trickle("trickle", n)
		time.Sleep(50 * time.Millisecond)
	}
	beside, passed := took("trickle")
	if most := slices.Max(passed); most > few {
		t.Errorf("%d of the bulk passed by a message of the trickle, want at most %d", most, few)
	}
	t.Logf("%d messages of the trickle: %.3f s each at the median alone, %.3f s beside a bulk of %d, of which up to %d passed by",
		len(passed), median(alone), median(beside), bulk, slices.Max(passed))
	relay.Settled(t)
}

// TestBulkSenderDelaysNoOther has a copier send hundreds of messages through a mailbox.
// Another device and a user each send one through the same mailbox, once before the first
// of the hundreds is sent and once amid them. Theirs must be sent early.
func TestBulkSenderDelaysNoOther(t *testing.T) {
	t.Parallel()
	const bulk, few = 200, 25
	sim := harness.StartSim(t, "--latency", callTime)
	relay := harness.StartRelay(t, sim)
	accepted := map[string]time.Time{} // by subject
	one := func(listener, title, from string) {
		t.Helper()
		d, err := relay.Dial(listener)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		s := harness.TenKilobytes(title)(0)
		s.From = from
		if _, err := d.Submit(s.From, s.Recipients(), strings.NewReader(s.Compose(harness.RFC2231Name))); err != nil {
			t.Fatal(err)
		}
		accepted[s.Subject] = time.Now()
	}
	relay.PauseAll(t)
	o := mailFrom(relay, "bulk", 1, bulk)
	plain := o.Make
	o.Make = func(n int) harness.Sample {
		s := plain(n)
		s.From = "copier@printers.local"
		return s
	}
	queueAll(t, o)
	one("devices", "early device", "fax@printers.local")
	one("submission", "early account", "scanner@contoso.test")
	relay.ResumeAll(t)
	harness.WaitFor(t, "some of the bulk", func() bool { return len(arrived(t, sim, "bulk")) > bulk/4 })
	one("devices", "late device", "fax@printers.local")
	one("submission", "late account", "scanner@contoso.test")
	relay.Settled(t)
	ledger := sim.Ledger(t)
	for subject, since := range accepted {
		before := len(slices.DeleteFunc(slices.Clone(ledger), func(d simulator.Delivery) bool { return d.Time.After(since) }))
		at := slices.IndexFunc(ledger, func(d simulator.Delivery) bool { return d.Subject == subject })
		if at < 0 || at-before > few {
			t.Errorf("%s: number %d of the lane's sends, want it among the %d after number %d", subject, at+1, few, before)
		}
		t.Logf("%s: accepted after %d of the lane's %d sends, and the %d. of those after", subject, before, len(ledger), at+1-before)
	}
}
