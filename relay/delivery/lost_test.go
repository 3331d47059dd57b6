package delivery_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/delivery/graphmail"
	"graphrelay/relay/queue"
)

// graphCall is a kind of request that the relay makes to Graph, and a message whose delivery
// makes it.
type graphCall struct {
	name    string
	op      simulator.Operation
	nth     int // of its operation, from 1; 0 is the first
	raw     string
	refused bool             // by Graph, at the send: the message fails and its draft is removed
	via     string           // the connection; "" is main
	before  *simulator.Fault // what brings the call about
	twice   bool             // the draft is made twice, and the answer lost: that brings it about
	large   bool
	unknown bool // nothing can be looked up after it
}

// kind returns the part of a call that determines its message.
func (c graphCall) kind() graphCall { return graphCall{raw: c.raw, refused: c.refused, via: c.via} }

// The connections of a call.
const copyless, softly, sendOnly = "copyless", "softly", "sendonly"

// graphCalls are all calls except that for a token, which belongs to no message.
var graphCalls = sync.OnceValue(func() []graphCall {
	files, text, mime := compose(header("lost"), "text", smallFiles...), compose(header("lost"), "text"), signed("lost")
	ranges := compose(header("lost"), "text", attached{"big.bin", "application/zip", "", false, random(7_300_000)}) // three of them
	small := compose(header("lost"), "text", smallFiles[0])
	lost := func(op simulator.Operation) *simulator.Fault {
		return &simulator.Fault{Operation: op, Reset: true, After: true}
	}
	return []graphCall{
		{name: "create", op: simulator.OpCreate, raw: files},
		{name: "create without files", op: simulator.OpCreate, raw: text},
		{name: "create from MIME", op: simulator.OpCreateMIME, raw: mime},
		{name: "find by queue ID", op: simulator.OpList, raw: files, before: lost(simulator.OpCreate)},
		{name: "find by Message-ID", op: simulator.OpList, raw: mime, before: lost(simulator.OpCreateMIME)},
		{name: "first attachment", op: simulator.OpAttachment, raw: files},
		{name: "last attachment", op: simulator.OpAttachment, nth: 2, raw: files},
		{name: "count of attachments", op: simulator.OpListAttachments, raw: files, before: lost(simulator.OpAttachment)},
		{name: "upload session", op: simulator.OpCreateSession, raw: files},
		{name: "only range", op: simulator.OpUpload, raw: files},
		{name: "first range", op: simulator.OpUpload, raw: ranges, large: true},
		{name: "middle range", op: simulator.OpUpload, nth: 2, raw: ranges, large: true},
		{name: "last range", op: simulator.OpUpload, nth: 3, raw: ranges, large: true},
		{name: "state of a session", op: simulator.OpGetUpload, raw: files, before: &simulator.Fault{Operation: simulator.OpUpload, Reset: true}},
		{name: "send", op: simulator.OpSend, raw: files},
		{name: "send without files", op: simulator.OpSend, raw: text},
		{name: "send of MIME", op: simulator.OpSend, raw: mime},
		{name: "look after a send", op: simulator.OpGet, raw: files, before: lost(simulator.OpSend)},
		{name: "look after a send of MIME", op: simulator.OpGet, raw: mime, before: lost(simulator.OpSend)},
		{name: "look at the copy", op: simulator.OpGet, raw: mime, via: copyless},
		{name: "removal of the copy", op: simulator.OpPermanentDelete, raw: mime, via: copyless},
		{name: "soft removal of the copy", op: simulator.OpDelete, raw: mime, via: softly},
		{name: "removal of another draft", op: simulator.OpPermanentDelete, raw: files, twice: true},
		{name: "look at a refused draft", op: simulator.OpGet, raw: files, refused: true},
		{name: "removal of a refused draft", op: simulator.OpPermanentDelete, raw: files, refused: true},
		{name: "removal of a refused draft from MIME", op: simulator.OpPermanentDelete, raw: mime, refused: true},
		{name: "sendMail", op: simulator.OpSendMail, raw: small, via: sendOnly, unknown: true},
		{name: "sendMail of MIME", op: simulator.OpSendMail, raw: mime, via: sendOnly, unknown: true},
		{name: "sendMail without a copy", op: simulator.OpSendMail, raw: small, via: copyless, unknown: true},
	}
})

// lostAnswers are faults after the effect: the request was carried out, and the client does
// not learn of it.
var lostAnswers = map[string]simulator.Fault{
	"reset":   {Reset: true, After: true},
	"timeout": {Hang: guard, After: true},
	"504":     {Status: 504, After: true},
}

// trial is one message and the fault of its delivery.
type trial struct {
	call    graphCall
	name    string
	mailbox string
	id      string
	fault   int // 0: none, to compare with
	first   int // fault at the first call after a restart
}

