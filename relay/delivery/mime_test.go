package delivery_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/relay/queue"
)

// signed returns a message that goes as MIME.
func signed(subject string) string {
	return strings.ReplaceAll(header(subject)+"MIME-Version: 1.0\nContent-Type: multipart/signed; boundary=S; protocol=\"application/pgp-signature\"\n\n"+
		"--S\nContent-Type: text/plain\n\nsigned  text \n--S\nContent-Type: application/pgp-signature\n\nSIG\n--S--\n", "\n", "\r\n")
}

func TestCrashOnTheWayOfMIME(t *testing.T) {
	inWorlds(t, func(t *testing.T, w otherWorld) {
		r := w.newRig(t, simulator.Options{})
		d := &dying{left: map[string]int{}, loses: map[string]bool{}}
		names := map[string]string{}
		for n := 1; n <= 4; n++ { // draft, send wanted, finish; and one that lives
			for _, loses := range []bool{false, true} {
				id := r.submit(signed("crash"), r.to(fmt.Sprintf("n%d-%v@contoso.test", n, loses), "bob@example.org"))
				d.left[id], d.loses[id] = n, loses
				names[id] = fmt.Sprintf("step %d, lost %v", n, loses)
			}
		}
		r.survive(d, names, []attached{{"", "application/pgp-signature", "", false, []byte("SIG")}}, w)
	})
}

// A client may send one message, under one Message-ID, to each recipient alone. None of these
// is ever taken for another, sent or not.
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
