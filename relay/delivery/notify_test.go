package delivery_test

import (
	"strings"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/relay/queue"
)

const bob, carla = "bob@example.org", "carla@example.org"

func wishes(bobs, carlas string) queue.DSN {
	d := queue.DSN{Recipients: map[string]queue.RecipientDSN{}}
	for r, wish := range map[string]string{bob: bobs, carla: carlas} {
		if wish != "" {
			d.Recipients[r] = queue.RecipientDSN{Notify: strings.Split(wish, ","), Original: "rfc822;" + r + ".old"}
		}
	}
	return d
}

// NOTIFY decides which failures and successes are reported (RFC 3461 section 4.1).
func TestNotify(t *testing.T) {
	for name, tt := range map[string]struct {
		bob, carla string
		failure    []string // that are reported; none: no bounce
		success    []string
	}{
		"not given":     {"", "", []string{bob, carla}, nil},
		"never":         {"NEVER", "NEVER", nil, nil},
		"never for one": {"NEVER", "", []string{carla}, nil},
		"mixed":         {"SUCCESS", "FAILURE,DELAY", []string{carla}, []string{bob}},
		"all":           {"SUCCESS,FAILURE,DELAY", "SUCCESS", []string{bob}, []string{bob, carla}},
		"delay":         {"DELAY", "DELAY", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, simulator.Options{})
			r.fault(simulator.Fault{Operation: simulator.OpCreate, Mailbox: "bad@contoso.test", Status: 400, Code: "ErrorInvalidRecipients"})
			e := r.to(anna, bob, carla)
			e.Envelope.DSN = wishes(tt.bob, tt.carla)
			sent := r.submit(compose(header("sent"), "text"), e)
			e.Lane.Mailbox = "bad@contoso.test"
			failed := r.submit(compose(header("failed"), "text"), e)
			defer r.start(nil)()
			r.await(sent, queue.Sent)
			r.await(failed, queue.Failed)
			r.reported(sent, anna, "Action: relayed", tt.success)
			r.reported(failed, "bad@contoso.test", "Action: failed", tt.failure)
		})
	}
}

// reported checks that there is one notification, about exactly these recipients, or none.
func (r *rig) reported(id, to, action string, recipients []string) {
	r.t.Helper()
	if len(recipients) == 0 {
		if n := len(r.notifications(id)); n != 0 {
			r.t.Errorf("%d notifications, want none", n)
		}
		return
	}
	_, text, status := r.notifiedOnce(id, to)
	for _, a := range []string{bob, carla} {
		want := strings.Contains(strings.Join(recipients, " "), a)
		if strings.Contains(status, "Final-Recipient: rfc822;"+a) != want || strings.Contains(text, a) != want {
			r.t.Errorf("%s is reported: %v\n%s\n%s", a, !want, text, status)
		}
		if asked := r.get(id).Envelope.DSN.Recipients[a].Original; want && asked != "" && !strings.Contains(status, "Original-Recipient: "+asked) {
			r.t.Errorf("the original recipient of %s is missing:\n%s", a, status)
		}
	}
	if strings.Count(status, action) != len(recipients) {
		r.t.Errorf("not %q of %v:\n%s", action, recipients, status)
	}
}

// A message whose send had a lost answer is reported once, like any other.
func TestSuccessNoticeAfterDoubt(t *testing.T) {
	r := newRig(t, simulator.Options{})
	r.fault(simulator.Fault{Operation: simulator.OpSend, Nth: 1, Reset: true, After: true})
	e := r.to(anna, bob)
	e.Envelope.DSN = wishes("SUCCESS", "")
	id := r.submit(compose(header("doubt"), "text"), e)
	defer r.start(nil)()
	r.sentOnce(id)
	r.reported(id, anna, "Action: relayed", []string{bob})
}
