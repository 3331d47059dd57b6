package delivery_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/delivery/graphmail"
	"graphrelay/relay/queue"
)

// queueIDProperty is the extended property that carries the queue ID.
const queueIDProperty = "String {8ec6a6a5-1c0e-4d0e-9a55-6e1f5a7a2f31} Name graphrelay-id"

// parts are the parts of a draft that Graph may refuse, as the simulator shows them.
func parts(m simulator.Message) (list []string) {
	add := func(name string, there bool) {
		if there {
			list = append(list, name)
		}
	}
	has := func(id string) bool {
		return slices.ContainsFunc(m.Properties, func(p simulator.Property) bool { return p.ID == id })
	}
	add("headers", len(m.Headers) > 0)
	add("reply", has("String 0x1042"))
	add("sensitivity", has("Integer 0x36"))
	add("queue ID", has(queueIDProperty))
	return list
}

const degradable = "X-Tag: one\nIn-Reply-To: <a@b>\nSensitivity: private\n"

// Of a draft that Graph refuses, only what is at fault is left out, whether the refusal
// names it or not, and by whatever way it goes.
func TestOnlyWhatIsRefusedIsLeftOut(t *testing.T) {
	all := []string{"headers", "reply", "sensitivity", "queue ID"}
	without := func(names ...string) []string {
		return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(names, s) })
	}
	for name, tt := range map[string]struct {
		refused []string
		left    []string
		losses  []string
	}{
		"X- fields":     {[]string{"internetMessageHeaders"}, without("headers"), []string{"header"}},
		"one property":  {[]string{"String 0x1042"}, without("reply", "sensitivity"), []string{"property"}},
		"the queue ID":  {[]string{queueIDProperty}, without("queue ID"), nil},
		"properties":    {[]string{"singleValueExtendedProperties"}, []string{"headers"}, []string{"property"}},
		"all of it":     {[]string{"internetMessageHeaders", "singleValueExtendedProperties"}, nil, []string{"header", "property"}},
		"its own From":  {[]string{"from"}, all, []string{"sender"}},
		"nothing":       {nil, all, nil},
		"some and From": {[]string{"from", "internetMessageHeaders"}, without("headers"), []string{"header", "sender"}},
	} {
		for _, unnamed := range []bool{false, true} {
			for _, via := range []string{"main", sendOnly} {
				t.Run(fmt.Sprintf("%s, unnamed %v, %s", name, unnamed, via), func(t *testing.T) {
					more := unnamed && len(tt.refused) > 1 // more than the least may be left out
					r := newRig(t, simulator.Options{World: simulator.World{RefusedProperties: tt.refused, RefusedUnnamed: unnamed}})
					r.connect(sendOnly, secret)
					r.out.Connections = map[string]graphmail.Connection{sendOnly: {SendOnly: true}}
					e := r.to(anna, "bob@example.org")
					e.Lane.Connection = via
					id := r.submit(compose(header("parts")+degradable, "text", smallFiles[0]), e)
					stop := r.start(nil)
					d := r.sentOnce(id)
					stop()
					got := parts(r.message(d))
					refused := func(part string) bool { return !slices.Contains(tt.left, part) }
					if !slices.Equal(got, tt.left) && (!more || slices.ContainsFunc(got, refused)) {
						t.Errorf("it has %q, want %q\n%s", got, tt.left, r.history(id))
					}
					for _, kind := range []string{"header", "property", "sender", "subject"} {
						want := slices.Contains(tt.losses, kind)
						if n := r.lost(kind); n > 1 || n == 0 && want || n == 1 && !want && !more {
							t.Errorf("%v losses of the kind %s are counted\n%s", n, kind, r.history(id))
						}
					}
					if n := r.sim.Stats().Calls[simulator.OpCreate] + r.sim.Stats().Calls[simulator.OpSendMail]; n > 12 {
						t.Errorf("%d requests", n)
					}
				})
			}
		}
	}
}

