package inprocess

import (
	"bytes"
	"fmt"
	"net/textproto"
	"strings"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/delivery/graphmail"
	"graphrelay/relay/queue"
)

// transaction opens a session with the relay.
func (p *rig) transaction() *textproto.Conn {
	p.Helper()
	c, err := textproto.Dial("tcp", p.relay.Address("127.0.0.1:0"))
	if err == nil {
		_, _, err = c.ReadResponse(220)
	}
	if err != nil {
		p.Fatal(err)
	}
	p.ask(c, 250, "EHLO client.test")
	return c
}

func (p *rig) ask(c *textproto.Conn, code int, format string, args ...any) string {
	p.Helper()
	if err := c.PrintfLine(format, args...); err != nil {
		p.Fatal(err)
	}
	_, text, err := c.ReadResponse(code)
	if err != nil {
		p.Fatalf("%s: %v", fmt.Sprintf(format, args...), err)
	}
	return text
}

// submit sends one message in a session of its own and returns the queue ID.
func (p *rig) submit(from string, to []string, raw []byte) (id string) {
	p.Helper()
	c := p.transaction()
	defer c.Close()
	p.ask(c, 250, "MAIL FROM:<%s>", from)
	for _, a := range to {
		p.ask(c, 250, "RCPT TO:<%s>", a)
	}
	return p.data(c, raw)
}

// data sends the message of an open transaction.
func (p *rig) data(c *textproto.Conn, raw []byte) (id string) {
	p.Helper()
	p.ask(c, 354, "DATA")
	raw = bytes.ReplaceAll(raw, []byte("\r\n."), []byte("\r\n..")) // RFC 5321 section 4.5.2
	if !bytes.HasSuffix(raw, []byte("\r\n")) {
		raw = append(raw, "\r\n"...)
	}
	_, err := c.W.Write(append(raw, ".\r\n"...))
	if err == nil {
		err = c.W.Flush()
	}
	text := ""
	if err == nil {
		_, text, err = c.ReadResponse(250)
	}
	id, ok := strings.CutPrefix(text, "2.0.0 queued as ")
	if err != nil || !ok {
		p.Fatalf("after the message: %q, %v", text, err)
	}
	return id
}

// finished waits until the message is sent, failed or held.
func (p *rig) finished(id string) queue.Record {
	p.Helper()
	for range 24000 {
		r, _, err := p.relay.Store.Get(p.Context(), id)
		if err != nil {
			p.Fatal(err)
		}
		switch r.State {
		case queue.Sent, queue.Failed, queue.Held:
			return r
		}
		time.Sleep(5 * time.Millisecond)
	}
	p.Fatal("the message came to no end")
	return queue.Record{}
}

// wantSent is finished for a message that must be sent on a certain path.
func (p *rig) wantSent(id, path string) queue.Record {
	p.Helper()
	r := p.finished(id)
	if took := graphmail.StepsOf(r.Progress).Path; r.State != queue.Sent || took != path {
		p.Fatalf("%s by %q, want sent by %q: %s %s\n%s", r.State, took, path, r.Reason, r.Detail, p.notes(id))
	}
	return r
}

// lastSend returns the newest of the n sends in the ledger, and the item that was sent.
// Found is false if the item is gone.
func (p *rig) lastSend(n int) (d simulator.Delivery, item simulator.Message, found bool) {
	p.Helper()
	ledger := p.sim.Ledger()
	if len(ledger) != n {
		p.Fatalf("%d sends, want %d", len(ledger), n)
	}
	d = ledger[n-1]
	for _, m := range p.sim.Messages(d.Mailbox) {
		if m.ID == d.MessageID {
			return d, m, true
		}
	}
	return d, item, false
}
