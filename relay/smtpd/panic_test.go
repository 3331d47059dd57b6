package smtpd

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/internal/testlog"
)

// panickingPolicy fails as no code should.
type panickingPolicy struct{ fakePolicy }

func (panickingPolicy) Recipient(_ Identity, _, to string, _ int) error { panic("a fault with " + to) }

// A panic ends its own session alone. It is an error in the log and a metric.
func TestPanic(t *testing.T) {
	var log testlog.Buffer
	p, q := newPipes(), &fakeQueue{}
	_, registry := serveAs(t, p, testConfig(), q, panickingPolicy{fakePolicy{q}}, slog.NewJSONHandler(&log, nil))
	replies := p.talk(t, toData+"DATA\r\nNOOP\r\n")
	if got := codes(replies); got != "220 250 250 421" {
		t.Errorf("the answers are %s", got)
	}
	b := &bench{T: t, registry: registry} // it is logged and counted after the answer
	b.wait("the log", func() bool { return strings.Contains(log.String(), "ended a session") })
	if got := b.counted("graphrelay_smtp_panics_total", "test"); got != 1 {
		t.Errorf("%v panics are counted", got)
	}
	if text := log.String(); !strings.Contains(text, `"level":"ERROR"`) || !strings.Contains(text, "a fault with b@example.test") ||
		!strings.Contains(text, "panic_test.go") {
		t.Errorf("the log is %s", text)
	}
	if got := codes(p.talk(t, "EHLO client.test\r\nMAIL FROM:<a@contoso.test>\r\nQUIT\r\n")); got != "220 250 250 221" {
		t.Errorf("another session is answered %s", got)
	}
}

// Nothing is run that was sent behind the end of a session.
func TestPipelinedBehindTheEnd(t *testing.T) {
	const more = "RSET\r\nMAIL FROM:<a@contoso.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\nx\r\n.\r\nAUTH PLAIN\r\nBDAT 1 LAST\r\nx"
	for end, want := range map[string]string{
		"QUIT\r\n":                               "220 250 221",
		"MAIL FROM:<a@contoso.test>\r\nQUIT\r\n": "220 250 250 221",
		strings.Repeat("BOGUS\r\n", 4):           "220 250 501 501 501 501 500",
	} {
		for _, auth := range []AuthMode{AuthNone, AuthOptional} {
			var log testlog.Buffer
			p, q := newPipes(), &fakeQueue{}
			cfg := testConfig()
			cfg.Auth.Mode = auth
			serveAs(t, p, cfg, q, fakePolicy{q}, slog.NewTextHandler(&log, nil))
			if got := codes(p.talk(t, "EHLO client.test\r\n"+end+more)); got != want {
				t.Errorf("after %q: answered %s, want %s", end, got, want)
			}
			if strings.Contains(log.String(), "level=ERROR") || len(q.all()) != 0 {
				t.Errorf("after %q: %d messages, and %s", end, len(q.all()), log.String())
			}
		}
	}
}

// What comes among the chunks of BDAT counts as it does elsewhere, and so do chunks that
// bring next to nothing.
func TestCommandsWithinBDAT(t *testing.T) {
	for name, tt := range map[string]struct {
		text  string
		times int
		ended bool
	}{
		"NOOP":            {"NOOP\r\n", 100, true},
		"VRFY":            {"VRFY x\r\n", 100, true},
		"empty chunks":    {"BDAT 0\r\n", 100, true},
		"small chunks":    {"BDAT 1\r\nx", freeChunks + 100, true},
		"some chunks":     {"BDAT 1\r\nx", 500, false},
		"chunks of lines": {"BDAT 80\r\n" + strings.Repeat("x", 78) + "\r\n", 3000, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPipes()
			cfg := testConfig()
			cfg.Session.Commands = 50
			serve(t, p, cfg)
			replies := p.talk(t, toData+"BDAT 1\r\nx"+strings.Repeat(tt.text, tt.times)+"BDAT 0 LAST\r\nQUIT\r\n")
			if ended := strings.HasSuffix(replies, "421 4.7.0 Too many commands without a message; connect again\r\n"); ended != tt.ended {
				t.Errorf("the end is %q", replies[max(0, len(replies)-200):])
			}
		})
	}
}

// A chunk whose size go-smtp cannot read is not run as commands.
func TestHugeChunk(t *testing.T) {
	for _, command := range []string{"BDAT 4294967296", "BDAT 99999999999999999999999 LAST"} {
		p := newPipes()
		_, q, _ := serve(t, p, testConfig())
		replies := p.talk(t, toData+command+"\r\nRSET\r\n"+strings.TrimPrefix(toData, "EHLO client.test\r\n")+"DATA\r\nx\r\n.\r\n")
		if got := codes(replies); got != "220 250 250 250 552" || len(q.all()) != 0 {
			t.Errorf("%s was answered %s, and %d messages were taken", command, got, len(q.all()))
		}
	}
}

// A client that ends DATA with other line ends waits in vain. The log says why.
func TestWrongEndInTheLog(t *testing.T) {
	const why = "only CR LF . CR LF ends DATA"
	for end, named := range map[string]bool{
		"\n.\n": true, "\r\n.\n": true, "\n.\r\n": true, "\r.\r": true, "\n.\nQUIT\n": true,
		"\r\n": false, "x": false, "\r\n..\r\n": false, "\n.\n" + strings.Repeat("x", 80): false,
	} {
		synctest.Test(t, func(t *testing.T) {
			var log testlog.Buffer
			p, q := newPipes(), &fakeQueue{}
			cfg := testConfig()
			cfg.Timeout = 50 * time.Millisecond
			serveAs(t, p, cfg, q, fakePolicy{q}, slog.NewTextHandler(&log, nil))
			replies := p.talk(t, toData+"DATA\r\n", "Subject: x\r\n\r\nbody"+end)
			if !strings.Contains(replies, fmt.Sprintf("\r\n%s\r\n", errInterrupted.Error())) || len(q.all()) != 0 {
				t.Errorf("%q: answered %q", end, replies)
			}
			if got := strings.Contains(log.String(), why); got != named {
				t.Errorf("%q: the log is %s", end, log.String())
			}
		})
	}
}
