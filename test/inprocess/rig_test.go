package inprocess

import (
	"net/smtp"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/internal/testlog"
	"graphrelay/relay/config"
	"graphrelay/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// rig is a relay and a simulator, for one test.
type rig struct {
	*testing.T
	sim   *simulator.Simulator
	url   string // of the simulator
	cfg   *config.Config
	relay *Running
	log   *testlog.Buffer
}

// on returns the rig for a subtest.
func (r *rig) on(t *testing.T) *rig {
	sub := *r
	sub.T = t
	return &sub
}

// send sends a message to the listener on 127.0.0.1:0.
func (r *rig) send(auth smtp.Auth, from, subject string) error {
	return smtp.SendMail(r.relay.Address("127.0.0.1:0"), auth, from, []string{"b@example.test"},
		[]byte("From: "+from+"\r\nTo: b@example.test\r\nSubject: "+subject+"\r\n\r\nbody\r\n"))
}
