package smtpd

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"graphrelay/internal/text"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

var errNoSpace = queue.ErrNoSpace

// TestDialogs runs testdata/*.dialog: lines after "C: " are sent, lines after
// "S: " must be the answer ("..." at the end stands for any rest), and "!" lines
// set the listener up, act, or say what must be queued. The expectation "closed" is
// the connection's end.
func TestDialogs(t *testing.T) {
	files, err := filepath.Glob("testdata/*.dialog")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dialogs: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".dialog"), func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			runDialog(t, strings.Split(strings.TrimRight(string(text), "\n"), "\n"))
		})
	}
}

func runDialog(t *testing.T, lines []string) {
	t.Helper()
	b := start(t, dialogConfig(lines))
	c := b.dial()
	for n, l := range lines {
		kind, rest, _ := strings.Cut(l, " ")
		switch kind {
		case "C:":
			c.send(unescape(rest) + "\r\n")
		case "S:":
			if !answers(c.line(), rest) {
				t.Fatalf("line %d: want %q", n+1, rest)
			}
		case "!":
			c.act(b, rest)
		}
	}
}

// dialogConfig is the listener that the "!" lines of a dialog describe.
func dialogConfig(lines []string) func(*Config) {
	return func(c *Config) {
		for _, l := range lines {
			switch l {
			case "! auth required":
				c.Auth.Mode = AuthRequired
			case "! auth optional":
				c.Auth.Mode = AuthOptional
			case "! starttls":
				c.TLS.Mode = TLSStart
			case "! reject":
				c.Leniency.LineEndings = LineEndingsReject
			case "! legacy":
				c.Leniency.Commands = true
			case "! add_domain":
				c.Leniency.Domain = "contoso.test"
			case "! plain auth":
				c.Auth.Plain = true
			case "! proxy":
				behindProxy(c)
			case "! elsewhere":
				c.Networks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
			}
		}
	}
}

// line reads one line of a reply and remembers it for the failure's text.
func (c *client) line() string {
	line, err := c.r.ReadString('\n')
	if err != nil {
		return "closed"
	}
	c.Logf("S: %s", strings.TrimRight(line, "\r\n"))
	return strings.TrimRight(line, "\r\n")
}

func answers(got, want string) bool {
	if prefix, ok := strings.CutSuffix(want, "..."); ok {
		return strings.HasPrefix(got, prefix)
	}
	return got == want
}

func (c *client) act(b *bench, what string) {
	c.Helper()
	what, rest, _ := strings.Cut(what, ": ")
	switch what {
	case "tls":
		c.handshake()
		c.r.Reset(c.conn)
	case "full":
		b.queue.setRoom(fmt.Errorf("%w: 1 messages", queue.ErrFull))
	case "no space":
		b.queue.setRoom(queue.ErrNoSpace)
	case "room":
		b.queue.setRoom(nil)
	case "envelope":
		got, err := json.Marshal(b.queue.all()[0].Envelope)
		if want := strings.TrimSpace(rest); err != nil || string(got) != want {
			c.Fatalf("the envelope is %s, %v; want %s", got, err, want)
		}
	case "counted": // reason and number of refusals
		reason, n, _ := strings.Cut(rest, " ")
		if got := fmt.Sprint(b.counted("graphrelay_messages_rejected_total", "test", reason)); got != n {
			c.Fatalf("%s refusals of %s are counted, want %s", got, reason, n)
		}
	case "hang up":
		_ = c.tcp.Close()
	case "queued once":
		if got := b.queue.all(); len(got) != 1 {
			c.Fatalf("%d messages are queued", len(got))
		}
	case "trace":
		if got := b.queue.all(); len(got) != 1 || !strings.HasPrefix(string(got[0].data), unescape(rest)) {
			c.Fatalf("queued: %+v", got)
		}
	case "text":
		if got := b.queue.takeTexts(); len(got) != 1 || got[0] != unescape(rest) {
			c.Fatalf("queued: %q", got)
		}
	case "nothing queued":
		if got := b.queue.all(); len(got) != 0 {
			c.Fatalf("queued: %q", got[0].data)
		}
	}
}

// unescape knows \0 \t \r \n \xff for bytes that a text file cannot hold well, {b64 text}
// for base64, and {fill n} for n bytes of text.
func unescape(s string) string {
	s = strings.NewReplacer(`\0`, "\x00", `\t`, "\t", `\r`, "\r", `\n`, "\n", `\xff`, "\xff").Replace(s)
	return braces.ReplaceAllStringFunc(s, func(m string) string {
		kind, rest, _ := strings.Cut(strings.Trim(m, "{}"), " ")
		if kind == "b64" {
			return base64.StdEncoding.EncodeToString([]byte(rest))
		}
		n, _ := strconv.Atoi(rest)
		return strings.Repeat("x", n)
	})
}

var braces = regexp.MustCompile(`\{(b64|fill) [^}]*\}`)

