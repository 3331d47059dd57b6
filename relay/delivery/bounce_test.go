package delivery_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/mime"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// refused submits a message that Graph always refuses: one recipient is not an address.
func (r *rig) refused(mailbox string, change func(*queue.Entry)) string {
	e := r.to(mailbox, "bob example")
	if change != nil {
		change(&e)
	}
	return r.submit(compose(header("refused")+"Bcc: hidden@example.org\n", "text"), e)
}

// notifications returns the messages that the relay queued about a message.
func (r *rig) notifications(id string) (found []queue.Record) {
	r.t.Helper()
	list, err := r.store.List(r.t.Context(), queue.Filter{})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, rec := range list {
		_, events, err := r.store.Get(r.t.Context(), rec.ID)
		if err != nil {
			r.t.Fatal(err)
		}
		if len(events) > 0 && events[0].Detail == "of "+id {
			found = append(found, rec)
		}
	}
	return found
}

// notifiedOnce waits until the only notification about a message is sent, and returns its
// text and its part for programs as they arrived.
func (r *rig) notifiedOnce(id, to string) (rec queue.Record, text, status string) {
	r.t.Helper()
	list := r.notifications(id)
	if len(list) != 1 {
		r.t.Fatalf("%d notifications about %s\n%s", len(list), id, r.history(id))
	}
	rec = list[0]
	if !strings.Contains(r.history(id), rec.ID) || rec.Envelope.From != "" {
		r.t.Errorf("the history does not name %s from %q:\n%s", rec.ID, rec.Envelope.From, r.history(id))
	}
	d := r.sentOnce(rec.ID)
	if d.Path != simulator.PathMIME || !slices.Equal(d.Recipients(), []string{to}) || d.From != rec.Lane.Mailbox {
		r.t.Errorf("sent by %s from %s to %v, want to %s", d.Path, d.From, d.Recipients(), to)
	}
	raw, ok := r.sim.Content(r.message(d).MIME.ID)
	if !ok {
		r.t.Fatal("the notification was not kept")
	}
	m, err := mime.Parse(bytes.NewReader(raw), int64(len(raw)), mime.DefaultLimits())
	if err != nil || m.Kind != mime.KindReport || len(m.Attachments) < 1 {
		r.t.Fatalf("no report but %s, %v:\n%s", m.Kind, err, raw)
	}
	if bytes.Contains(raw, []byte("hidden@example.org")) {
		r.t.Error("the notification shows a Bcc recipient")
	}
	var b bytes.Buffer
	_, _ = b.ReadFrom(m.Attachments[0].Open())
	return rec, m.Body.Content, b.String()
}

// The sender of a message that Graph refuses permanently is notified once.
func TestBounce(t *testing.T) {
	r := newRig(t, simulator.Options{})
	id := r.refused(anna, nil)
	defer r.start(nil)()
	if rec := r.await(id, queue.Failed); rec.Reason != "invalid_recipients" {
		t.Errorf("reason %s", rec.Reason)
	}
	_, text, status := r.notifiedOnce(id, anna)
	for _, want := range []string{"bob example", "does not accept the address", "Check the addresses", "refused", id, "ErrorInvalidRecipients"} {
		if !strings.Contains(text, want) {
			t.Errorf("the text lacks %q:\n%s", want, text)
		}
	}
	for _, want := range []string{"Reporting-MTA: dns; relay.test", "Final-Recipient: rfc822;bob example", "Action: failed", "Status: 5.1.3", "Diagnostic-Code: x-graph; 400 ErrorInvalidRecipients"} {
		if !strings.Contains(status, want) {
			t.Errorf("the status lacks %q:\n%s", want, status)
		}
	}
	if n := r.counted("graphrelay_bounces_total", "failed"); n != 1 {
		t.Errorf("%v bounces were counted", n)
	}
	r.noDrafts()
}

