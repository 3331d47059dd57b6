package delivery_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/queue"
)

// signed is a message that goes as MIME.
func signed(subject string) string {
	return strings.ReplaceAll(header(subject)+"MIME-Version: 1.0\nContent-Type: multipart/signed; boundary=S; protocol=\"application/pgp-signature\"\n\n"+
		"--S\nContent-Type: text/plain\n\nsigned  text \n--S\nContent-Type: application/pgp-signature\n\nSIG\n--S--\n", "\n", "\r\n")
}

// Whatever fails on the way of a message that goes as MIME, it is sent once.
func TestFaultsOnTheWayOfMIME(t *testing.T) {
	r := newRig(t, simulator.Options{})
	r.timeout = 3 * time.Second
	r.connect("main", secret)
	r.cfg.Concurrency = 100
	ids := map[string]string{}
	for _, op := range []simulator.Operation{simulator.OpCreateMIME, simulator.OpList, simulator.OpSend, simulator.OpGet} {
		for name, f := range faults {
			mailbox := strings.ToLower(strings.NewReplacer(" ", "-", "_", "-").Replace(fmt.Sprintf("%s-%s@contoso.test", op, name)))
			if first, ok := before[op]; ok {
				if first.Mailbox, first.Nth = mailbox, 1; first.Operation == simulator.OpCreate {
					first.Operation = simulator.OpCreateMIME
				}
				r.fault(first)
			}
			f.Operation, f.Mailbox, f.Nth = op, mailbox, 1
			r.fault(f)
			ids[r.submit(signed("mime"), r.to(mailbox, "bob@example.org"))] = fmt.Sprintf("%s at %s", name, op)
		}
	}
	defer r.start(nil)()
	for id, name := range ids {
		t.Run(name, func(t *testing.T) {
			r.t = t
			if d := r.sentOnce(id); d.Path != simulator.PathMIME || !slices.Equal(d.Recipients(), []string{"bob@example.org"}) {
				t.Errorf("sent by %s to %v", d.Path, d.Recipients())
			}
		})
	}
	r.t = t
	r.noDrafts()
}

func TestCrashOnTheWayOfMIME(t *testing.T) {
	r := newRig(t, simulator.Options{})
	d := &dying{left: map[string]int{}, loses: map[string]bool{}}
	names := map[string]string{}
	for n := 1; n <= 4; n++ { // draft, send wanted, finish; and one that lives
		for _, loses := range []bool{false, true} {
			id := r.submit(signed("crash"), r.to(fmt.Sprintf("n%d-%v@contoso.test", n, loses), "bob@example.org"))
			d.left[id], d.loses[id] = n, loses
			names[id] = fmt.Sprintf("step %d, lost %v", n, loses)
		}
	}
	r.survive(d, names, []attached{{"", "application/pgp-signature", "", false, []byte("SIG")}})
}

// A client may send one message, under one Message-ID, once for each recipient.
// One of these must never be taken for another, sent or not.
func TestOneMessageIDForSeveralMessages(t *testing.T) {
	r := newRig(t, simulator.Options{Seed: 3})
	for _, op := range []simulator.Operation{simulator.OpCreateMIME, simulator.OpSend} {
		r.fault(simulator.Fault{Operation: op, Reset: true, After: true, Probability: 0.4})
	}
	want := []string{"first@example.org"}
	ids := []string{r.submit(signed("copies"), r.to(anna, want[0]))}
	defer r.start(nil)()
	r.await(ids[0], queue.Sent)
	for i := range 20 {
		want = append(want, fmt.Sprintf("user%02d@example.org", i))
		ids = append(ids, r.submit(signed("copies"), r.to(anna, want[i+1])))
	}
	for _, id := range ids {
		r.await(id, queue.Sent)
	}
	var got []string
	for _, d := range r.sim.Ledger() {
		got = append(got, d.Recipients()...)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("sent to %v, want %v", got, want)
	}
	r.noDrafts()
}
