package inprocess

import (
	"strings"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/relay/config"
	"graphrelay/relay/queue"
)

// A Sender is kept if the client may send as it. If Exchange refuses it, the message is
// sent without, and the history says so.
func TestSenderField(t *testing.T) {
	const raw = "From: a@contoso.test\r\nSender: Assistant <assistant@contoso.test>\r\nTo: b@example.test\r\nSubject: s\r\n\r\ntext\r\n"
	tests := []struct {
		name   string
		sim    simulator.Options
		change func(*config.Config)
		raw    string
		sender string // "" where it is the mailbox, or nobody
		note   string
	}{
		{"may stand there", simulator.Options{}, nil, raw, "assistant@contoso.test", ""},
		{"may not", simulator.Options{SendAs: map[string][]string{}}, nil, raw, "", "sender: dropped the sender"},
		{"may not, without drafts", simulator.Options{SendAs: map[string][]string{}}, sendOnly, raw, "", "sender: dropped the sender"},
		{"of another domain", simulator.Options{}, nil, strings.Replace(raw, "assistant@contoso", "assistant@vendor", 1), "", "dropped the sender"},
		{"no address", simulator.Options{}, nil, strings.Replace(raw, "<assistant@contoso.test>", "", 1), "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := startPaths(t, tt.sim, tt.change)
			r := p.deliver([]string{"b@example.test"}, tt.raw)
			if r.State != queue.Sent || len(p.sim.Ledger()) != 1 {
				t.Fatalf("%s %s %s after %d sends:\n%s", r.State, r.Reason, r.Detail, len(p.sim.Ledger()), p.notes(r.ID))
			}
			p.copies(1)
			got := ""
			if s := p.sim.Sent()[0].Sender; s != nil && s.Address != "a@contoso.test" {
				got = s.Address
			}
			if got != tt.sender || !strings.Contains(p.notes(r.ID), tt.note) {
				t.Errorf("the sender is %q:\n%s", got, p.notes(r.ID))
			}
		})
	}
}

// Recipients with a quoted local part, and with a domain in either of its forms, reach Graph
// as they are and stand where the header has them.
func TestUnusualRecipients(t *testing.T) {
	p := startPaths(t, simulator.Options{}, nil)
	to := []string{`"john doe"@example.test`, "info@xn--bcher-kva.test", `"a@b"@example.test`}
	r := p.deliver(to, "From: a@contoso.test\r\nTo: \"John\" <\"john doe\"@example.test>, =?utf-8?q?B=C3=BCcher?= <info@xn--bcher-kva.test>\r\nSubject: s\r\n\r\ntext\r\n")
	if r.State != queue.Sent || len(p.sim.Ledger()) != 1 {
		t.Fatalf("%s %s %s:\n%s", r.State, r.Reason, r.Detail, p.notes(r.ID))
	}
	p.copies(1)
	sent := p.sim.Sent()[0]
	if len(sent.To) != 2 || sent.To[0].Address != to[0] || sent.To[1].Address != to[1] || len(sent.Bcc) != 1 || sent.Bcc[0].Address != to[2] {
		t.Errorf("to %+v, bcc %+v", sent.To, sent.Bcc)
	}
}
