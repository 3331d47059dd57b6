package delivery_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/delivery/graphmail"
	"graphrelay/relay/queue"
)

const badRecipient = "unresolvable@example.test"

// partly is a message that Graph refuses for one of its three recipients.
type partly struct {
	name, raw, via string
	world          func(*simulator.World)
}

func partlyRefused() []partly {
	plain := "From: CRM <anna@contoso.test>\nTo: anna@example.test, unresolvable@example.test\nCc: bob@example.test\nSubject: alarm\nMessage-ID: <partly@client.test>\n"
	file := compose(plain, "fire", smallFiles[0])
	text := strings.ReplaceAll(plain+"\nfire\n", "\n", "\r\n")
	whole := strings.Replace(signed("partly"), "To: bob@example.org", "To: anna@example.test, unresolvable@example.test\r\nCc: bob@example.test", 1)
	atCreate := func(w *simulator.World) { w.UnresolvedAtCreate = true }
	return []partly{
		{"at the send", text, "", nil},
		{"at the send, with a file", file, "", nil},
		{"at the send of MIME", whole, "", nil},
		{"at the create", text, "", atCreate},
		{"at the create from MIME", whole, "", atCreate},
		{"at sendMail", text, sendOnly, nil},
		{"at sendMail of MIME", whole, sendOnly, nil},
	}
}

func (r *rig) submitPartly(p partly, mailbox string) string {
	e := r.to(mailbox, "anna@example.test", badRecipient, "bob@example.test")
	e.From = anna
	if p.via != "" {
		e.Lane.Connection = p.via
	}
	return r.submit(p.raw, e)
}

// sentPartly checks that the message was sent once, to the recipients that Graph accepts,
// and that its sender was told of the other one, once.
func (r *rig) sentPartly(id string) {
	r.t.Helper()
	got := r.sentOnce(id).Recipients()
	if slices.Sort(got); !slices.Equal(got, []string{"anna@example.test", "bob@example.test"}) {
		r.t.Errorf("sent to %v\n%s", got, r.history(id))
	}
	rec := r.get(id)
	_, text, status := r.notifiedOnce(id, rec.Envelope.From)
	if !strings.Contains(text, "not sent to:") || !strings.Contains(text, badRecipient) || strings.Contains(text, "    bob@example.test") {
		r.t.Errorf("the bounce says:\n%s", text)
	}
	if strings.Count(status, "Final-Recipient:") != 1 || !strings.Contains(status, "Final-Recipient: rfc822;"+badRecipient) ||
		!strings.Contains(status, "Action: failed") || !strings.Contains(status, "ErrorInvalidRecipients") {
		r.t.Errorf("its part for programs:\n%s", status)
	}
	if h := r.history(id); strings.Count(h, "lost: recipient: "+badRecipient) != 1 || !strings.Contains(h, "bounced: as ") {
		r.t.Errorf("the history:\n%s", h)
	}
}

