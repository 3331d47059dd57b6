package console

import (
	"fmt"
	"net/smtp"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

// scene starts a relay with a bit of everything: mail that was sent, failed, waits and is held,
// lanes that are throttled and paused, and clients that are refused.
func scene(t *testing.T, edits ...harness.Edit) *harness.Relay {
	t.Helper()
	sim := harness.StartSim(t)
	r := harness.StartRelay(t, sim, edits...)
	sim.Fault(t, simulator.Fault{Mailbox: "newsletter@contoso.test", Operation: simulator.OpSend, Status: 429, Code: "ApplicationThrottled", RetryAfter: "900"})
	sim.Fault(t, simulator.Fault{Mailbox: "denied@contoso.test", Operation: simulator.OpSend, Status: 403, Code: "ErrorSendAsDenied", Message: "The user account which was used to submit this request does not have the right to send mail on behalf of the specified sending account."})
	sim.Fault(t, simulator.Fault{Mailbox: "broken@contoso.test", Operation: simulator.OpCreate, Status: 503, Code: "ErrorMailboxStoreUnavailable"})
	for i := range 14 {
		deliver(t, r, "crm@contoso.test", fmt.Sprintf("customer%d@example.test", i), fmt.Sprintf("Your order 2026-11-%04d", 4711+i), 2000+i*900)
	}
	for i := range 6 {
		deliver(t, r, "scanner@contoso.test", "anna@contoso.test", fmt.Sprintf("Scan from the third floor, %d pages", i+1), 60_000*(i+1))
	}
	for i := range 5 {
		deliver(t, r, "newsletter@contoso.test", fmt.Sprintf("reader%d@example.test", i), "News of November", 9000)
	}
	deliver(t, r, "denied@contoso.test", "bert@example.test", "Invoice 81234", 4000)
	deliver(t, r, "broken@contoso.test", "bert@example.test", "Night job finished", 1500)
	run(t, r, "queue", "pause", "contoso/backup@contoso.test", "--for", "2h")
	deliver(t, r, "backup@contoso.test", "admin@example.test", "Backup of the file server: completed", 1200)
	deliver(t, r, "backup@contoso.test", "admin@example.test", "Backup of the database: 2 warnings <b>& more</b>", 1200)
	for range 3 {
		if err := try(r, "printer@elsewhere.test", "anna@contoso.test", "Toner is low", 300); err == nil {
			t.Error("an unknown sender is accepted")
		}
	}
	harness.WaitFor(t, "the deliveries", func() bool {
		return r.Metric(t, `graphrelay_messages_delivered_total`) >= 20 && r.Metric(t, `graphrelay_messages_failed_total`) >= 1
	})
	run(t, r, "queue", "hold", "--subject", "database")
	return r
}

func run(t *testing.T, r *harness.Relay, args ...string) {
	t.Helper()
	if got := harness.Command(t, "", append(args, "--config", r.Config)...); got.Status != 0 {
		t.Fatalf("%v: %s", args, got.Stderr)
	}
}

func deliver(t *testing.T, r *harness.Relay, from, to, subject string, size int) {
	t.Helper()
	if err := try(r, from, to, subject, size); err != nil {
		t.Fatal(err)
	}
}

// try sends a message to the listener for devices.
func try(r *harness.Relay, from, to, subject string, size int) error {
	body := strings.Repeat(strings.Repeat("Lorem ipsum ", 6)+"\r\n", size/74+1)
	message := fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\n\r\n%s", from, to, subject, body)
	return smtp.SendMail(r.Address["devices"], nil, from, []string{to}, []byte(message))
}
