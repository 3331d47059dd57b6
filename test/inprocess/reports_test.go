package inprocess

import (
	"net/http"
	"net/smtp"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/internal/testlog"
	"graphrelay/relay/config"
	"graphrelay/relay/queue"
)

// reportsRig is a relay that looks for non-delivery reports in the mailbox of devices.
type reportsRig struct {
	*rig
	dir string
}

// startReports starts it. The tenant returns mail to b@example.test.
func startReports(t *testing.T, o simulator.Options, change func(*config.Config)) *reportsRig {
	t.Helper()
	if o.World.Returns == nil {
		o.World.Returns = map[string]string{"b@example.test": "5.7.232"}
	}
	o.SendDelay, o.RequireContract = -1, true
	r := &reportsRig{rig: &rig{T: t, log: &testlog.Buffer{}}, dir: t.TempDir()}
	r.sim, r.url = Simulate(t, o)
	r.cfg = Settings(t, r.dir, r.url, "")
	r.cfg.Senders = []config.Sender{{Match: pattern(t, "*@printers.local"), Mailbox: "scanner@contoso.test", ReplyTo: config.ReplyToOriginal, WatchReports: true}}
	r.cfg.Delivery.Postmaster = "postmaster@contoso.test"
	r.cfg.Delivery.ReportsInterval = config.Duration(20 * time.Millisecond)
	if change != nil {
		change(r.cfg)
	}
	r.start()
	return r
}

func (r *reportsRig) start() {
	r.Helper()
	var err error
	if r.relay, err = Open(r.T, r.cfg, r.log); err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = r.relay.Stop() })
}

func (r *reportsRig) restart() {
	r.Helper()
	if err := r.relay.Stop(); err != nil {
		r.Fatal(err)
	}
	r.start()
}

// list returns the messages in a state.
func (r *reportsRig) list(s queue.State) []queue.Record {
	r.Helper()
	list, err := r.relay.Store.List(r.Context(), queue.Filter{States: []queue.State{s}})
	if err != nil {
		r.Fatal(err)
	}
	return list
}

func (r *reportsRig) until(what string, is func() bool) {
	r.Helper()
	if !until(is) {
		r.Fatalf("no %s:\n%s", what, r.log.String())
	}
}

// looks returns how often an Inbox was looked into.
func (r *reportsRig) looks(mailbox string) (n int) {
	for _, c := range r.sim.Journal() {
		if c.Mailbox == mailbox && strings.Contains(c.Path, "/mailFolders/inbox/") && c.Status == http.StatusOK {
			n++
		}
	}
	return n
}

// Mail of a device comes back: the message is returned, and the postmaster told once, in every
// form that a report may have and whatever look-ups return. The mailbox is left as it was.
func TestReturnedMail(t *testing.T) {
	for name, world := range map[string]simulator.World{
		"as we think":     {},
		"header alone":    {BareReturns: true},
		"odd":             {OddReturns: true, BareReturns: true},
		"filter ignored":  {FilterIgnored: true},
		"filter gets 504": {FilterStatus: 504},
		"class not shown": {ExpandIgnored: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := startReports(t, simulator.Options{World: world}, nil)
			foreign := "From: MAILER-DAEMON@example.test\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n" +
				"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns;x\r\n\r\nFinal-Recipient: rfc822;b@example.test\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n" +
				"--b\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: <of-the-owner@contoso.test>\r\n\r\n--b--\r\n"
			for class, raw := range map[string]string{"REPORT.IPM.Note.NDR": foreign, "IPM.Note": "From: x@example.test\r\n\r\ntext\r\n"} {
				if _, err := r.sim.Receive("scanner@contoso.test", class, []byte(raw)); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.rig.send(nil, "hp@printers.local", "Scan"); err != nil {
				t.Fatal(err)
			}
			r.until("returned message", func() bool { return len(r.list(queue.Returned)) == 1 })
			m := r.list(queue.Returned)[0]
			if m.Subject != "Scan" || len(m.Returns) != 1 || m.Returns[0].Recipient != "b@example.test" || m.Returns[0].Code != "5.7.232" || !strings.Contains(m.Returns[0].Diagnostic, "simulated refusal") {
				t.Errorf("returned as %+v", m)
			}
			r.until("notification", func() bool { return len(r.sim.Messages("postmaster@contoso.test")) == 1 })
			for range 2 {
				seen := r.looks("scanner@contoso.test")
				r.until("further look", func() bool { return r.looks("scanner@contoso.test") > seen+1 })
				r.restart()
			}
			seen := r.looks("scanner@contoso.test")
			r.until("further look", func() bool { return r.looks("scanner@contoso.test") > seen+1 })
			if told := r.sim.Messages("postmaster@contoso.test"); len(told) != 1 || told[0].To[0].Address != "postmaster@contoso.test" {
				t.Errorf("told: %+v", told)
			}
			if touched := r.sim.Touched(); len(touched) > 0 {
				t.Errorf("touched: %+v", touched)
			}
			for _, i := range r.sim.Messages("scanner@contoso.test") {
				if i.Folder == simulator.Inbox && !i.Unread {
					t.Errorf("%s is marked as read", i.Subject)
				}
			}
			if v := r.sim.Violations(); len(v) > 0 {
				t.Errorf("%+v", v)
			}
		})
	}
}

