package demo

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/smtp"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// output is what the demo prints.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// TestOwnMail sends a message to the demo as a user does, and looks for it in the output.
// The usual ports may be in use.
func TestOwnMail(t *testing.T) {
	if l, err := net.Listen("tcp", "127.0.0.1:2525"); err == nil { // as if a relay ran already
		defer l.Close()
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	jar, _ := cookiejar.New(nil)
	var out output
	done := make(chan error, 1)
	go func() { done <- Run(ctx, Options{Out: &out, Log: io.Discard}) }()
	wait := func(pattern string) []string {
		t.Helper()
		for deadline := time.Now().Add(4 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			if m := regexp.MustCompile(pattern).FindStringSubmatch(out.String()); m != nil {
				return m
			}
		}
		t.Fatalf("the demo does not print %s:\n%s", pattern, out.String())
		return nil
	}
	m := wait(`mail client   smtp://(\S+) (?s:.*)queue list --state all --config (\S+relay\.yaml)`)
	err := smtp.SendMail(m[1], nil, "visitor@contoso.test", []string{"anna@example.test"}, []byte("Subject: hello there\r\n\r\ntext\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	page := wait(`"hello there" from visitor@contoso\.test to anna@example\.test\n +POST (?s:.*)/send (?s:.*)(http://\S+/message\?\S+)\n`)[1]
	for _, url := range []string{page, wait(`console +(http://\S+)`)[1]} {
		reply, err := (&http.Client{Jar: jar}).Get(url)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(reply.Body)
		reply.Body.Close()
		if url == page && !strings.Contains(string(body), "<h1>hello there</h1>") || reply.StatusCode != http.StatusOK || strings.Contains(reply.Request.URL.Path, "sign-in") {
			t.Errorf("%s: %s at %s\n%s", url, reply.Status, reply.Request.URL, body)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
