package inprocess

import (
	"strings"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/relay/config"
	"graphrelay/relay/queue"
)

// When a device's mail fails, the postmaster notifies the mailbox that sends for the
// device, as the client's DSN parameters ask.
func TestBounceOfDevice(t *testing.T) {
	p := startPaths(t, simulator.Options{SendDelay: -1}, func(c *config.Config) {
		pattern, err := config.ParsePattern("*@printers.local")
		if err != nil {
			t.Fatal(err)
		}
		c.Senders = []config.Sender{{Match: pattern, Mailbox: "scanner@contoso.test", ReplyTo: config.ReplyToOriginal}}
		c.Delivery.Postmaster = "Postmaster@contoso.test"
	})
	if _, err := p.sim.AddFault(simulator.Fault{Operation: simulator.OpCreate, Status: 400, Code: "ErrorInvalidRecipients"}); err != nil {
		t.Fatal(err)
	}
	c := p.transaction()
	defer c.Close()
	p.ask(c, 250, "MAIL FROM:<hp@printers.local> RET=FULL ENVID=scan+2B7")
	p.ask(c, 250, "RCPT TO:<b@example.test> NOTIFY=NEVER")
	p.ask(c, 250, "RCPT TO:<c@example.test> NOTIFY=FAILURE ORCPT=rfc822;old+2Bc@example.test")
	id := p.data(c, []byte("From: HP <hp@printers.local>\r\nSubject: Scan\r\n\r\nthe page\r\n"))
	if r := p.finished(id); r.State != queue.Failed {
		t.Fatalf("%s: %s", r.State, r.Detail)
	}
	until(func() bool { return len(p.sim.Sent()) > 0 })
	d, item, found := p.lastSend(1)
	if !found || d.Mailbox != "postmaster@contoso.test" || strings.Join(d.Recipients(), " ") != "scanner@contoso.test" {
		t.Fatalf("sent: %+v", d)
	}
	raw, _ := p.sim.Content(item.MIME.ID)
	for _, want := range []string{"Original-Envelope-Id: scan+7\r\n", "Original-Recipient: rfc822;old+c@example.test\r\nFinal-Recipient: rfc822;c@example.test\r\n",
		"Content-Type: message/rfc822\r\n", "\r\nthe page\r\n", "X-Graphrelay-Bounce: " + id + "\r\n"} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("the bounce lacks %q:\n%s", want, raw)
		}
	}
	if strings.Contains(string(raw), "b@example.test") {
		t.Errorf("a recipient of whom nothing is to be told is reported:\n%s", raw)
	}
}

// The postmaster gets a copy of each bounce, once, of which the sender sees nothing. There is no copy
// of one that goes to the postmaster anyway, and none of a warning. A copy that fails is the end of it.
func TestBounceCopy(t *testing.T) {
	const postmaster = "postmaster@fabrikam.test"
	p := startPaths(t, simulator.Options{SendDelay: -1}, func(c *config.Config) { c.Delivery.BounceCopy = postmaster })
	fault := func(count int) {
		t.Helper()
		if _, err := p.sim.AddFault(simulator.Fault{Operation: simulator.OpCreate, Count: count, Status: 400, Code: "ErrorInvalidRecipients"}); err != nil {
			t.Fatal(err)
		}
	}
	send := func() queue.Record {
		t.Helper()
		c := p.transaction()
		defer c.Close()
		p.ask(c, 250, "MAIL FROM:<anna@contoso.test>")
		p.ask(c, 250, "RCPT TO:<b@example.test>")
		return p.finished(p.data(c, []byte("From: anna@contoso.test\r\nSubject: one\r\n\r\nbody\r\n")))
	}
	fault(1)
	failed := send()
	until(func() bool { return len(p.sim.Sent()) > 0 })
	d, item, found := p.lastSend(1)
	if !found || strings.Join(d.Recipients(), " ") != "anna@contoso.test "+postmaster {
		t.Fatalf("sent: %+v", d)
	}
	raw, _ := p.sim.Content(item.MIME.ID)
	visible, _, _ := strings.Cut(string(raw), "\r\n\r\n")
	if !strings.Contains(visible, "To: <anna@contoso.test>\r\n") || !strings.Contains(string(raw), failed.ID) {
		t.Errorf("the bounce:\n%s", raw)
	}
	list, err := p.relay.Store.List(t.Context(), queue.Filter{})
	if err != nil || len(list) != 2 {
		t.Errorf("%d messages, %v", len(list), err)
	}
}

// Mail that came back is copied too. If the copy comes back itself, that is recorded, and nobody is told
// of it: there is no loop.
func TestCopyOfReturnedMail(t *testing.T) {
	const copyTo, postmaster = "postmaster@fabrikam.test", "postmaster@contoso.test"
	r := startReports(t, simulator.Options{World: simulator.World{Returns: map[string]string{"b@example.test": "5.7.232", copyTo: "5.1.10"}}}, func(c *config.Config) {
		c.Delivery.BounceCopy, c.Connections[0].WatchReports = copyTo, true
	})
	if err := r.rig.send(nil, "hp@printers.local", "Scan"); err != nil {
		t.Fatal(err)
	}
	r.until("returned message and copy", func() bool { return len(r.list(queue.Returned)) == 2 })
	bounces := 0
	for _, d := range r.sim.Ledger() {
		if d.Subject == "Scan" {
			continue
		}
		if bounces++; d.Mailbox != postmaster || strings.Join(d.Recipients(), " ") != postmaster+" "+copyTo {
			t.Errorf("told: %+v", d)
		}
	}
	for range 2 {
		seen := r.looks(postmaster)
		r.until("further look", func() bool { return r.looks(postmaster) > seen+1 })
		r.restart()
	}
	all, err := r.relay.Store.List(t.Context(), queue.Filter{})
	if bounces != 1 || err != nil || len(all) != 2 {
		t.Errorf("%d bounces, %d messages, %v", bounces, len(all), err)
	}
	for _, m := range all {
		if m.Subject != "Scan" && (len(m.Returns) != 1 || m.Returns[0].Recipient != copyTo || m.Returns[0].Code != "5.1.10") {
			t.Errorf("the bounce is %+v", m)
		}
	}
	if sent := len(r.sim.Ledger()); sent != 2 {
		t.Errorf("%d messages were sent", sent)
	}
}
