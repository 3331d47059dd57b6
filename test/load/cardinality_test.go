package load

import (
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"

	"graphrelay/test/harness"
)

// mostNew is how many series hostile clients may add beside those that are there from the start:
// reasons of refusals (27 in relay/reason) and results of AUTH for each of the three listeners, and
// answers of Graph and ways of delivery that had not occurred before.
const mostNew = 100

// series returns the names and labels of all samples.
func series(t *testing.T, relay *harness.Relay) (all []string) {
	t.Helper()
	_, text := relay.Get("/metrics")
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			all = append(all, line[:strings.LastIndexByte(strings.TrimSpace(line), ' ')])
		}
	}
	return all
}

// TestSeriesAreBounded has 10,000 senders, recipients, HELO names and Message-IDs, of 250 client
// addresses and 1,000 mailboxes, and users that do not exist, some of them made to break a metric.
// None of it is in a label, and the number of series does not depend on it.
func TestSeriesAreBounded(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	relay := harness.StartRelay(t, sim, harness.LimitsKey("connections_per_minute: 1000000"), harness.WithPasswords)
	const senders, clients = 10_000, 4
	before := series(t, relay)
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for n := c; n < senders; n += clients {
				if !hostile(t, relay, n) {
					return
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	if accepted := relay.Metric(t, "graphrelay_messages_accepted_total"); accepted < senders/10 {
		t.Errorf("only %v messages were accepted", accepted)
	}
	after := series(t, relay)
	t.Logf("%d series before, %d after", len(before), len(after))
	if len(after) > len(before)+mostNew {
		t.Errorf("%d series became %d", len(before), len(after))
	}
	for _, s := range after {
		if regexp.MustCompile(`(?i)hostile|mailbox-\d|@`).MatchString(s) {
			t.Errorf("a client's word is in %q", s)
		}
	}
}

// hostile is what one sender does: a transaction of its own that gets as far as RCPT, with a sender
// that is allowed or not, and for each tenth a message. It reports whether the test can go on.
func hostile(t *testing.T, relay *harness.Relay, n int) bool {
	address := net.TCPAddr{IP: net.IPv4(127, 0, byte(n>>8&1), byte(1+n%250))}
	nc, err := (&net.Dialer{LocalAddr: &address}).Dial("tcp", relay.Address["devices"])
	if err != nil {
		t.Error(err)
		return false
	}
	defer nc.Close()
	d, err := harness.NewDialog(nc.(*net.TCPConn))
	if err != nil {
		t.Error(err)
		return false
	}
	odd := []string{"", `"}evil{x="`, "\\n# TYPE hostile counter", "\xff\xfe", strings.Repeat("h", 200)}[n%5]
	d.Answer("EHLO hostile-%d%s.test", n, odd)
	switch n % 10 {
	case 0:
		d.Answer("MAIL FROM:<mailbox-%d@contoso.test>", n%1000)
		d.Answer("RCPT TO:<hostile-%d@example.com>", n)
		if !strings.HasPrefix(d.Answer("DATA"), "354") {
			break
		}
		answer := d.Answer("From: mailbox-%d@contoso.test\r\nMessage-ID: <hostile-%d@x>\r\nX-Mailer: hostile %d%s\r\nSubject: hostile %d\r\n\r\nx\r\n.", n%1000, n, n, strings.ToValidUTF8(odd, ""), n)
		if !strings.HasPrefix(answer, "250") && !strings.HasPrefix(answer, "4") && !strings.HasPrefix(answer, "5") {
			t.Errorf("message %d: %s", n, answer)
			return false
		}
	case 1:
		d.Answer("AUTH PLAIN %s", harness.PlainResponse(fmt.Sprintf("hostile-%d%s", n, odd), "hostile"))
	case 2:
		d.Answer("HOSTILE%d %s", n, odd)
	default:
		d.Answer("MAIL FROM:<hostile-%d%s@hostile-%d.test> SIZE=1", n, odd, n)
		d.Answer("RCPT TO:<hostile-%d%s@example.com>", n, odd)
	}
	return true
}