// Returned mail is sent again from the content that is kept of what a mailbox sends into which the
// relay looks. Of other mail nothing is kept.
func TestReturnedMailIsSentAgain(t *testing.T) {
	r := startReports(t, simulator.Options{}, nil)
	if err := r.relay.Send("127.0.0.1:0", "Hello"); err != nil {
		t.Fatal(err)
	}
	if err := r.rig.send(nil, "hp@printers.local", "Scan"); err != nil {
		t.Fatal(err)
	}
	r.until("returned message", func() bool { return len(r.list(queue.Returned)) == 1 })
	m := r.list(queue.Returned)[0]
	if !m.HasContent {
		t.Fatalf("the content of %+v is gone", m)
	}
	again, err := r.relay.Store.Resend(t.Context(), m.ID, []string{"corrected@example.test"}, "anna")
	if err != nil {
		t.Fatal(err)
	}
	r.until("second send", func() bool {
		return slices.ContainsFunc(r.list(queue.Sent), func(m queue.Record) bool { return m.ID == again && m.HasContent })
	})
	if m := r.list(queue.Returned)[0]; m.HasContent {
		t.Error("the first one still has its content")
	}
	if !slices.ContainsFunc(r.sim.Ledger(), func(d simulator.Delivery) bool {
		return d.Subject == "Scan" && slices.Equal(d.Recipients(), []string{"corrected@example.test"})
	}) {
		t.Error("it was not sent to the recipient who was named")
	}
	r.until("other mail sent", func() bool {
		return slices.ContainsFunc(r.list(queue.Sent), func(m queue.Record) bool { return m.Subject == "Hello" && !m.HasContent })
	})
}

