package smtpd

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// inner is what a smuggler wants to be read as commands.
const inner = "MAIL FROM:<a@contoso.test>\r\nRCPT TO:<c@example.test>\r\nDATA\r\nSubject: two\r\n\r\ntwo\r\n"

func hasBare(text string) bool {
	return strings.ContainsAny(strings.ReplaceAll(text, "\r\n", ""), "\r\n")
}

// codes lists the reply codes in what a server said.
func codes(replies string) string {
	var list []string
	for line := range strings.Lines(replies) {
		if len(line) > 3 && line[3] == ' ' {
			list = append(list, line[:3])
		}
	}
	return strings.Join(list, " ")
}

// almostEnds lists what is not the end of the data, and has been taken for it by one
// mail server or another.
func almostEnds() (list []string) {
	before := []string{"", "\n", "\r", "\r\n", "\n\r", "\r\r", "\n\n", "\r\r\n", "\x00", "\r\n\x00", "\n\x00", "\r\x00\n", "\r\n ", "\r\n.", "\r\n\r"}
	after := []string{"", "\n", "\r", "\r\n", "\n\r", "\r\r", "\n\n", "\r\r\n", "\x00\r\n", "\x00\n", "\r\x00\n", " \r\n", ".\r\n"}
	for _, b := range before {
		for _, a := range after {
			if end := b + "." + a; !strings.Contains(end, "\r\n.\r\n") {
				list = append(list, end)
			}
		}
	}
	return list
}

// kind is a listener that handles bodies or commands in a particular way.
type kind string

const (
	normalizing kind = "normalize"
	rejecting   kind = "reject"
	legacy      kind = "legacy"
)

func (k kind) change(c *Config) {
	switch k {
	case rejecting:
		c.Leniency.LineEndings = LineEndingsReject
	case legacy:
		c.Leniency.Commands, c.Leniency.Domain = true, "contoso.test"
	}
}

// toData is what a client says up to the body; of the four answers none is a refusal.
func (k kind) toData() string {
	if k == legacy {
		return "HELO\r\nMAIL FROM: a\r\nRCPT TO: b@example.test\r\n"
	}
	return toData
}

// smuggling is a server that is sent one message in which another one hides.
type smuggling struct {
	*testing.T
	kind  kind
	pipes *pipes
	queue *fakeQueue
	cfg   Config
}

func newSmuggling(t *testing.T, k kind) *smuggling {
	s := &smuggling{T: t, kind: k, pipes: newPipes(), cfg: testConfig()}
	k.change(&s.cfg)
	_, s.queue, _ = serve(t, s.pipes, s.cfg)
	return s
}

// expect sends the pieces, and wants text as the only message, or its refusal.
func (s *smuggling) expect(text, replies string, pieces ...string) {
	s.Helper()
	refuse := s.cfg.Leniency.LineEndings == LineEndingsReject && hasBare(text)
	if refuse {
		replies += " 554 221"
	} else {
		replies += " 250 221"
	}
	if got := codes(s.pipes.talk(s, pieces...)); got != replies {
		s.Errorf("%q: the replies are %s, want %s", pieces, got, replies)
	}
	got := s.queue.takeTexts()
	switch {
	case refuse && len(got) != 0:
		s.Errorf("%q: took %q", pieces, got[0])
	case !refuse && (len(got) != 1 || got[0] != plainLines(text)):
		s.Errorf("%q: took %d messages: %q; want %q", pieces, len(got), got, plainLines(text))
	}
}

// TestAlmostEnds sends all that is almost the end of the data, cut in two at each of
// its bytes and then at all of them. What follows is never a second message.
func TestAlmostEnds(t *testing.T) {
	for kind, ends := range map[kind][]string{normalizing: almostEnds(), rejecting: knownSmuggling, legacy: almostEnds()} {
		t.Run(string(kind), func(t *testing.T) {
			s := newSmuggling(t, kind)
			for _, end := range ends {
				s.throughData(end)
				s.throughBDAT(end)
			}
			s.throughBDAT("\r\n.\r\n") // there it is mere text
		})
	}
}

func (s *smuggling) throughData(end string) {
	s.Helper()
	stream, text := s.kind.smuggledData(end)
	at := strings.Index(stream, end+inner)
	for cut := at - 1; cut <= at+len(end)+1; cut++ {
		s.expect(text, "220 250 250 250 354", stream[:cut], stream[cut:])
	}
	s.expect(text, "220 250 250 250 354", byteByByte(stream, at, end)...)
}

