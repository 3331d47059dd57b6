//go:build unix

package setup

import (
	"net/http"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
)

// asked is a set-up on a terminal that has come to the question whether to probe the tenant.
func (m *machine) asked(t *testing.T) *terminal {
	t.Helper()
	term := m.terminal(t, "--mailboxes", scanner, "--scope", "tenant", "--read-users", "yes", "--clients", "devices", "--networks", "127.0.0.1")
	term.signIn(administrator)
	term.find(scanner + " ok") // of check --online
	return term
}

// own returns what a probe has in the mailbox.
func (m *machine) own(t *testing.T) (left []simulator.Message) {
	t.Helper()
	for _, message := range m.sim.Messages(t, scanner) {
		if strings.Contains(message.Subject, "graphrelay probe") {
			left = append(left, message)
		}
	}
	return left
}

// TestProbeDiffers runs the probe that setup offers, on a tenant that differs from what the
// relay takes for granted. That is no fault of the set-up.
func TestProbeDiffers(t *testing.T) {
	if testing.Short() {
		t.Skip("a probe waits two minutes for non-delivery reports")
	}
	t.Parallel()
	m := newMachine(t, func(o *simulator.Options) {
		o.World.NoPermanentDelete, o.World.DeleteTo = true, simulator.DeleteToRecoverable
	})
	term := m.asked(t)
	term.answer("Try on this tenant", "yes")
	term.find(`(?m)^ 1 ok `)
	term.find(`(?m)^11 ok `)
	term.find(`(?m)^17 differs .*sent_items`)
	term.find(`(?m)^20 ok `)
	term.find("could not remove")
	term.answer("Send a test message", "no")
	term.find("graphrelay serve --config")
	term.ends(0)
	if m.sim.Sends(t) == 0 {
		t.Error("the probe sent nothing")
	}

	// It is offered once.
	term = m.terminal(t)
	term.find("This set-up was completed")
	term.ends(0)
	if shown := term.shown(); strings.Contains(shown, "Try on this tenant") || strings.Contains(shown, "not complete") {
		t.Error("a set-up that is complete offers the probe again")
	}
}

// TestProbeFault: a set-up whose probe finds a fault is not complete, and the next run offers the
// probe again.
func TestProbeFault(t *testing.T) {
	m := newMachine(t)
	term := m.asked(t)
	for _, op := range []simulator.Operation{simulator.OpSend, simulator.OpSendMail} {
		m.sim.Fault(t, simulator.Fault{Operation: op, Status: http.StatusForbidden, Code: "ErrorAccessDenied"})
	}
	term.answer("Try on this tenant", "yes")
	term.find(`(?m)^11 fault .*Mail\.Send`)
	term.find("The set-up is not complete yet")
	term.ends(1)
	if left := m.own(t); len(left) > 0 {
		t.Errorf("left in the mailbox: %+v", left)
	}
	m.sim.ClearFaults(t)
	term = m.terminal(t)
	term.find("Going on with the set-up")
	term.answer("Try on this tenant", "no")
	term.answer("Send a test message", "no")
	term.ends(0)
}

// TestProbeInterrupted interrupts the probe with Ctrl-C. It removes what it has made, and the
// set-up goes on when it is started again.
func TestProbeInterrupted(t *testing.T) {
	m := newMachine(t)
	term := m.asked(t)
	term.answer("Try on this tenant", "yes")
	term.find(`(?m)^ 4 ok `) // a draft was made
	term.typeInterrupt()
	term.find("run the same command again")
	term.ends(1)
	if left := m.own(t); len(left) > 0 {
		t.Errorf("left in the mailbox: %+v", left)
	}
	term = m.terminal(t)
	term.answer("Try on this tenant", "no")
	term.answer("Send a test message", "you@contoso.test")
	term.find("Sent a test message")
	term.ends(0)
	m.sim.Sent(t, scanner, "graphrelay: test message")
	if apps := m.apps(t); len(apps) != 1 {
		t.Errorf("registered: %+v", apps)
	}
}
