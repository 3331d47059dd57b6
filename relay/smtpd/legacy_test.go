package smtpd

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var printer = netip.MustParseAddr("2001:db8::20")

func TestTidy(t *testing.T) {
	for in, want := range map[string]string{
		"HELO":                        "HELO [IPv6:2001:db8::20]",
		"ehlo \t ":                    "EHLO [IPv6:2001:db8::20]",
		"EHLO my_printer":             "EHLO my_printer",
		"MAIL FROM:<>":                "MAIL FROM:<>",
		"mail from: root":             "MAIL FROM:<root@contoso.test>",
		"MAIL FROM:root@":             "MAIL FROM:<root@>",
		"MAIL FROM:<root>SIZE=3":      "MAIL FROM:<root@contoso.test>SIZE=3",
		"MAIL FROM:root AUTH=<a@b>":   "MAIL FROM:<root@contoso.test> AUTH=<a@b>",
		"MAIL FROM:<root> AUTH=<>":    "MAIL FROM:<root@contoso.test> AUTH=<>",
		"MAIL FROM:\"a\" <b@c>":       "MAIL FROM:<b@c>",
		"MAIL FROM:\"<\" <b@c>":       "MAIL FROM:\"<\" <b@c>",
		"MAIL FROM:a@b <c@d>":         "MAIL FROM:<a@b> <c@d>",
		"MAIL FROM:<<root>>":          "MAIL FROM:<<root>>",
		"MAIL FROM:x> <root>":         "MAIL FROM:x> <root>",
		"MAILFROM:root":               "MAILFROM:root",
		"MAIL FROMAGE:root":           "MAIL FROMAGE:root",
		"RCPT TO:<a@[IPv6:::1]>":      "RCPT TO:<a@[IPv6:::1]>",
		"RCPT FROM:<a>":               "RCPT FROM:<a>",
		"RCPT TO:<a\rDATA>":           "RCPT TO:<a\rDATA>", // as it came, for go-smtp to refuse
		"DATA":                        "DATA",
		"BDAT 3 LAST":                 "BDAT 3 LAST",
		"VRFY root":                   "VRFY root",
		"NOOP MAIL FROM:root":         "NOOP MAIL FROM:root",
		".":                           ".",
		"RCPT TO:" + "x\xff, y@z.tst": "RCPT TO:<x\xff,@contoso.test> y@z.tst",
	} {
		var c Config
		legacy.change(&c)
		for _, end := range []string{"\n", "\r\n", "\r\r\n"} {
			if got, _ := c.Leniency.tidy(in+end, printer); got != want+end {
				t.Errorf("%q became %q, want %q", in+end, got, want+end)
			}
		}
		if got, changed := (Leniency{}).tidy(in+"\r\n", printer); changed {
			t.Errorf("%q became %q on a modern listener", in, got)
		}
	}
}

// One line stays one line, its command what it was, and it becomes the same again.
func FuzzTidy(f *testing.F) {
	for _, s := range []string{"HELO", "MAIL FROM: a", "RCPT TO:<b> NOTIFY=NEVER", "MAIL FROM: x <y@z>", "RCPT TO:<a\rRCPT TO:<b>", "BDAT 3", "MAIL\tFROM:\x00"} {
		f.Add(s, "\r\n", true, true)
	}
	f.Fuzz(func(t *testing.T, text, end string, legacy, domain bool) {
		c := Leniency{Commands: legacy, Domain: map[bool]string{true: "contoso.test"}[domain]}
		line, _, _ := strings.Cut(text+end, "\n")
		line += "\n"
		out, changed := c.tidy(line, printer)
		if !changed && out != line || strings.Index(out, "\n") != len(out)-1 || strings.Count(out, "\r") > strings.Count(line, "\r") {
			t.Fatalf("%q became %q (%v)", line, out, changed)
		}
		if again, _ := c.tidy(out, printer); again != out {
			t.Fatalf("%q became %q, then %q", line, out, again)
		}
		if changed && (!strings.EqualFold(out[:4], line[:4]) || len(out) > len(line)+len(" [IPv6:2001:db8::20]")) {
			t.Fatalf("%q became %q", line, out)
		}
	})
}

// scripted is a connection from which r is read.
type scripted struct {
	net.Conn
	io.Reader
}

func (s scripted) Read(p []byte) (int, error)    { return s.Reader.Read(p) }
func (scripted) SetReadDeadline(time.Time) error { return nil }

// afterData is what a listener reads as the body when raw follows DATA, in one packet
// with it or each byte in one of its own.
func afterData(t *testing.T, s *Server, raw []byte, bytewise bool) []byte {
	t.Helper()
	var r io.Reader = io.MultiReader(strings.NewReader("NOOP 67890RCPT TO: a\r\nRCPT TO: a\r\nDATA\r\n"), bytes.NewReader(raw))
	if bytewise {
		r = iotest.OneByteReader(r)
	}
	c := &smtpConn{conn: newConn(scripted{Reader: r}, s)}
	var commands []byte
	p := make([]byte, 10) // less than a line: what is behind it of the first begins none
	for !bytes.HasSuffix(commands, []byte("DATA\r\n")) {
		n, err := c.Read(p)
		if err != nil {
			t.Fatalf("after %q: %v", commands, err)
		}
		commands = append(commands, p[:n]...)
	}
	if want := "NOOP 67890RCPT TO: a\r\nRCPT TO:<a@contoso.test>\r\nDATA\r\n"; string(commands) != want || !c.atBody() {
		t.Fatalf("read %q, want %q", commands, want)
	}
	var body []byte
	for {
		n, err := c.conn.Read(p)
		if body = append(body, p[:n]...); err != nil {
			return body
		}
	}
}

func legacyServer(tb testing.TB) *Server {
	tb.Helper()
	cfg := testConfig()
	legacy.change(&cfg)
	return New(cfg, nil, nil, nil, NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
}
