package smtpd

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestGoSMTPContract checks that only the files named gosmtp import go-smtp, that the tests
// which their contract names exist, and that it is about the version that is used.
func TestGoSMTPContract(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var contract, tests string
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case strings.HasSuffix(f, "_test.go"):
			tests += string(text)
		case strings.HasPrefix(f, "gosmtp"):
			contract += string(text)
		case strings.Contains(string(text), `"github.com/emersion/go-smtp"`):
			t.Errorf("%s imports go-smtp", f)
		}
	}
	for _, name := range regexp.MustCompile(`\bTest\w+`).FindAllString(contract, -1) {
		if !strings.Contains(tests, "func "+name+"(") {
			t.Errorf("the contract names %s, which does not exist", name)
		}
	}
	for _, name := range regexp.MustCompile(`[\w-]+\.dialog`).FindAllString(contract, -1) {
		if _, err := os.Stat(filepath.Join("testdata", name)); err != nil {
			t.Error(err)
		}
	}
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	used := regexp.MustCompile(`emersion/go-smtp (\S+)`).FindSubmatch(mod)
	if used == nil || !strings.Contains(contract, "go-smtp "+string(used[1])) {
		t.Errorf("go.mod has go-smtp %s: check each piece of the contract against it, then name it there", used)
	}
}

// go-smtp has a connection only once its client has said something.
func TestSilentClientHasNoBuffers(t *testing.T) {
	for _, mode := range tlsModes {
		t.Run(string(mode), func(t *testing.T) {
			b := start(t, secured(mode))
			c := b.dial()
			c.expect("220")
			c.send("EH")
			time.Sleep(20 * time.Millisecond) // for go-smtp to begin, where it does
			for _, g := range serverGoroutines() {
				if strings.Contains(g, "go-smtp.(*Conn)") || strings.Contains(g, "go-smtp.(*Server).handleConn") {
					t.Errorf("go-smtp has the connection:\n%s", g)
				}
			}
		})
	}
}

// sink is a connection that records each write.
type sink struct {
	scripted
	writes []string
}

func (s *sink) Write(p []byte) (int, error) {
	s.writes = append(s.writes, string(p))
	return len(p), nil
}

func (*sink) SetWriteDeadline(time.Time) error { return nil }

var _ net.Conn = (*sink)(nil)

// However go-smtp cuts a reply, the client is sent the whole of it at once, and each
// counts as one.
func TestReplies(t *testing.T) {
	replies := []string{"250-Hello x\r\n250-SIZE 1\r\n250 DSN\r\n", "250 2.0.0 " + strings.Repeat("x", 9000) + "\r\n", "334 \r\n", "500 a\x1b\rb\r\n"}
	want := slices.Clone(replies)
	want[3] = "500 a??b\r\n"
	for _, step := range []int{1, 7, 4096, 1 << 20} {
		s := &sink{}
		c := &smtpConn{conn: newConn(s, legacyServer(t)), suppress: 1}
		for rest := []byte("220 greeting\r\n" + strings.Join(replies, "")); len(rest) > 0; {
			n := min(step, len(rest))
			if _, err := c.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if !slices.Equal(s.writes, want) {
			t.Errorf("in pieces of %d: wrote %q, want %q", step, s.writes, want)
		}
		if c.counters.commands != len(replies) || c.counters.errors != 1 || c.replied != 500 {
			t.Errorf("in pieces of %d: counted %+v, the last as %d", step, c.counters.commands, c.replied)
		}
	}
}

// A text from outside stays one line of a reply.
func TestSMTPError(t *testing.T) {
	err := smtpError(&Refusal{550, [3]int{5, 7, 1}, "", "Graph says:\r\n250 forged \x1b[31m"})
	if got, want := err.Error(), "SMTP error 550: Graph says:??250 forged ?[31m"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// go-smtp's own messages may quote a client, and are logged for debugging only.
func TestServerLog(t *testing.T) {
	for level, want := range map[slog.Level]string{slog.LevelInfo: "", slog.LevelDebug: "handling a?[31m"} {
		var b strings.Builder
		log := slog.New(slog.NewJSONHandler(&b, &slog.HandlerOptions{Level: level}))
		serverLog{log, nil}.Printf("handling %s", "a\x1b[31m")
		if got := b.String(); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("at %s: logged %q, want %q", level, got, want)
		}
	}
}
