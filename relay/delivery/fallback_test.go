package delivery_test

import (
	"fmt"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/relay/delivery/graphmail"
	"graphrelay/relay/queue"
)

const boss = "boss@contoso.test"

// asBoss has anna's mailbox send as the boss, with the fallback to its own address.
func asBoss(r *rig) queue.Entry {
	e := r.to(anna, "bob@example.org")
	e.From, e.Fallback = boss, anna
	return e
}

func fromBoss(subject, more string) string {
	return strings.Replace(header(subject), "From: Anna <"+anna+">", "From: The Boss <"+boss+">", 1) + more
}

const invitation = "MIME-Version: 1.0\nContent-Type: text/calendar; method=REQUEST\n\nBEGIN:VCALENDAR\nMETHOD:REQUEST\nEND:VCALENDAR\n"

// A message whose From Exchange refuses leaves once, from the mailbox itself, and answers go
// to the address that was wanted; on each path, wherever the refusal comes, and with every
// request to remove the draft failing at first.
func TestSendDeniedFallback(t *testing.T) {
	denied := simulator.Fault{Status: 403, Code: "ErrorSendAsDenied", Nth: 1}
	sendOnly := map[string]graphmail.Connection{"main": {SendOnly: true}}
	for _, tt := range []struct {
		name        string
		raw         string
		create      bool // Exchange refuses the draft already
		connections map[string]graphmail.Connection
		faults      []simulator.Fault
		replyTo     string
	}{
		{name: "at the send", raw: compose(fromBoss("s", ""), "text"), replyTo: boss},
		{name: "with files", raw: compose(fromBoss("s", ""), "text", attached{"a.bin", "application/zip", "", false, random(1000)}), replyTo: boss},
		{name: "at the draft", create: true, raw: compose(fromBoss("s", ""), "text"), replyTo: boss},
		{name: "sendMail", raw: compose(fromBoss("s", ""), "text"), connections: sendOnly, replyTo: boss},
		{name: "MIME", raw: strings.ReplaceAll(fromBoss("s", invitation), "\n", "\r\n"), replyTo: boss},
		{name: "MIME by sendMail", raw: strings.ReplaceAll(fromBoss("s", invitation), "\n", "\r\n"), connections: sendOnly, replyTo: boss},
		{name: "own Reply-To", raw: compose(fromBoss("s", "Reply-To: desk@contoso.test\n"), "text"), replyTo: "desk@contoso.test"},
		{name: "on behalf", raw: compose(fromBoss("s", "Sender: "+anna+"\n"), "text"), replyTo: boss},
		{name: "the draft cannot be removed at first", raw: compose(fromBoss("s", ""), "text"), replyTo: boss,
			faults: []simulator.Fault{{Operation: simulator.OpDelete, Status: 500, Count: 2}}},
		{name: "the answer to its removal is lost", raw: compose(fromBoss("s", ""), "text"), replyTo: boss,
			faults: []simulator.Fault{{Operation: simulator.OpDelete, After: true, Reset: true, Count: 1, Nth: 1}}},
		{name: "the answer to the new draft is lost", raw: compose(fromBoss("s", ""), "text"), replyTo: boss,
			faults: []simulator.Fault{{Operation: simulator.OpCreate, After: true, Reset: true, Nth: 2}}},
		{name: "the answer to the new send is lost", raw: compose(fromBoss("s", ""), "text"), replyTo: boss,
			faults: []simulator.Fault{{Operation: simulator.OpSend, After: true, Reset: true, Nth: 2}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, simulator.Options{SendAs: map[string][]string{}})
			r.out.Connections = tt.connections
			if tt.create {
				denied.Operation = simulator.OpCreate
				r.fault(denied)
			}
			for _, f := range tt.faults {
				r.fault(f)
			}
			id := r.submit(tt.raw, asBoss(r))
			stop := r.start(nil)
			r.await(id, queue.Sent)
			if !r.eventually(func() bool { return len(r.sim.Sent()) > 0 }) || len(r.sim.Ledger()) != 1 {
				t.Fatalf("sent: %+v", r.sim.Ledger())
			}
			m := r.sim.Sent()[0]
			stop()
			r.noDrafts()
			if m.From == nil || m.From.Address != anna {
				t.Errorf("From is %v", m.From)
			}
			if len(m.ReplyTo) != 1 || m.ReplyTo[0].Address != tt.replyTo {
				t.Errorf("Reply-To is %v, want %s", m.ReplyTo, tt.replyTo)
			}
			h := r.history(id)
			if strings.Count(h, "lost: from: shows "+anna+" instead of "+boss) != 1 || r.lost("from") != 1 {
				t.Errorf("the loss is counted %v times:\n%s", r.lost("from"), h)
			}
		})
	}
}