// trials submits a message for each call and fault, and one of each kind without a fault.
// Each has its own mailbox.
func (r *rig) trials(calls []graphCall, faults map[string]simulator.Fault) (list []*trial) {
	r.t.Helper()
	r.timeout = 15 * time.Second // as short as a busy machine allows: some requests last as long
	for _, c := range []string{"main", copyless, softly, sendOnly} {
		r.connect(c, secret)
	}
	r.out.Connections = map[string]graphmail.Connection{copyless: {DropCopies: true}, softly: {DropCopies: true, NoPermanentDelete: true}, sendOnly: {SendOnly: true}}
	r.cfg.Concurrency = 64 // so they wait for it together
	refuse := func(c graphCall, mailbox string) {
		if c.refused {
			r.fault(simulator.Fault{Operation: simulator.OpSend, Mailbox: mailbox, Status: 400, Code: "ErrorInvalidRecipients"})
		}
	}
	twice, kinds := map[string]*sync.Once{}, map[graphCall]bool{}
	for _, c := range calls {
		if kind := c.kind(); !kinds[kind] {
			kinds[kind] = true
			list = append(list, &trial{call: c, name: c.name, mailbox: mailboxOf(c.name)})
			refuse(c, mailboxOf(c.name))
		}
		for name, f := range faults {
			t := &trial{call: c, name: c.name + ", " + name, mailbox: mailboxOf(c.name + " " + name)}
			refuse(c, t.mailbox)
			if c.before != nil {
				first := *c.before
				first.Mailbox, first.Nth = t.mailbox, 1
				r.fault(first)
			}
			if c.twice {
				twice[t.mailbox] = &sync.Once{}
			}
			f.Operation, f.Mailbox, f.Nth = c.op, t.mailbox, max(c.nth, 1)
			t.fault = r.fault(f)
			list = append(list, t)
		}
	}
	for _, t := range list {
		e := r.to(t.mailbox, "bob@example.org")
		e.From = anna
		if t.call.refused { // a bounce would be, too
			e.Envelope.DSN.Recipients = map[string]queue.RecipientDSN{"bob@example.org": {Notify: []string{"NEVER"}}}
		}
		if t.call.via != "" {
			e.Lane.Connection = t.call.via
		}
		t.id = r.submit(t.call.raw, e)
	}
	r.front = func(w http.ResponseWriter, req *http.Request) {
		if once := twice[userOf(req)]; once != nil && requests["create"](req) {
			once.Do(func() { r.makeTwice(req) })
		}
		r.sim.ServeHTTP(w, req)
	}
	return list
}

func mailboxOf(name string) string {
	return strings.ToLower(strings.NewReplacer(" ", "-", ",", "").Replace(name)) + "@contoso.test"
}

// userOf returns the mailbox that a request names, which an upload URL does not.
func userOf(req *http.Request) string {
	rest, _ := strings.CutPrefix(req.URL.Path, "/v1.0/users/")
	user, _, _ := strings.Cut(rest, "/")
	return user
}

// makeTwice makes two drafts, and does not answer.
func (r *rig) makeTwice(req *http.Request) {
	body := bodyOf(req)
	for range 2 {
		r.sim.ServeHTTP(httptest.NewRecorder(), again(req, body))
	}
	panic(http.ErrAbortHandler)
}

// ends waits for the trial to end as it has to: sent once, failed if Graph refuses the
// message, held if nothing can be known.
func (r *rig) ends(t *trial, w otherWorld) {
	r.t.Helper()
	want, sends := queue.Sent, 1
	switch {
	case t.call.refused:
		want, sends = queue.Failed, 0
	case t.call.unknown && t.fault != 0:
		want = queue.Held
	}
	rec := r.await(t.id, want)
	if want == queue.Held && rec.Reason != "send_unknown" {
		r.t.Errorf("held for %s", rec.Reason)
	}
	if n := len(r.deliveries(t.id)); n != sends {
		r.t.Errorf("sent %d times\n%s", n, r.history(t.id))
	}
	copies, unwanted := sends, t.call.via == copyless || t.call.via == softly
	if unwanted {
		copies = 0
	}
	if t.call.refused || unwanted && w.copies {
		return
	}
	if !r.eventually(func() bool { return r.copiesIn(t.mailbox) == copies }) {
		r.t.Errorf("%d copies are in the mailbox, want %d\n%s", r.copiesIn(t.mailbox), copies, r.history(t.id))
	}
}

// whole checks that what was sent is what is sent without a fault.
func (r *rig) whole(list []*trial) {
	r.t.Helper()
	content := func(t *trial) (what simulator.Delivery) {
		if d := r.deliveries(t.id); len(d) == 1 {
			what = d[0]
		}
		what.Time, what.QueueID, what.MessageID, what.Mailbox = time.Time{}, "", "", ""
		return what
	}
	reference := map[graphCall]simulator.Delivery{}
	for _, t := range list {
		got, kind := content(t), t.call.kind()
		if t.fault == 0 { // comes first of its kind
			reference[kind] = got
		}
		if !reflect.DeepEqual(got, reference[kind]) {
			r.t.Errorf("%s: sent was %+v, want %+v\n%s", t.name, got, reference[kind], r.history(t.id))
		}
	}
}

