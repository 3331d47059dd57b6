package durability

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"strings"
	"testing"
	"time"

	"graphrelay/test/harness"
)

// cut is a way to end a connection in the middle of a message.
type cut struct {
	name string
	end  func(d *harness.Dialog) error
}

// cuts returns the ways that the clients of a listener have.
func cuts(listener string) []cut {
	list := []cut{
		{"close", func(d *harness.Dialog) error { return d.TCP.Close() }},
		{"reset", func(d *harness.Dialog) error { return errors.Join(d.TCP.SetLinger(0), d.TCP.Close()) }},
		{"half-close", func(d *harness.Dialog) error { return d.TCP.CloseWrite() }},
	}
	if listener != "devices" {
		list = append(list,
			cut{"close-notify", func(d *harness.Dialog) error { return d.TLS.CloseWrite() }},
			cut{"tls-close", func(d *harness.Dialog) error { return d.TLS.Close() }})
	}
	return list
}

const truncatedHeader = "From: <crm@contoso.test>\r\nTo: <anna@example.com>\r\nSubject: truncated\r\n\r\n"

// truncatedBodies are bodies that end too early. Each begins with its command.
var truncatedBodies = map[string]string{
	"data":               "DATA\r\n" + truncatedHeader + "Hello,\r\nthis is only the beg",
	"data-whole-lines":   "DATA\r\n" + truncatedHeader + "Hello,\r\nthis is the first line\r\n",
	"data-header":        "DATA\r\n" + "From: <crm@contoso.test>\r\nSubject: trunc",
	"data-dot":           "DATA\r\n" + truncatedHeader + "Hello\r\n.",
	"data-dot-cr":        "DATA\r\n" + truncatedHeader + "Hello\r\n.\r",
	"data-bare-lf-dot":   "DATA\r\n" + truncatedHeader + "Hello\n.\n",
	"data-lf-dot-crlf":   "DATA\r\n" + truncatedHeader + "Hello\n.\r\n",
	"data-nothing":       "DATA\r\n",
	"bdat-last":          fmt.Sprintf("BDAT %d LAST\r\n", len(truncatedHeader)+1000) + truncatedHeader + "only the beginning",
	"bdat-last-one-less": fmt.Sprintf("BDAT %d LAST\r\n", len(truncatedHeader)+6) + truncatedHeader + "Hello",
	"bdat-last-nothing":  "BDAT 100 LAST\r\n",
	"bdat-no-last":       fmt.Sprintf("BDAT %d\r\n", len(truncatedHeader)) + truncatedHeader,
	"bdat-chunk":         fmt.Sprintf("BDAT %d\r\n", len(truncatedHeader)+100) + truncatedHeader + "Hello",
	"bdat-second":        fmt.Sprintf("BDAT %d\r\n", len(truncatedHeader)) + truncatedHeader + "BDAT 50 LAST\r\nonly",
}

// TestTruncated ends connections in the middle of messages. The relay must not answer 250
// to a part of a message, nor queue it.
func TestTruncated(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	relay := harness.StartRelay(t, sim)
	for _, listener := range []string{"devices", "submission", "submissions"} {
		for _, c := range cuts(listener) {
			for name, body := range truncatedBodies {
				t.Run(listener+"/"+c.name+"/"+name, func(t *testing.T) { truncate(t, relay, listener, c, body) })
			}
		}
	}
	harness.WaitFor(t, "the end of all connections", func() bool { return relay.Metric(t, "graphrelay_smtp_connections") == 0 })
	if n := relay.Metric(t, "graphrelay_messages_accepted_total"); n != 0 {
		t.Errorf("%v messages were accepted", n)
	}
	relay.CheckEmpty(t)
	if sent := sim.Ledger(t); len(sent) > 0 {
		t.Errorf("sent: %+v", sent)
	}
}

// beginBody sends the envelope and a truncated body.
func beginBody(relay *harness.Relay, listener, body string) (*harness.Dialog, error) {
	d, err := relay.Dial(listener)
	if err == nil {
		err = d.Envelope("crm@contoso.test", "anna@example.com")
	}
	if rest, ok := strings.CutPrefix(body, "DATA\r\n"); ok && err == nil {
		_, err = d.Ask(354, "DATA")
		body = rest
	}
	if err == nil {
		_, err = io.WriteString(d.W, body)
	}
	if err == nil {
		err = d.W.Flush()
	}
	if err != nil && d != nil {
		_ = d.Close()
	}
	return d, err
}

// truncate sends a truncated body, ends the connection, and reads the answers.
func truncate(t *testing.T, relay *harness.Relay, listener string, c cut, body string) {
	d, err := beginBody(relay, listener, body)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := c.end(d); err != nil {
		t.Fatal(err)
	}
	for _, answer := range answers(t, d) {
		if strings.Contains(answer, "queued") {
			t.Errorf("part of a message was answered with %q", answer)
		}
	}
}

// answers returns all answers until the end of the connection.
func answers(t *testing.T, d *harness.Dialog) (list []string) {
	t.Helper()
	for {
		code, text, err := d.ReadResponse(0)
		var malformed textproto.ProtocolError
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &malformed):
			t.Errorf("after %q: %v", list, err)
			return list
		case err != nil: // the end of the connection, in one of many forms
			return list
		}
		list = append(list, fmt.Sprintf("%d %s", code, text))
	}
}

// TestStalled stalls in the middle of a message for longer than the relay waits. The
// relay must end the connection, and must not read later lines as commands.
func TestStalled(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	relay := harness.StartRelay(t, sim, harness.LimitsKey("timeout: 1s"))
	for _, listener := range []string{"devices", "submission", "submissions"} {
		for name, start := range map[string]string{
			"data": "DATA\r\n" + truncatedHeader + "Hello,\r\n",
			"bdat": "BDAT 5000 LAST\r\n" + truncatedHeader + "Hello,\r\n",
		} {
			t.Run(listener+"/"+name, func(t *testing.T) {
				t.Parallel()
				stall(t, relay, listener, start)
			})
		}
	}
	t.Cleanup(func() { // after the parallel tests, while the relay still runs
		relay.CheckEmpty(t)
		if n := relay.Metric(t, "graphrelay_messages_accepted_total"); n != 0 {
			t.Errorf("%v messages were accepted", n)
		}
	})
}

func stall(t *testing.T, relay *harness.Relay, listener, start string) {
	d, err := beginBody(relay, listener, start)
	for range 20 {
		if err == nil {
			break
		}
		d, err = beginBody(relay, listener, start) // on a busy machine all before the stall can take too long, too
	}
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	// Once the relay's timeout has passed, send commands in case it reads them.
	go keepTalking(d, time.Now().Add(1500*time.Millisecond))
	for i, answer := range answers(t, d) {
		if !strings.HasPrefix(answer, "4") || i > 1 { // one to the message, one 421
			t.Errorf("answer %d after the stall: %q", i+1, answer)
		}
	}
}

// keepTalking sends lines that could be read as commands, from a given time on.
func keepTalking(d *harness.Dialog, from time.Time) {
	time.Sleep(time.Until(from))
	var w net.Conn = d.TCP
	if d.TLS != nil {
		w = d.TLS
	}
	for range 20 {
		if _, err := io.WriteString(w, "rest of the body\r\nNOOP\r\nRSET\r\nVRFY anna\r\n"); err != nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}
