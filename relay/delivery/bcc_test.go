package delivery_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/queue"
)

// TestAssumptionBccInMIMEIsRead: Graph ignores the Bcc field of a message in MIME. An
// invitation then goes as a draft to everyone. Of a signed message, those whom Bcc alone
// names bounce and the others get it, once, also if answers are lost around that.
func TestAssumptionBccInMIMEIsRead(t *testing.T) {
	for _, lost := range []simulator.Operation{"", simulator.OpCreateMIME, simulator.OpGet, simulator.OpSend} {
		t.Run(string(lost), func(t *testing.T) {
			r := newRig(t, simulator.Options{World: simulator.World{MIMELosesBcc: true}})
			r.timeout = 15 * time.Second
			r.out.SendSettle = 2 * time.Second
			r.cfg.Postmaster = queue.Lane{Connection: "main", Mailbox: "postmaster@contoso.test"}
			ids := map[string]string{}
			for mailbox, raw := range map[string]string{"signed@contoso.test": signed("signed"), "lunch@contoso.test": lunch("lunch")} {
				if lost != "" {
					r.fault(simulator.Fault{Operation: lost, Mailbox: mailbox, Nth: 1, Reset: true, After: true})
				}
				e := r.to(mailbox, "bob@example.org", "carol@example.org")
				ids[mailbox] = r.submit(raw, e)
			}
			defer r.start(nil)()
			all := r.sentOnce(ids["lunch@contoso.test"]).Recipients()
			if slices.Sort(all); !slices.Equal(all, []string{"bob@example.org", "carol@example.org"}) {
				t.Errorf("the invitation was sent to %v\n%s", all, r.history(ids["lunch@contoso.test"]))
			}
			id := ids["signed@contoso.test"]
			if got := r.sentOnce(id).Recipients(); !slices.Equal(got, []string{"bob@example.org"}) {
				t.Errorf("the signed message was sent to %v\n%s", got, r.history(id))
			}
			_, text, status := r.notifiedOnce(id, r.get(id).Envelope.From)
			if !strings.Contains(text, "carol@example.org") || strings.Count(status, "Final-Recipient:") != 1 || !strings.Contains(status, "carol@example.org") {
				t.Errorf("the bounce says:\n%s\n%s", text, status)
			}
		})
	}
}

// A draft that shows its Bcc recipients is sent as it is.
func TestBccInMIME(t *testing.T) {
	r := newRig(t, simulator.Options{})
	id := r.submit(signed("signed"), r.to(anna, "bob@example.org", "carol@example.org"))
	defer r.start(nil)()
	got := r.sentOnce(id).Recipients()
	if slices.Sort(got); !slices.Equal(got, []string{"bob@example.org", "carol@example.org"}) {
		t.Errorf("sent to %v", got)
	}
}