// What three messages in a row have shown to be refused is left out of the next ones of the
// connection, whether the refusals name it or not. The log says so once.
func TestRefusedPartsAreRemembered(t *testing.T) {
	want := []int{2, 2, 2, 1, 1} // creates
	for _, unnamed := range []bool{false, true} {
		t.Run(fmt.Sprint("unnamed ", unnamed), func(t *testing.T) {
			r := newRig(t, simulator.Options{World: simulator.World{RefusedProperties: []string{"internetMessageHeaders"}, RefusedUnnamed: unnamed}})
			defer r.start(nil)()
			before := 0
			for i, n := range want {
				id := r.submit(compose(header(fmt.Sprint("m", i))+degradable, "text"), r.to(fmt.Sprintf("m%d@contoso.test", i), "bob@example.org"))
				r.sentOnce(id)
				calls := r.sim.Stats().Calls[simulator.OpCreate]
				if calls-before != n || !strings.Contains(r.history(id), "lost: header: not carried: X-Tag") {
					t.Errorf("message %d: %d creates, want %d\n%s", i, calls-before, n, r.history(id))
				}
				before = calls
			}
			if n := strings.Count(r.log.String(), "Graph refuses a part of each message"); n != 1 {
				t.Errorf("the log says it %d times", n)
			}
		})
	}
}

// If leaving something out does not help, the message fails for the refusal of the whole,
// and nothing is tried without end.
func TestRefusedWhateverIsLeftOut(t *testing.T) {
	r := newRig(t, simulator.Options{})
	r.out.RetryUnexplained = 300 * time.Millisecond
	f := r.fault(simulator.Fault{Operation: simulator.OpCreate, Mailbox: anna, Status: 400, Code: "ErrorNeverSeenBefore", Message: "no"})
	id := r.submit(compose(header("parts")+degradable, "text"), r.to(anna, "bob@example.org"))
	defer r.start(nil)()
	rec := r.await(id, queue.Failed, queue.Held)
	if n := r.acted(f); rec.Reason != "invalid_message" || n < 5 || n > 12+rec.Attempts {
		t.Errorf("%s after %d creates in %d attempts", rec.Reason, n, rec.Attempts)
	}
	if h := r.history(id); strings.Contains(h, "lost: ") {
		t.Errorf("it has lost what was not left out in the end:\n%s", h)
	}
}

// A draft that cannot carry the queue ID is found by its Message-ID: whatever answer is lost,
// and wherever the process dies, the message is sent once. An item of the mailbox's owner
// that looks the same is never removed.
func TestCrashWithoutTheQueueID(t *testing.T) {
	r := newRig(t, simulator.Options{Limits: smallLimits(), World: simulator.World{RefusedProperties: []string{queueIDProperty}}})
	r.out.SendSettle = 2 * time.Second
	r.timeout = 15 * time.Second
	r.connect("main", secret)
	r.cfg.Concurrency = 64
	d := &dying{left: map[string]int{}, loses: map[string]bool{}}
	names := map[string]string{}
	for _, op := range []simulator.Operation{"", simulator.OpCreate, simulator.OpAttachment, simulator.OpCreateSession, simulator.OpSend} {
		for n := 1; n <= 10; n++ {
			if op != "" && n%3 != 0 {
				continue
			}
			mailbox := mailboxOf(fmt.Sprintf("q %s %d", strings.ReplaceAll(string(op), "_", ""), n))
			if op != "" {
				nth := 1
				if op == simulator.OpCreate && n == 3 { // the first message has the trial
					nth = 2
				}
				r.fault(simulator.Fault{Operation: op, Mailbox: mailbox, Nth: nth, Reset: true, After: true})
			}
			id := r.submit(compose(header(mailbox)+degradable, "text", smallFiles...), r.to(mailbox, "bob@example.org"))
			d.left[id], d.loses[id] = n, n%2 == 0
			names[id] = fmt.Sprintf("%s, step %d", op, n)
		}
	}
	r.survive(d, names, smallFiles, otherWorld{})
}