func (r *rig) withPartly(change func(*simulator.World)) {
	r.t.Helper()
	r.timeout = 15 * time.Second
	r.connect("main", secret)
	r.connect(sendOnly, secret)
	r.out.Connections = map[string]graphmail.Connection{sendOnly: {SendOnly: true}}
	r.cfg.Postmaster = queue.Lane{Connection: "main", Mailbox: "postmaster@contoso.test"}
	err := r.sim.ChangeWorld(func(w *simulator.World) {
		w.Unresolved = []string{badRecipient}
		if change != nil {
			change(w)
		}
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// One recipient that Graph names as unresolved bounces, and the others get the message.
func TestOneBadRecipient(t *testing.T) {
	for _, p := range partlyRefused() {
		t.Run(p.name, func(t *testing.T) {
			r := newRig(t, simulator.Options{})
			r.withPartly(p.world)
			id := r.submitPartly(p, anna)
			stop := r.start(nil)
			r.sentPartly(id)
			r.noDrafts()
			stop()
			if n := r.lost("recipient"); n != 1 {
				t.Errorf("%v recipients are counted", n)
			}
			if log := r.log.String(); !strings.Contains(log, "not sent to a recipient") || !strings.Contains(log, "sender_told=true") {
				t.Errorf("the log:\n%s", log)
			}
		})
	}
}

// Whether content is kept may be a question to the directory. It is asked before the send, after
// which the outcome is recorded at once.
func TestContentIsDecidedBeforeTheSend(t *testing.T) {
	r := newRig(t, simulator.Options{})
	var asked, late atomic.Int32
	r.cfg.KeepsContent = func(l queue.Lane, refused bool) bool {
		asked.Add(1)
		if r.sim.Stats().Calls[simulator.OpSend] > 0 {
			late.Add(1)
		}
		return true
	}
	e := r.to(anna, "bob@example.test")
	e.Client = "192.0.2.1"
	id := r.submit(compose(header("asked"), "text"), e)
	defer r.start(nil)()
	if !r.await(id, queue.Sent).HasContent || asked.Load() == 0 || late.Load() > 0 {
		t.Errorf("asked %d times, %d of them after the send; the content is kept: %v", asked.Load(), late.Load(), r.get(id).HasContent)
	}
}

// The content of a message is kept where a recipient was refused, and its record says who does
// not have it. That of other messages and of the bounce goes.
func TestContentForTheRefused(t *testing.T) {
	r := newRig(t, simulator.Options{})
	r.withPartly(nil)
	r.cfg.KeepsContent = func(l queue.Lane, refused bool) bool { return refused || l.Mailbox == r.cfg.Postmaster.Mailbox }
	submit := func(raw string, to ...string) string {
		e := r.to(anna, to...)
		e.From, e.Client = anna, "192.0.2.1"
		return r.submit(raw, e)
	}
	id := submit(partlyRefused()[0].raw, "anna@example.test", badRecipient, "bob@example.test")
	whole := submit(compose(header("whole"), "text"), "bob@example.test")
	stop := r.start(nil)
	r.sentPartly(id)
	r.await(whole, queue.Sent)
	bounce, _, _ := r.notifiedOnce(id, anna)
	stop()
	if m := r.get(id); !m.HasContent || !slices.Equal(graphmail.StepsOf(m.Progress).Refused, []string{badRecipient}) {
		t.Errorf("with content: %v, refused: %v", m.HasContent, graphmail.StepsOf(m.Progress).Refused)
	}
	for _, id := range []string{whole, bounce.ID} {
		if r.get(id).HasContent {
			t.Errorf("the content of %s was kept", id)
		}
	}
}

// The same, while the process dies at every step, or an answer around the refusal is lost.
func TestOneBadRecipientAndCrash(t *testing.T) {
	for _, p := range partlyRefused() {
		if p.via != "" { // after a sendMail nothing can be looked up
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			r := newRig(t, simulator.Options{})
			r.withPartly(p.world)
			r.out.SendSettle = 2 * time.Second
			r.cfg.Concurrency = 64
			ops := []simulator.Operation{"", simulator.OpCreate, simulator.OpCreateMIME, simulator.OpGet, simulator.OpDelete, simulator.OpSend}
			d := &dying{Queue: r.store, left: map[string]int{}, loses: map[string]bool{}}
			names := map[string]string{}
			for _, op := range ops {
				for n := 1; n <= 7; n++ { // send wanted, replace, unsent, draft, send wanted, finish; and one that lives
					if op != "" && n%2 == 1 {
						continue
					}
					mailbox := mailboxOf(fmt.Sprintf("p %s %d", strings.ReplaceAll(string(op), "_", ""), n))
					if op != "" {
						nth := 1
						if op == simulator.OpSend || op == simulator.OpCreate || op == simulator.OpCreateMIME {
							nth = 2 // the one without the recipient
						}
						r.fault(simulator.Fault{Operation: op, Mailbox: mailbox, Nth: nth, Reset: true, After: true})
					}
					id := r.submitPartly(p, mailbox)
					d.left[id], d.loses[id] = n, n%4 < 2
					names[id] = fmt.Sprintf("%s, step %d", op, n)
				}
			}
			stop := r.start(d)
			if !r.eventually(func() bool {
				for id := range names {
					if !d.dead(id) && r.get(id).State != queue.Sent {
						return false
					}
				}
				return true
			}) {
				t.Fatal("some message neither died nor was sent")
			}
			stop()
			r.reopen()
			defer r.start(nil)()
			for id, name := range names {
				t.Run(name, func(t *testing.T) {
					r.t = t
					r.sentPartly(id)
				})
			}
			r.t = t
			for id := range names {
				if strings.Contains(r.history(id), "draft left behind: ") { // it was found by its Message-ID: it may be another's
					return
				}
			}
			r.noDrafts()
		})
	}
}

// Where a refusal names no recipient of the message, or all of them, or a part of a longer
// address, nobody gets it; and a recipient is never excluded without a word to the operator.
func TestBadRecipientsAsAWhole(t *testing.T) {
	const refused = "At least one recipient isn't valid., Recipient \"%s\" isn't resolved."
	for name, message := range map[string]string{
		"none":    "At least one recipient isn't valid.",
		"other":   fmt.Sprintf(refused, "stranger@example.test"),
		"longer":  fmt.Sprintf(refused, "o'bob@example.test") + fmt.Sprintf(refused, "bob@example.test.test"),
		"cut off": "Recipient bob@example.test...",
		"all":     fmt.Sprintf(refused, "BOB@example.test") + fmt.Sprintf(refused, "carla@example.test"),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, simulator.Options{})
			r.fault(simulator.Fault{Operation: simulator.OpSend, Mailbox: anna, Nth: 1, Status: 400, Code: "ErrorInvalidRecipients", Message: message})
			id := r.submit(compose(header("whole"), "text"), r.to(anna, "bob@example.test", "carla@example.test"))
			defer r.start(nil)()
			r.await(id, queue.Failed)
			if n := r.sim.Stats().Calls[simulator.OpCreate]; n != 1 {
				t.Errorf("%d drafts were made\n%s", n, r.history(id))
			}
			if n := len(r.deliveries(id)); n != 0 || strings.Contains(r.history(id), "lost: recipient") {
				t.Errorf("sent %d times\n%s", n, r.history(id))
			}
		})
	}
}