func TestReceived(t *testing.T) {
	b := start(t, func(c *Config) { c.TLS.Mode, c.Auth.Mode = TLSImplicit, AuthRequired })
	c := b.dial()
	c.expect("220")
	c.cmd("250", "EHLO cl(ient.test")
	c.cmd("235", "AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00crm\x00secret")))
	c.cmd("250", "MAIL FROM:<a@contoso.test> SMTPUTF8")
	c.cmd("250", "RCPT TO:<ü@example.test>")
	c.cmd("250", "RCPT TO:<Ü@example.test>") // may be another mailbox, but the same to Exchange
	c.cmd("354", "DATA")
	c.cmd("250", "Subject: x\r\n\r\nbody\r\n.")
	got := b.queue.all()[0]
	trace := string(got.data[:got.Trace])
	for _, want := range []string{"Received: from cl?ient.test ([127.0.0.1])", "by relay.test (graphrelay) with UTF8SMTPSA id 0123456789abcdef", "for <ü@example.test>", "TLS 1.3"} {
		if !strings.Contains(trace, want) {
			t.Errorf("%q lacks %q", trace, want)
		}
	}
	if got.User != "crm" || got.Client != "127.0.0.1" || !got.Envelope.UTF8 || len(got.Envelope.To) != 1 || got.Subject != "14 bytes of header" {
		t.Errorf("the entry is %+v", got.Entry)
	}
	if r := got.Reception; r.HELO != "cl?ient.test" || r.TLS != "TLS 1.3" || !strings.HasPrefix(r.Cipher, "TLS_") || r.Took <= 0 {
		t.Errorf("the reception is %+v", r)
	}
}

