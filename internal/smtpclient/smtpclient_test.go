package smtpclient

import (
	"net"
	"strings"
	"testing"
	"time"
)

// serve returns a session with a server that sends what it is given, and what the server reads.
func serve(t *testing.T, says string) (*Session, net.Conn) {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	_ = ours.SetDeadline(time.Now().Add(time.Minute))
	go func() {
		_, _ = theirs.Write([]byte(says))
		theirs.Close()
	}()
	return New(ours), theirs
}

// An answer is shown on one line, without what would control a terminal, and shortened.
func TestRead(t *testing.T) {
	for says, want := range map[string][2]string{
		"220 ready\r\n":                 {"220 ready", ""},
		"220-one\r\n220 two\x1b[2J\r\n": {"220 one two [2J", ""},
		"554 5.7.1 no\r\n":              {"554 5.7.1 no", "554 5.7.1 no"},
		"":                              {"", "the connection was closed: EOF"},
		"HTTP/1.1 \x1b[2J\r\n":          {"", `the server does not speak SMTP: short response: "HTTP/1.1 \x1b[2J"`},
		"220 " + strings.Repeat("x", 600) + "\r\n": {"220 " + strings.Repeat("x", 496) + "...", ""},
	} {
		s, _ := serve(t, says)
		answer, err := s.Read(2)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if answer != want[0] || !strings.HasPrefix(got, want[1]) || (got == "") != (want[1] == "") {
			t.Errorf("%.40q: %q, %q; want %q", says, answer, got, want)
		}
	}
}

// A server that never ends its answer does not fill the memory.
func TestBounded(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	_ = ours.SetDeadline(time.Now().Add(5 * time.Minute))
	sent := make(chan int)
	go func() {
		n, line := 0, []byte("220-"+strings.Repeat("x", 4092))
		for {
			k, err := theirs.Write(line)
			if n += k; err != nil || n > 4*maxRead {
				sent <- n
				return
			}
		}
	}()
	_, err := New(ours).Read(2)
	ours.Close()
	if n := <-sent; err == nil || n > 2*maxRead {
		t.Errorf("%d bytes were read (%v)", n, err)
	}
}
