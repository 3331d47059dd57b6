package smtpd

import (
	"encoding/base64"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"graphrelay/internal/testlog"
)

// sessionCommands are what FuzzSession makes sessions of. The last one stands for raw text.
var sessionCommands = []string{
	"EHLO client.test\r\n", "HELO x\r\n", "EHLO\r\n", "MAIL FROM:<a@contoso.test>\r\n", "MAIL FROM:<>\r\n",
	"MAIL FROM:<a@elsewhere.test>\r\n", "MAIL FROM:<a@contoso.test> SIZE=99999999999\r\n", "MAIL FROM:<a@contoso.test> RET=HDRS BODY=X\r\n",
	"MAIL TO:<x>\r\n", "RCPT TO:<b@example.test>\r\n", "RCPT TO:<\"c d\"@example.test> NOTIFY=FAILURE ORCPT=rfc822;c+20d@example.test\r\n",
	"RCPT TO:<b@c@d>\r\n", "RCPT TO:<nobody@example.test>\r\n", "RCPT\r\n",
	"DATA\r\n", "DATA \r\n", "DATA x\r\n", "Subject: x\r\n\r\nbody\r\n.\r\n", ".\r\n", "\n.\n", "x\r\n",
	"BDAT 0\r\n", "BDAT 0 LAST\r\n", "BDAT 5\r\nab\r\nc", "BDAT 5 LAST\r\nab\r\nc", "BDAT 3\r\nabcdef\r\n", "BDAT 99999999999\r\n", "BDAT x\r\n", "BDAT 20\r\n",
	"RSET\r\n", "NOOP\r\n", "VRFY x\r\n", "HELP\r\n", "EXPN\r\n", "LHLO x\r\n", "STARTTLS\r\n", "BOGUS\r\n", "\r\n", "Q\r\n", "QUIT\r\n",
	"AUTH\r\n", "AUTH PLAIN\r\n", "AUTH LOGIN\r\n", "AUTH XOAUTH2\r\n", "AUTH EXTERNAL =\r\n", "AUTH PLAIN !\r\n", "*\r\n", "=\r\n",
	"AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00crm\x00secret")) + "\r\n",
	"AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00crm\x00wrong")) + "\r\n",
	base64.StdEncoding.EncodeToString([]byte("crm")) + "\r\n", base64.StdEncoding.EncodeToString([]byte("secret")) + "\r\n",
	base64.StdEncoding.EncodeToString([]byte("user=a@contoso.test\x01auth=Bearer x\x01\x01")) + "\r\n",
	"",
}

// sessionEnd ends a session in whatever state it is.
const sessionEnd = "x\r\n.\r\n*\r\nRSET\r\nQUIT\r\n"

// FuzzSession sends whole sessions: commands in any order, pipelined, in pieces cut anywhere,
// with raw text among them. Nothing may panic, every message that was answered with 250 is
// in the queue once and no other is, and a session comes to its end.
func FuzzSession(f *testing.F) {
	for _, name := range []string{"\x00\x03\x09\x0e\x11\x27", "\x01\x03\x05\x09\x0e", "\x00\x03\x07\x09", "\x00\x03\x09\x15\x03\x1d\x09", "\x00\x27\x09\x29", "\x00\x24\x24\x24\x24\x09\x03",
		"\x00\x03\x09\x17\x18\x03\x09\x0e\x11", "\x00\x2a\x31\x32\x03\x0c\x09\x0e\x13\x11", "\x00\x2b\x34\x30\x03\x09\x0a\x0e\x11", "\x00\x03\x09\x0e\x35\x12", "\x00\x03\x09\x17\x00\x09\x16"} {
		f.Add([]byte(name), "MAIL FROM:<a@contoso.test>\r\n", []byte{}, uint8(0))
		f.Add([]byte(name), "\xff\x00BDAT 1 LAST", []byte{3, 0}, uint8(1))
		f.Add([]byte(name), "\r\n.\r\n", []byte{40}, uint8(2))
	}
	servers := sessionServers(f)
	f.Fuzz(func(t *testing.T, script []byte, raw string, cuts []byte, which uint8) {
		s := servers[int(which)%len(servers)]
		var stream strings.Builder
		for _, c := range script[:min(len(script), 60)] {
			command := sessionCommands[int(c)%len(sessionCommands)]
			if command == "" {
				command = raw[:min(len(raw), 300)]
			}
			stream.WriteString(command)
		}
		stream.WriteString(sessionEnd + sessionEnd)
		replies := s.pipes.talk(t, pieces(stream.String(), cuts)...)
		if s.panics.Load() > 0 {
			t.Fatalf("%q: %s", stream.String(), s.log.String())
		}
		taken := s.queue.take()
		if answered := strings.Count(replies, "250 2.0.0 queued as "); answered != len(taken) {
			t.Errorf("%q: %d messages were taken and %d answered: %q", stream.String(), len(taken), answered, replies)
		}
		for _, m := range taken {
			if len(m.Envelope.To) == 0 || len(m.Envelope.To) > s.cfg.Message.Recipients {
				t.Errorf("%q: a message has %d recipients", stream.String(), len(m.Envelope.To))
			}
		}
	})
}

// sessionServer is a server of FuzzSession.
type sessionServer struct {
	smuggling
	log    testlog.Buffer
	panics atomic.Int32
}

// write counts the panics that are logged.
func (s *sessionServer) write(record string) {
	if strings.Contains(record, "a fault in the relay ended a session") {
		s.panics.Add(1)
	}
	_, _ = s.log.Write([]byte(record))
}

type writerFunc func(string)

func (w writerFunc) Write(p []byte) (int, error) { w(string(p)); return len(p), nil }

func sessionServers(f *testing.F) (list []*sessionServer) {
	for _, change := range []func(*Config){
		func(*Config) {},
		func(c *Config) { c.Auth = AuthConfig{Mode: AuthOptional, Bearer: true} },
		func(c *Config) {
			c.Leniency = Leniency{LineEndings: LineEndingsReject, Commands: true, Domain: "contoso.test"}
		},
		func(c *Config) { c.Session.Commands, c.Session.Errors = 20, 4 },
		func(c *Config) { c.Auth.Mode = AuthRequired },
	} {
		s := &sessionServer{smuggling: smuggling{pipes: newPipes(), cfg: testConfig(), queue: &fakeQueue{}}}
		s.cfg.Timeout, s.cfg.Session.Delay = time.Second, 0
		change(&s.cfg)
		serveAs(f, s.pipes, s.cfg, s.queue, fakePolicy{s.queue}, slog.NewTextHandler(writerFunc(s.write), &slog.HandlerOptions{Level: slog.LevelError}))
		list = append(list, s)
	}
	return list
}