// The header that Policy.Route gets is found wherever the reads fall, and is bounded.
func TestHeaderCapture(t *testing.T) {
	tests := []struct{ in, want string }{
		{"A: b\r\n\r\nbody\r\n\r\nmore", "A: b\r\n\r\n"},
		{"A: b\n\nbody\r\n\r\n", "A: b\n\n"},
		{"A: b\r\nno end", "A: b\r\nno end"},
		{"A: " + strings.Repeat("x", 100), "A: " + strings.Repeat("x", 61)},
		{"\r\n\r\n\nA: b\r\n\r\nbody\r\n\r\nmore", "\r\n\r\n\nA: b\r\n\r\n"},
		{"\r\n\r\n\r\n", "\r\n\r\n\r\n"},
		{strings.Repeat("\n", 100), strings.Repeat("\n", 64)},
	}
	for _, tt := range tests {
		for step := 1; step <= len(tt.in); step++ {
			h := header{max: 64}
			for rest := tt.in; rest != ""; {
				n := min(step, len(rest))
				if _, err := h.Write([]byte(rest[:n])); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			if string(h.bytes()) != tt.want {
				t.Errorf("%q in steps of %d gave %q", tt.in, step, h.bytes())
			}
		}
	}
}

// Only accepted messages count against rates, however late others failed.
func TestAdmit(t *testing.T) {
	b := start(t, loopback)
	c := b.ready()
	for _, tt := range []struct {
		from, want string
		fail       error
		counted    int64
	}{
		{"a@contoso.test", "250 2.0.0 queued", nil, 1},
		{"a@contoso.test", "452 4.3.1", errNoSpace, 1},
		{"busy@contoso.test", "450 4.7.1 Come again", nil, 1},
		{"a@contoso.test", "250 2.0.0 queued", nil, 2},
	} {
		b.queue.mu.Lock()
		b.queue.failEnd = tt.fail
		b.queue.mu.Unlock()
		c.cmd("250", "MAIL FROM:<"+tt.from+">")
		c.cmd("250", "RCPT TO:<b@example.test>")
		c.cmd("450 4.7.1 Come again", "RCPT TO:<nobody@example.test>")
		c.cmd("354", "DATA")
		c.cmd(tt.want, "Subject: x\r\n\r\n.")
		if got := b.queue.admitted.Load(); got != tt.counted {
			t.Errorf("after %q: %d are counted, want %d", tt.want, got, tt.counted)
		}
	}
}

func TestConnectionLimits(t *testing.T) {
	b := start(t, loopback)
	var open []*client
	for range 20 {
		c := b.dial()
		c.expect("220")
		open = append(open, c)
	}
	b.dial().expect("421 4.7.0")
	open[0].cmd("221", "QUIT")
	for range 2000 {
		c := b.dial()
		if strings.HasPrefix(c.reply(), "220") {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Error("a released place was not used again")
}

// Shutdown waits for transactions in progress, and disconnects idle clients.
func TestShutdown(t *testing.T) {
	b := start(t, loopback)
	idle, early, busy := b.ready(), b.ready(), b.ready()
	early.cmd("250", "MAIL FROM:<a@contoso.test>")
	busy.envelope()
	busy.cmd("354", "DATA")
	busy.send("Subject: x\r\n\r\n")
	done := make(chan struct{})
	go func() {
		b.server.Shutdown(context.Background())
		close(done)
	}()
	idle.expect("421 4.4.2")
	select {
	case <-done:
		t.Fatal("the stop did not wait for the message")
	default:
	}
	busy.cmd("250 2.0.0 queued", ".")
	early.cmd("250", "RCPT TO:<b@example.test>")
	early.cmd("354", "DATA")
	early.cmd("250 2.0.0 queued", "Subject: x\r\n\r\n.")
	early.cmd("221", "QUIT")
	busy.cmd("221", "QUIT")
	<-done
	if len(b.queue.all()) != 2 {
		t.Errorf("%d messages were taken, want 2", len(b.queue.all()))
	}
}

// A client that was greeted before a stop can still send its mail.
func TestShutdownAfterGreeting(t *testing.T) {
	for _, mode := range []TLSMode{TLSNone, TLSImplicit, TLSStart} {
		t.Run(string(mode), func(t *testing.T) {
			b := start(t, func(c *Config) { loopback(c); c.TLS.Mode = mode })
			c := b.dial()
			c.expect("220")
			done := make(chan struct{})
			go func() {
				b.server.Shutdown(context.Background())
				close(done)
			}()
			b.wait("the stop", b.server.isStopping)
			if mode == TLSStart {
				c.cmd("250", "EHLO client.test")
				c.cmd("220", "STARTTLS")
				c.handshake()
				c.r = bufio.NewReader(c.conn)
			}
			c.cmd("250", "EHLO client.test")
			c.envelope()
			c.cmd("354", "DATA")
			c.cmd("250 2.0.0 queued", "Subject: x\r\n\r\n.")
			c.cmd("221", "QUIT")
			<-done
		})
	}
}

// Shutdown ends connections that do not end in time. go-smtp's Shutdown does not.
func TestShutdownPastItsTime(t *testing.T) {
	b := start(t, loopback)
	c := b.ready()
	c.envelope()
	c.cmd("354", "DATA")
	c.send("Subject: x\r\n\r\n")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	b.server.Shutdown(ctx)
	b.waitGone()
	if got := c.reply(); strings.HasPrefix(got, "250") || len(b.queue.all()) != 0 {
		t.Errorf("got %q and %d messages", got, len(b.queue.all()))
	}
}

// Shutdown ends Serve, whichever of them is called first.
func TestShutdownBeforeServe(t *testing.T) {
	for _, first := range []bool{true, false} {
		s := New(Config{Name: "test", Timeout: time.Second}, &fakeQueue{}, fakePolicy{}, NewConnectionLimiter(ConnectionLimits{Total: 1, PerAddress: 1, PerMinute: 1}),
			NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var stop sync.WaitGroup
		stop.Go(func() { s.Shutdown(t.Context()) })
		if first {
			stop.Wait()
		}
		if err := s.Serve(l); err != nil {
			t.Error(err)
		}
		stop.Wait()
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the listener was left open: %v", err)
		}
	}
}

func FuzzAddress(f *testing.F) {
	for _, s := range []string{"a@b", "a@b.test", "a@[127.0.0.1]", "a@[IPv6:::1]", "ü@ä.test", "a\r\n@b", "@", "a b@c", `"q"@c`, "a@b@c", "a@-b", "a@b..c", strings.Repeat("x", 300) + "@y"} {
		f.Add(s, "")
		f.Add(s, "c.test")
	}
	f.Fuzz(func(t *testing.T, s, domain string) {
		for _, utf8 := range []bool{true, false} {
			if checkAddress(s, utf8) == nil {
				checkSafe(t, s, utf8)
				if strings.ContainsAny(s, ` "\`) || strings.Count(s, "@") != 1 {
					t.Errorf("%q was taken", s)
				}
			}
			if a, r := checkQuoted(s, domain, utf8); r == nil {
				checkSafe(t, a, utf8)
				if strings.ContainsAny(a, `\`) || a != s+"@"+domain && a != `"`+s+`"@`+domain || strings.Count(a, `"`) > 2 {
					t.Errorf("%q was taken", a)
				}
			}
		}
	})
}

func checkSafe(t *testing.T, a string, utf8 bool) {
	t.Helper()
	if strings.ContainsAny(a, "\r\n\x00\t<>") || strings.Count(a, "@") == 0 || len(a) > maxAddress+2 || !utf8 && !text.IsASCII(a) {
		t.Errorf("%q was taken", a)
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"a\r\nb": "a??b", "\x1b[31m": "?[31m", "ü": "ü", "\xff": "?",
		strings.Repeat("x", 500): strings.Repeat("x", 400) + "...",
	} {
		if got := printable(in); got != want {
			t.Errorf("%q gave %q", in, got)
		}
	}
}

func ExampleRefusal() {
	fmt.Println(&Refusal{550, [3]int{5, 7, 1}, reason.Sender, "Not you"})
	// Output: 550 5.7.1 Not you
}
