package inprocess

import (
	"net/smtp"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/config"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

func directoryOptions(roles ...string) simulator.Options {
	return simulator.Options{
		SendDelay: -1, SendAs: map[string][]string{},
		Apps:      []simulator.App{{Roles: append(roles, "Mail.ReadWrite", "Mail.Send")}},
		Mailboxes: []string{"anna@contoso.test", "a@contoso.test"},
		Users:     []simulator.User{{Address: "anna@contoso.test", Aliases: []string{"sales@contoso.test"}}},
	}
}

func (p *rig) from(envelope, header string) error {
	return smtp.SendMail(p.relay.Address("127.0.0.1:0"), nil, envelope, []string{"b@example.test"}, []byte("From: "+header+"\r\nSubject: s\r\n\r\nbody\r\n"))
}

// An alias sends from its owner's mailbox, in one lane with it, and stays in From.
func TestAlias(t *testing.T) {
	p := startPaths(t, directoryOptions("User.Read.All"), nil)
	for _, from := range []string{"Sales@contoso.test", "anna@contoso.test"} {
		if err := p.from(from, from); err != nil {
			t.Fatal(err)
		}
	}
	WaitSent(t, p.sim, 2)
	shown := map[string]bool{}
	for _, m := range p.sim.Sent() {
		shown[m.From.Address] = true
		if m.Mailbox != "anna@contoso.test" {
			t.Errorf("sent from %s", m.Mailbox)
		}
	}
	if !shown["Sales@contoso.test"] || !shown["anna@contoso.test"] {
		t.Errorf("From: %v", shown)
	}
	for _, c := range p.sim.Journal() {
		if c.Operation == simulator.OpCreate && (strings.Contains(c.Path, "@") || c.Status != 201) {
			t.Errorf("%d %s", c.Status, c.Path)
		}
	}
	lanes, err := p.relay.Store.List(t.Context(), queue.Filter{})
	if err != nil || len(lanes) != 2 || lanes[0].Lane != lanes[1].Lane {
		t.Errorf("%+v, %v", lanes, err)
	}
	if n := p.sim.Stats().Calls[simulator.OpFindUser]; n > 2 {
		t.Errorf("%d look-ups", n)
	}
}

// Whom the directory does not know is refused at MAIL FROM, and at DATA; not the null
// sender.
func TestUnknownSender(t *testing.T) {
	p := startPaths(t, directoryOptions("User.Read.All"), nil)
	for _, tt := range []struct{ envelope, header string }{{"nobody@contoso.test", "anna@contoso.test"}, {"anna@contoso.test", "nobody@contoso.test"}, {"", "nobody@contoso.test"}} {
		if err := p.from(tt.envelope, tt.header); err == nil || !strings.HasPrefix(err.Error(), "550 ") || !strings.Contains(err.Error(), "There is no mailbox nobody@contoso.test") {
			t.Errorf("%v: %v", tt, err)
		}
	}
	if err := p.from("", "anna@contoso.test"); err != nil {
		t.Error(err)
	}
	WaitSent(t, p.sim, 1)
}

// Without the right, and while the directory cannot be asked, mail is taken; a mailbox that
// is written to under its own address goes out as before, an alias once it can be asked.
func TestDirectoryAway(t *testing.T) {
	p := startPaths(t, directoryOptions(), nil)
	if err := p.from("anna@contoso.test", "anna@contoso.test"); err != nil {
		t.Fatal(err)
	}
	WaitSent(t, p.sim, 1)
	if n := p.sim.Stats().Calls[simulator.OpFindUser]; n != 1 {
		t.Errorf("%d look-ups without the right", n)
	}

	p = startPaths(t, directoryOptions("User.Read.All"), nil)
	if _, err := p.sim.AddFault(simulator.Fault{Operation: simulator.OpFindUser, Status: 503}); err != nil {
		t.Fatal(err)
	}
	if err := p.from("sales@contoso.test", "sales@contoso.test"); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) { // refused, but not for good
		list, err := p.relay.Store.List(t.Context(), queue.Filter{})
		if err != nil || len(list) != 1 || time.Now().After(end) {
			t.Fatal(list, err)
		}
		if list[0].Reason == reason.MailboxUnknown {
			break
		}
	}
	p.sim.ClearFaults()
	if err := p.relay.Reload(p.relay.Config); err != nil { // which asks again at once
		t.Fatal(err)
	}
	WaitSent(t, p.sim, 1)
	if m := p.sim.Sent()[0]; m.Mailbox != "anna@contoso.test" || m.From.Address != "sales@contoso.test" {
		t.Errorf("sent from %s as %s", m.Mailbox, m.From.Address)
	}
}

func TestDirectoryOff(t *testing.T) {
	p := startPaths(t, directoryOptions("User.Read.All"), func(c *config.Config) { c.Connections[0].Directory = config.DirectoryOff })
	if err := p.from("anna@contoso.test", "anna@contoso.test"); err != nil {
		t.Fatal(err)
	}
	WaitSent(t, p.sim, 1)
	if n := p.sim.Stats().Calls[simulator.OpFindUser]; n != 0 {
		t.Errorf("%d look-ups", n)
	}
}
