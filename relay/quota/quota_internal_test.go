package quota

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"graphrelay/internal/testlog"
	"graphrelay/relay/queue"
)

var scanner = queue.Lane{Connection: "contoso", Mailbox: "scanner@contoso.test"}

type bench struct {
	*testing.T
	*Counter
	log testlog.Buffer
}

// newBench has limits of 10 recipients for a mailbox and 15 external ones.
func newBench(t *testing.T) *bench {
	b := &bench{T: t, Counter: New(sends{})}
	b.limit(10, 15)
	return b
}

func (b *bench) limit(recipients, external int64) {
	outside := func(address string) bool { return !strings.HasSuffix(address, "@contoso.test") }
	b.SetLimits(map[string]Limits{"contoso": {recipients, external, outside}, "other": {}}, slog.New(slog.NewTextHandler(&b.log, nil)))
}

// want checks the gauge of the connection, and how many warnings there are in all.
func (b *bench) want(mailboxes, external float64, warnings int) {
	b.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(b.Counter)
	families, err := r.Gather()
	if err != nil {
		b.Fatal(err)
	}
	got := map[string]float64{}
	for _, m := range families[0].GetMetric() {
		got[m.GetLabel()[0].GetValue()+" "+m.GetLabel()[1].GetValue()] = m.GetGauge().GetValue()
	}
	if len(got) != 4 || got["contoso recipients"] != mailboxes || got["contoso external_recipients"] != external || got["other recipients"] != 0 {
		b.Errorf("near a limit: %v, want %g and %g", got, mailboxes, external)
	}
	if n := strings.Count(b.log.String(), "level=WARN"); n != warnings {
		b.Errorf("%d warnings, want %d:\n%s", n, warnings, b.log.String())
	}
}

func recipients(n int, domain string) (to []string) {
	for i := range n {
		to = append(to, fmt.Sprintf("%d@%s", i, domain))
	}
	return to
}

// From 80 % of a limit on a mailbox is near it, which is said once, for 24 hours.
func TestNearTheLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.Sent(scanner, recipients(7, "example.test"))
		b.want(0, 0, 0)
		b.Sent(scanner, recipients(1, "contoso.test"))
		b.want(1, 0, 1)
		if got := b.log.String(); !strings.Contains(got, "lane=contoso/scanner@contoso.test recipients=8 limit=10") {
			t.Error(got)
		}
		b.Sent(scanner, recipients(3, "contoso.test"))
		b.want(1, 0, 1)
		time.Sleep(12 * time.Hour)
		b.Sent(queue.Lane{Connection: "contoso", Mailbox: "crm@contoso.test"}, recipients(5, "example.test"))
		b.Sent(queue.Lane{Connection: "other", Mailbox: "x@other.test"}, recipients(500, "example.test"))
		b.want(1, 1, 2)
		if got := b.log.String(); !strings.Contains(got, "connection=contoso recipients=12 limit=15") {
			t.Error(got)
		}
		time.Sleep(13 * time.Hour)
		b.want(0, 0, 2)
		b.Sent(scanner, recipients(1, "example.test")) // it is below, so that it is said again
		b.Sent(scanner, recipients(8, "example.test"))
		b.want(1, 1, 4)
		b.limit(100, 0)
		b.want(0, 0, 4)
	})
}

// sends implements queue.Sends, with the wall clock.
type sends []queue.Send

func (sends) Now() time.Time { return time.Now() }

func (s sends) Sends(_ context.Context, _, left time.Time, each func(queue.Send)) error {
	for _, x := range s {
		if x.At.After(left) {
			each(x)
		}
	}
	return nil
}

// After a restart what the queue knows still counts, by the time at which it was sent.
func TestRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		ago := func(d time.Duration, n int) queue.Send {
			return queue.Send{Lane: scanner, At: time.Now().Add(-d), To: recipients(n, "example.test")}
		}
		b.sends = sends{ago(30*time.Hour, 9), ago(23*time.Hour, 5), ago(0, 2)}
		if err := b.Restore(t.Context(), 48*time.Hour); err != nil {
			t.Fatal(err)
		}
		b.want(0, 0, 0)
		b.Sent(scanner, recipients(1, "example.test"))
		b.want(1, 0, 1)
		time.Sleep(2 * time.Hour)
		b.want(0, 0, 1)
	})
}

// What is counted is bounded.
func TestBounded(t *testing.T) {
	b := newBench(t)
	for n := range maxMailboxes + 10 {
		b.Sent(queue.Lane{Connection: "contoso", Mailbox: fmt.Sprintf("%d@contoso.test", n)}, nil)
	}
	if n := b.mailboxes.Len(); n > maxMailboxes {
		t.Errorf("%d mailboxes are counted", n)
	}
}

// What other nodes have sent counts, and is warned of.
func TestLearns(t *testing.T) {
	here, there := newBench(t), newBench(t)
	here.Share()
	here.Sent(scanner, recipients(7, "contoso.test"))
	here.Sent(scanner, recipients(1, "example.test"))
	if err := there.Learn(here.Untold()); err != nil {
		t.Fatal(err)
	}
	there.want(1, 0, 1)
	there.Sent(queue.Lane{Connection: "contoso", Mailbox: "other@contoso.test"}, recipients(8, "example.test"))
	there.want(2, 0, 2)
	there.Sent(queue.Lane{Connection: "contoso", Mailbox: "third@contoso.test"}, recipients(3, "example.test"))
	there.want(2, 1, 3)
}