// byteByByte makes each byte of end a packet, and those beside it.
func byteByByte(stream string, at int, end string) []string {
	from, to := at-1, at+len(end)+1
	return slices.Concat([]string{stream[:from]}, strings.Split(stream[from:to], ""), []string{stream[to:]})
}

// smuggledData is what a client sends, and the text that it stands for.
func (k kind) smuggledData(end string) (stream, text string) {
	body := "Subject: one\r\n\r\none" + end + inner + ".\r\n"
	text, _, _ = strictData(body)
	return k.toData() + "DATA\r\n" + body + "QUIT\r\n", text
}

func (s *smuggling) throughBDAT(end string) {
	s.Helper()
	text := "Subject: one\r\n\r\none" + end + inner
	whole := fmt.Sprintf("%sBDAT %d LAST\r\n%sQUIT\r\n", s.kind.toData(), len(text), text)
	at := strings.Index(whole, end+inner)
	for cut := at; cut <= at+len(end); cut++ {
		s.expect(text, "220 250 250 250", whole[:cut], whole[cut:])
	}
	s.expect(text, "220 250 250 250", byteByByte(whole, at, end)...)
	at = strings.Index(text, end+inner)
	for cut := at; cut <= at+len(end); cut++ {
		s.expect(text, "220 250 250 250 250",
			fmt.Sprintf("%sBDAT %d\r\n%sBDAT %d LAST\r\n%sQUIT\r\n", s.kind.toData(), cut, text[:cut], len(text)-cut, text[cut:]))
	}
}

// knownSmuggling is what has worked against some mail server (CVE-2023-51764 to 51766).
var knownSmuggling = []string{"\n.\n", "\r.\r", "\n.\r\n", "\r\n.\n", "\r\n\x00.\r\n", "\r\n.\r", "\n.\r", "\r.\r\n", "\r\n.\x00\r\n"}

// TestSmugglingTLS sends knownSmuggling with each TLS mode.
func TestSmugglingTLS(t *testing.T) {
	for _, mode := range tlsModes {
		for _, kind := range []kind{normalizing, legacy} {
			t.Run(string(mode)+" "+string(kind), func(t *testing.T) {
				testSmuggling(t, start(t, func(c *Config) { c.TLS.Mode = mode; kind.change(c) }), kind)
			})
		}
	}
}

func testSmuggling(t *testing.T, b *bench, k kind) {
	t.Helper()
	c := b.ready()
	for _, end := range knownSmuggling {
		stream, text := k.smuggledData(end)
		c.envelope()
		c.cmd("354", "DATA")
		_, body, _ := strings.Cut(stream, "DATA\r\n")
		c.send(strings.TrimSuffix(body, "QUIT\r\n") + "NOOP\r\n")
		c.expect("250 2.0.0 queued")
		c.expect("250 2.0.0 I have")
		if got := b.queue.takeTexts(); len(got) != 1 || got[0] != plainLines(text) {
			t.Errorf("%q: took %q", end, got)
		}
	}
}

// After a line that smtpConn takes for BDAT and go-smtp does not, go-smtp's buffer may hold
// part of a body. Then no body is read, since it would be read by other rules. An answer to
// AUTH is no such line.
func TestBodyOutOfTurn(t *testing.T) {
	for _, kind := range []kind{rejecting, legacy} {
		t.Run(string(kind), func(t *testing.T) { testBodyOutOfTurn(t, kind) })
	}
}

func testBodyOutOfTurn(t *testing.T, k kind) {
	t.Helper()
	const rest = "MAIL FROM:<a@contoso.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\nSubject: x\r\n\r\na\nb\r\n.\r\nQUIT\r\n"
	cfg := testConfig()
	k.change(&cfg)
	cfg.Auth.Mode, cfg.Leniency.LineEndings = AuthOptional, LineEndingsReject
	p := newPipes()
	_, queue, _ := serve(t, p, cfg)
	for name, command := range map[string]string{
		"an answer to AUTH": "AUTH LOGIN\r\nBDAT %d\r\n*\r\n",
		"too long a line":   "BDAT %d LAST" + strings.Repeat(" ", maxCommandSeen) + "x\r\n",
	} {
		refused := 0
		for size := range len(rest) + 1 {
			replies := p.talk(t, "EHLO client.test\r\n"+fmt.Sprintf(command, size)+rest)
			if got := queue.takeTexts(); len(got) > 0 {
				t.Errorf("%s of size %d: took %q", name, size, got)
			}
			if strings.Contains(replies, "503 5.5.1 The message did not follow its command") {
				refused++
			}
		}
		if (refused == 0) != strings.Contains(name, "AUTH") {
			t.Errorf("%s: %d bodies were out of turn", name, refused)
		}
	}
}