// Where the sender's own mailbox has the report and there is no postmaster, nobody is told
// once more. Only mailboxes that
// the configuration names are looked into.
func TestReturnedMailOfAPerson(t *testing.T) {
	r := startReports(t, simulator.Options{}, func(c *config.Config) {
		c.Connections[0].WatchReports, c.Delivery.Postmaster = true, ""
	})
	if err := r.relay.Send("127.0.0.1:0", "Hello"); err != nil { // from a@contoso.test
		t.Fatal(err)
	}
	r.until("returned message", func() bool { return len(r.list(queue.Returned)) == 1 })
	_, events, err := r.relay.Store.Get(t.Context(), r.list(queue.Returned)[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(r.sim.Ledger()); n != 1 || !slices.ContainsFunc(events, func(e queue.Event) bool {
		return e.What == "returned" && strings.Contains(e.Detail, "b@example.test: 5.7.232 550") && strings.Contains(e.Detail, "nobody is told")
	}) {
		t.Errorf("%d messages were sent; %+v", n, events)
	}
	for _, metric := range []string{`graphrelay_messages_returned_total{code="5.7.232",connection="contoso"} 1`,
		`graphrelay_messages_returned_total{code="5.7.233",connection="contoso"} 0`, `graphrelay_queue_messages{state="returned"} 1`} {
		r.until(metric, func() bool { return strings.Contains(r.relay.Get(t, "/metrics"), metric) })
	}
	none := startReports(t, simulator.Options{}, func(c *config.Config) {
		c.Senders = append(c.Senders, config.Sender{Match: pattern(t, "*@crm.local"), Mailbox: "crm@contoso.test"})
	})
	if err := none.relay.Send("127.0.0.1:0", "Hello"); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{"x@crm.local", "hp@printers.local"} {
		if err := none.rig.send(nil, from, "Scan"); err != nil {
			t.Fatal(err)
		}
	}
	none.until("look", func() bool { return none.looks("scanner@contoso.test") > 2 })
	if none.looks("a@contoso.test")+none.looks("crm@contoso.test") > 0 {
		t.Error("a mailbox was looked into that no setting names")
	}
}

// An application without Mail.Read cannot see reports. That is said once, with what to do, and
// mail goes on.
func TestReportsWithoutPermission(t *testing.T) {
	r := startReports(t, simulator.Options{Apps: []simulator.App{{Roles: []string{"Mail.Send"}}}}, func(c *config.Config) { c.Connections[0].MailReadWrite = false })
	for range 2 {
		if err := r.rig.send(nil, "hp@printers.local", "Scan"); err != nil {
			t.Fatal(err)
		}
	}
	r.until("advice", func() bool {
		return strings.Contains(r.log.String(), "watch_reports needs Mail.Read or Mail.ReadWrite for this mailbox")
	})
	r.until("sent messages", func() bool { return len(r.list(queue.Sent)) == 2 })
	asked := 0
	for _, c := range r.sim.Journal() {
		if strings.Contains(c.Path, "/inbox/") {
			asked++
		}
	}
	if n := strings.Count(r.log.String(), "cannot look for non-delivery reports"); n != 1 || asked != 1 {
		t.Errorf("asked %d times and said %d times:\n%s", asked, n, r.log.String())
	}
}

// A hundred forged reports change nothing but what they say of messages that they know.
func TestForgedReports(t *testing.T) {
	r := startReports(t, simulator.Options{World: simulator.World{Returns: map[string]string{"nobody@example.test": "5.1.1"}}}, nil)
	if err := smtp.SendMail(r.relay.Address("127.0.0.1:0"), nil, "hp@printers.local", []string{"b@example.test", "c@example.test"},
		[]byte("From: hp@printers.local\r\nMessage-ID: <1@hp>\r\n\r\nbody\r\n")); err != nil {
		t.Fatal(err)
	}
	r.until("sent message", func() bool { return len(r.list(queue.Sent)) == 1 })
	forged := func(id, recipient string) string {
		return "From: MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@contoso.test\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n" +
			"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns;x\r\n\r\nFinal-Recipient: rfc822;" + recipient +
			"\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp;\x1b[2Jevil\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: " + id + "\r\n\r\n--b--\r\n"
	}
	for n := range 100 {
		raw := forged("<1@hp>", "someone"+strings.Repeat("x", n)+"@example.test")
		if n == 50 {
			raw = forged("<1@hp>", "c@example.test")
		}
		if _, err := r.sim.Receive("scanner@contoso.test", "REPORT.IPM.Note.NDR", []byte(raw)); err != nil {
			t.Fatal(err)
		}
	}
	r.until("returned message", func() bool { return len(r.list(queue.Returned)) == 1 })
	r.until("notification", func() bool { return len(r.sim.Messages("postmaster@contoso.test")) == 1 })
	if m := r.list(queue.Returned)[0]; len(m.Returns) != 1 || m.Returns[0].Recipient != "c@example.test" || strings.Contains(m.Returns[0].Diagnostic, "\x1b") || strings.Contains(r.log.String(), "\x1b") {
		t.Errorf("returned as %+v", m)
	}
	if touched := r.sim.Touched(); len(touched) > 0 {
		t.Errorf("touched: %+v", touched)
	}
}