// What is not allowed to fall back, or would break by it, fails as without.
func TestNoFallback(t *testing.T) {
	for _, tt := range []struct {
		name    string
		raw     string
		entry   func(*rig) queue.Entry
		options simulator.Options
		state   queue.State
		reason  string
	}{
		{name: "no rule", raw: compose(fromBoss("s", ""), "text"), state: queue.Failed, reason: "send_denied", options: simulator.Options{SendAs: map[string][]string{}},
			entry: func(r *rig) queue.Entry { e := asBoss(r); e.Fallback = ""; return e }},
		{name: "signed", raw: strings.Replace(signed("s"), "From: Anna <"+anna+">", "From: "+boss, 1), state: queue.Failed, reason: "send_denied", options: simulator.Options{SendAs: map[string][]string{}}},
		{name: "no access to the mailbox", raw: compose(fromBoss("s", ""), "text"), state: queue.Deferred, reason: "access_denied",
			options: simulator.Options{SendAs: map[string][]string{}, World: simulator.World{Denied: []string{"*"}}}},
		{name: "not even the mailbox itself", raw: compose(fromBoss("s", ""), "text"), state: queue.Failed, reason: "send_denied",
			entry: func(r *rig) queue.Entry {
				r.fault(simulator.Fault{Operation: simulator.OpSend, Status: 403, Code: "ErrorSendAsDenied"})
				return asBoss(r)
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, tt.options)
			if tt.entry == nil {
				tt.entry = asBoss
			}
			id := r.submit(tt.raw, tt.entry(r))
			stop := r.start(nil)
			rec := r.await(id, tt.state)
			stop()
			if string(rec.Reason) != tt.reason {
				t.Errorf("%s: %s", rec.Reason, rec.Detail)
			}
			if n := len(r.deliveries(id)); n != 0 {
				t.Errorf("%d were sent", n)
			}
		})
	}
}

// A relay that is killed at any step of a fallback sends the message once, from the mailbox
// itself.
func TestCrashDuringFallback(t *testing.T) {
	files := []attached{{"a.bin", "application/zip", "", false, random(1000)}}
	r := newRig(t, simulator.Options{SendAs: map[string][]string{}})
	d := &dying{left: map[string]int{}, loses: map[string]bool{}}
	names := map[string]string{}
	for n := 1; n <= 9; n++ { // draft, file, send wanted, replacing, draft, file, send wanted, finish; and one that lives
		for _, loses := range []bool{false, true} {
			e := r.to(fmt.Sprintf("n%d-%v@contoso.test", n, loses), "bob@example.org")
			e.From, e.Fallback = boss, e.Lane.Mailbox
			id := r.submit(compose(fromBoss("crash", ""), "text", files...), e)
			d.left[id], d.loses[id] = n, loses
			names[id] = fmt.Sprintf("step %d, lost %v", n, loses)
		}
	}
	r.survive(d, names, files, otherWorld{})
	for _, m := range r.sim.Sent() {
		if m.From == nil || m.From.Address != m.Mailbox {
			t.Errorf("%s was sent from %v", m.Mailbox, m.From)
		}
	}
}