// The answer to any call is lost after its effect, and the relay continues: the message is
// sent once and whole, no draft remains, and a message is held only if nothing can be looked
// up.
func TestLostAnswer(t *testing.T) {
	inWorlds(t, func(t *testing.T, w otherWorld) {
		r := w.newRig(t, simulator.Options{Limits: smallLimits()})
		r.out.SendSettle = 3 * time.Second
		list := r.trials(w.calls(), lostAnswers)
		defer r.start(nil)()
		for _, try := range list {
			t.Run(try.name, func(t *testing.T) {
				r.t = t
				r.ends(try, w)
				if try.fault != 0 && r.acted(try.fault) != 1 {
					t.Errorf("%d answers were lost\n%s", r.acted(try.fault), r.history(try.id))
				}
			})
		}
		r.t = t
		r.whole(list)
		w.drafts(r)
	})
}

// The relay is killed before it has the answer to a call, and the answer to the first
// call of the one that is started after it is lost as well.
func TestLostAnswerAndRestart(t *testing.T) {
	inWorlds(t, func(t *testing.T, w otherWorld) {
		r := w.newRig(t, simulator.Options{Limits: smallLimits()})
		r.out.SendSettle = 3 * time.Second
		list := r.trials(w.calls(), lostAnswers)
		var killed sync.Map // mailboxes
		var restarted atomic.Bool
		alive := r.front
		r.front = func(w http.ResponseWriter, req *http.Request) {
			if _, dead := killed.Load(userOf(req)); dead && !restarted.Load() {
				panic(http.ErrAbortHandler) // it does nothing any more
			}
			alive(w, req)
		}
		ofMessage := map[string]*trial{}
		for _, try := range list {
			ofMessage[try.id] = try
		}
		dead := func(id string) bool {
			try := ofMessage[id] // nil of a bounce
			if try == nil || try.fault == 0 || r.acted(try.fault) == 0 {
				return false
			}
			killed.Store(try.mailbox, true)
			return true
		}
		stop := r.start(&dying{Queue: r.store, killed: dead})
		for _, try := range list {
			if !r.eventually(func() bool { return dead(try.id) || try.fault == 0 && r.get(try.id).State != queue.Delivering }) {
				t.Errorf("%s: the relay was not killed\n%s", try.name, r.history(try.id))
			}
		}
		stop()
		for _, try := range list {
			if try.fault == 0 || try.call.unknown {
				continue
			}
			f := lostAnswers[strings.TrimPrefix(try.name, try.call.name+", ")]
			f.Mailbox, f.Nth = try.mailbox, 1
			try.first = r.fault(f)
		}
		restarted.Store(true)
		r.reopen()
		defer r.start(nil)()
		for _, try := range list {
			t.Run(try.name, func(t *testing.T) {
				r.t = t
				r.ends(try, w)
				if try.first != 0 && r.acted(try.first) != 1 {
					t.Errorf("%d answers were lost after the restart\n%s", r.acted(try.first), r.history(try.id))
				}
			})
		}
		r.t = t
		r.whole(list)
		w.drafts(r)
	})
}

// The same with the call for a token, in a relay that continues and in one that is killed
// then. A request that only waited for a token was not made, even if nothing can be looked
// up.
func TestLostToken(t *testing.T) {
	for name, f := range lostAnswers {
		for _, kill := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, killed %v", name, kill), func(t *testing.T) {
				r := newRig(t, simulator.Options{})
				r.timeout = time.Second
				r.connect("main", secret)
				r.out.Connections = map[string]graphmail.Connection{"main": {SendOnly: true}}
				f := f // another test that runs at the same time has it too
				f.Operation, f.Nth = simulator.OpToken, 1
				lost := r.fault(f)
				id := r.submit(compose(header("token"), "text", smallFiles[0]), r.to(anna, "bob@example.org"))
				d := &dying{Queue: r.store}
				if kill {
					d.killed = func(string) bool { return r.acted(lost) > 0 }
				}
				stop := r.start(d)
				if !r.eventually(func() bool { return r.acted(lost) > 0 && (kill || r.get(id).State == queue.Deferred) }) {
					t.Fatal("no token was asked for")
				}
				if kill {
					stop()
					r.fault(f) // the first call of the next one, too
					r.reopen()
					stop = r.start(nil)
				}
				defer stop()
				r.eventually(func() bool { // a pause of the connection is not waited for
					_ = r.store.Resume(t.Context(), queue.Lane{Connection: "main"})
					return r.get(id).State == queue.Sent
				})
				r.sentOnce(id)
			})
		}
	}
}

// triedCalls returns the operations whose answer the trials lose.
var triedCalls = sync.OnceValue(func() map[simulator.Operation]bool {
	tried := map[simulator.Operation]bool{simulator.OpToken: true}
	for _, c := range graphCalls() {
		tried[c.op] = true
	}
	return tried
})

// checkCalls checks that the trials have every kind of call that a test has seen.
func (r *rig) checkCalls() {
	r.t.Helper()
	for op := range maps.Keys(r.sim.Stats().Calls) {
		if !triedCalls()[op] {
			r.t.Errorf("the relay made a call of the kind %q, of which no test loses the answer: add it to graphCalls", op)
		}
	}
}