// A message that was sent although Graph refused to is not sent again, and its recipient
// that was named has it too.
func TestBadRecipientAndSent(t *testing.T) {
	r := newRig(t, simulator.Options{SendDelay: -1})
	r.fault(simulator.Fault{Operation: simulator.OpSend, Nth: 1, Status: 400, Code: "ErrorInvalidRecipients", After: true,
		Message: `Recipient "bob@example.test" isn't resolved.`})
	id := r.submit(compose(header("both"), "text"), r.to(anna, "bob@example.test", "carla@example.test"))
	defer r.start(nil)()
	if d := r.sentOnce(id); len(d.Recipients()) != 2 || len(r.notifications(id)) != 0 || r.sim.Stats().Calls[simulator.OpDelete] != 0 {
		t.Errorf("sent to %v\n%s", d.Recipients(), r.history(id))
	}
}

// Where nobody can be told, the history, the log and the metric say so.
func TestBadRecipientOfABounce(t *testing.T) {
	r := newRig(t, simulator.Options{})
	r.withPartly(nil)
	e := r.to(anna, "bob@example.test", badRecipient)
	e.Envelope.From = nullSender
	id := r.submit(compose(header("null"), "text"), e)
	stop := r.start(nil)
	r.sentOnce(id)
	stop()
	if h := r.history(id); !strings.Contains(h, "not bounced: it has no sender") || !strings.Contains(r.log.String(), "sender_told=false") {
		t.Errorf("the history:\n%s", h)
	}
	if n := r.counted("graphrelay_bounces_impossible_total", "main"); n != 1 {
		t.Errorf("%v are counted", n)
	}
}

// A sender who asked for it is told of success for the others, in a notice of its own.
func TestBadRecipientBesideSuccess(t *testing.T) {
	r := newRig(t, simulator.Options{})
	r.withPartly(nil)
	e := r.to(anna, "bob@example.test", badRecipient)
	both := queue.RecipientDSN{Notify: []string{"SUCCESS", "FAILURE"}}
	e.Envelope.DSN.Recipients = map[string]queue.RecipientDSN{"bob@example.test": both, badRecipient: both}
	id := r.submit(compose(header("success"), "text"), e)
	defer r.start(nil)()
	r.sentOnce(id)
	list := r.notifications(id)
	if len(list) != 2 {
		t.Fatalf("%d notifications\n%s", len(list), r.history(id))
	}
	var all string
	for _, n := range list {
		r.await(n.ID, queue.Sent)
		all += r.history(n.ID)
	}
	if !strings.Contains(all, "bounced: of ") || !strings.Contains(all, "success notice: of ") {
		t.Errorf("the notifications are %s", all)
	}
}