func TestDraftsThatOnlyLookTheSame(t *testing.T) {
	r := newRig(t, simulator.Options{World: simulator.World{RefusedProperties: []string{queueIDProperty}}})
	subject := "look"
	own, err := r.sim.Plant(simulator.Message{Mailbox: anna, Folder: simulator.Drafts, Subject: "mine", InternetMessageID: "<" + subject + "@client.test>",
		To: []simulator.Address{{Address: "bob@example.org"}}, Attachments: []simulator.Attachment{{Name: "a"}, {Name: "b"}, {Name: "c"}}})
	if err != nil {
		t.Fatal(err)
	}
	r.fault(simulator.Fault{Operation: simulator.OpCreate, Nth: 2, Reset: true})
	id := r.submit(compose(header(subject), "text", smallFiles[0]), r.to(anna, "bob@example.org"))
	defer r.start(nil)()
	if d := r.sentOnce(id); d.MessageID == own {
		t.Errorf("the owner's draft was sent\n%s", r.history(id))
	}
	if touched := r.sim.Touched(); len(touched) != 0 {
		t.Errorf("touched: %+v\n%s", touched, r.history(id))
	}
}

// lunch returns an invitation: a message that goes as MIME and can be read without its form.
func lunch(subject string) string {
	return strings.ReplaceAll(header(subject)+"MIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=I\n\n"+
		"--I\nContent-Type: text/plain\n\nlunch\n--I\nContent-Type: text/calendar; method=REQUEST\n\nBEGIN:VCALENDAR\nMETHOD:REQUEST\nEND:VCALENDAR\n--I--\n", "\n", "\r\n")
}

// An invitation that Graph refuses as MIME goes as a draft, one that is signed fails.
func TestRefusedAsMIME(t *testing.T) {
	for _, via := range []string{"main", sendOnly} {
		t.Run(via, func(t *testing.T) {
			r := newRig(t, simulator.Options{World: simulator.World{RefusedMIME: []string{"text/calendar", "multipart/signed"}}})
			r.connect(sendOnly, secret)
			r.out.Connections = map[string]graphmail.Connection{sendOnly: {SendOnly: true}}
			r.out.ConvertLargeSigned = true // only what is too large
			e := r.to(anna, "bob@example.org")
			e.Lane.Connection = via
			id, refused := r.submit(lunch("lunch"), e), r.submit(signed("signed"), e)
			stop := r.start(nil)
			d := r.sentOnce(id)
			r.await(refused, queue.Failed)
			stop()
			m := r.message(d)
			if m.MIME != nil || !strings.Contains(m.Body.Content, "lunch") || len(m.Attachments) != 1 || !strings.Contains(r.history(id), "lost: form: ") || r.lost("form") == 0 {
				t.Errorf("it arrived as %+v, %v losses\n%s", m, r.lost("form"), r.history(id))
			}
			if len(r.deliveries(refused)) != 0 {
				t.Error("the signed message was sent")
			}
		})
	}
}

func TestCrashAfterRefusedAsMIME(t *testing.T) {
	r := newRig(t, simulator.Options{World: simulator.World{RefusedMIME: []string{"text/calendar"}}})
	r.out.SendSettle = 2 * time.Second
	d := &dying{left: map[string]int{}, loses: map[string]bool{}}
	names := map[string]string{}
	for _, op := range []simulator.Operation{"", simulator.OpCreate, simulator.OpAttachment, simulator.OpSend} {
		for n := 1; n <= 7; n++ {
			mailbox := mailboxOf(fmt.Sprintf("m %s %d", op, n))
			if op != "" {
				r.fault(simulator.Fault{Operation: op, Mailbox: mailbox, Nth: 1, Reset: true, After: true})
			}
			id := r.submit(lunch("lunch"), r.to(mailbox, "bob@example.org"))
			d.left[id], d.loses[id] = n, n%2 == 0
			names[id] = fmt.Sprintf("%s, step %d", op, n)
		}
	}
	r.survive(d, names, []attached{{"attachment-1.ics", "text/calendar", "", false, []byte("BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR")}}, otherWorld{})
}