// counted returns the sum of a counter over the series that have value as a label.
func (r *rig) counted(name, value string) (n float64) {
	r.t.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && strings.Contains(m.String(), `"`+value+`"`) {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

// The process dies at every step up to the failure, and just after it: the sender
// gets one bounce.
func TestBounceOnceAcrossCrashes(t *testing.T) {
	r := newRig(t, simulator.Options{})
	d := &dying{Queue: r.store, left: map[string]int{}, loses: map[string]bool{}}
	var ids []string
	for n := 1; n <= 5; n++ { // draft, send wanted, not sent, finish; and one that lives
		for _, loses := range []bool{false, true} {
			id := r.refused(fmt.Sprintf("n%d-%v@contoso.test", n, loses), nil)
			d.left[id], d.loses[id] = n, loses
			ids = append(ids, id)
		}
	}
	stop := r.start(d)
	ok := r.eventually(func() bool {
		return !slices.ContainsFunc(ids, func(id string) bool { return !d.dead(id) && r.get(id).State != queue.Failed })
	})
	stop()
	if !ok {
		t.Fatal("some message neither died nor failed")
	}
	r.reopen()
	defer r.start(nil)()
	for _, id := range ids {
		r.await(id, queue.Failed)
		r.notifiedOnce(id, r.get(id).Lane.Mailbox)
	}
	r.noDrafts()
}

func TestBounceAfterGivingUp(t *testing.T) {
	r := newRig(t, simulator.Options{})
	r.cfg.GiveUpAfter = 100 * time.Millisecond
	r.fault(simulator.Fault{Operation: simulator.OpCreate, Status: 500, Code: "ErrorInternalServerError"})
	id := r.submit(compose(header("late"), "text"), r.to(anna, "bob@example.org"))
	defer r.start(nil)()
	r.await(id, queue.Failed)
	_, text, status := r.notifiedOnce(id, anna)
	if !strings.Contains(text, "gave up") || !strings.Contains(status, "Status: 5.4.7") || !strings.Contains(status, "ErrorInternalServerError") {
		t.Errorf("got:\n%s\n%s", text, status)
	}
}

// RET=FULL returns the message, without Bcc; the bounce goes to the address of the rule.
func TestBounceFull(t *testing.T) {
	r := newRig(t, simulator.Options{})
	r.cfg.NotifyAt = func(sender string) string { return strings.Replace(sender, "@printers.local", "@contoso.test", 1) }
	id := r.refused(anna, func(e *queue.Entry) {
		e.Envelope.From, e.Envelope.DSN = "copier@printers.local", queue.DSN{Return: "FULL", EnvelopeID: "QQ 314"}
	})
	defer r.start(nil)()
	r.await(id, queue.Failed)
	rec, _, status := r.notifiedOnce(id, "copier@contoso.test")
	raw, _ := r.sim.Content(r.message(r.sentOnce(rec.ID)).MIME.ID)
	if !strings.Contains(status, "Original-Envelope-Id: QQ 314") || !bytes.Contains(raw, []byte("Content-Type: message/rfc822")) ||
		!bytes.Contains(raw, []byte("Content-Type: multipart/mixed; boundary=BB")) {
		t.Errorf("got:\n%s", raw)
	}
}

// A message that cannot be bounced is held, with its reason and why it was not bounced.
func TestNotBounced(t *testing.T) {
	report := "MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b--\r\n"
	for name, tt := range map[string]struct {
		raw     string
		mailbox string
		change  func(*rig, *queue.Entry)
		reason  reason.Reason
		why     string
	}{
		"null sender":  {header("x") + "\ntext", anna, func(_ *rig, e *queue.Entry) { e.Envelope.From = nullSender }, "invalid_recipients", "it has no sender"},
		"own bounce":   {header("x") + "X-Graphrelay-Bounce: 06h0000000000000\n\ntext", anna, nil, "invalid_recipients", "it is a bounce itself"},
		"other bounce": {header("x") + report, anna, nil, "invalid_recipients", "it is a bounce itself"},
		"no mailbox":   {header("x") + "\ntext", "missing@contoso.test", nil, "mailbox_unknown", "set delivery.postmaster"},
		"postmaster without a mailbox": {header("x") + "\ntext", "missing@contoso.test", func(r *rig, _ *queue.Entry) {
			r.cfg.Postmaster = queue.Lane{Connection: "main", Mailbox: "missing@contoso.test"}
		}, "mailbox_unknown", "set delivery.postmaster"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, simulator.Options{})
			e := r.to(tt.mailbox, "bob example")
			if tt.change != nil {
				tt.change(r, &e)
			}
			id := r.submit(strings.ReplaceAll(strings.ReplaceAll(tt.raw, "\r\n", "\n"), "\n", "\r\n"), e)
			stop := r.start(nil)
			rec := r.await(id, queue.Held)
			stop()
			if rec.Reason != tt.reason || !strings.Contains(rec.Detail, "; not bounced: ") || !strings.Contains(rec.Detail, tt.why) {
				t.Errorf("%s: %s", rec.Reason, rec.Detail)
			}
			if len(r.notifications(id)) != 0 || len(r.sim.Ledger()) != 0 {
				t.Errorf("notifications %v, sent %v", r.notifications(id), r.sim.Ledger())
			}
			if r.counted("graphrelay_bounces_impossible_total", "main") != 1 || r.counted("graphrelay_messages_failed_total", string(tt.reason)) != 1 {
				t.Error("it was not counted")
			}
			r.noDrafts()
		})
	}
}

// A bounce that fails has no sender to notify: it is held, and nothing follows.
func TestBounceOfABounce(t *testing.T) {
	r := newRig(t, simulator.Options{})
	id := r.refused(anna, func(e *queue.Entry) { e.Envelope.From = "no address" })
	stop := r.start(nil)
	r.await(id, queue.Failed)
	bounce := r.notifications(id)[0]
	rec := r.await(bounce.ID, queue.Held)
	stop()
	if rec.Reason != "invalid_recipients" || !strings.Contains(rec.Detail, "it has no sender") || len(r.notifications(bounce.ID)) != 0 {
		t.Errorf("%s: %s", rec.Reason, rec.Detail)
	}
	r.noDrafts()
}

// With a postmaster, a mailbox that cannot send has its messages bounced all the same.
func TestPostmaster(t *testing.T) {
	r := newRig(t, simulator.Options{})
	r.cfg.Postmaster = queue.Lane{Connection: "main", Mailbox: "postmaster@contoso.test"}
	id := r.submit(compose(header("x"), "text"), r.to("missing@contoso.test", "bob@example.org"))
	defer r.start(nil)()
	r.await(id, queue.Failed)
	if rec, _, status := r.notifiedOnce(id, "missing@contoso.test"); rec.Lane != r.cfg.Postmaster || !strings.Contains(status, "Status: 5.1.8") {
		t.Errorf("sent by %s:\n%s", rec.Lane, status)
	}
}
