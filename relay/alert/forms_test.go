package alert

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graphrelay/internal/text"
	"graphrelay/relay/attention"
	"graphrelay/relay/queue"
)

var update = flag.Bool("update", false, "write the expected files")

// hostile is an incident whose texts come from an enemy.
func hostile(closed bool) *Incident {
	at := time.Date(2026, 11, 30, 14, 0, 0, 0, time.UTC)
	i := &Incident{Ref: "K7QMD2", Opened: at.Add(time.Minute), Condition: attention.Condition{
		ID: "MailboxPaused", Subject: "contoso\r\nBcc: eve@evil.test\r\n\r\n", Severity: attention.Critical, Since: at,
		Summary: "Mailboxes are paused",
		Cause:   "The lane contoso/<b>müller</b>@contoso.test is paused: [click](https://evil.test) <!channel> <@U1> *bold* \u202egpj.exe\r\n.\r\nMAIL FROM:<x>",
		Remedy:  "Resume it: graphrelay queue resume contoso/scanner@contoso.test.", Command: "graphrelay queue lanes",
		Value: 12, Count: 12, Examples: []string{"contoso/a@contoso.test", "</script><script>alert(1)</script>"},
	}}
	if closed {
		i.Closed = at.Add(90 * time.Minute)
	}
	return i
}

// TestForms compares what channels get with files in testdata, whose lines are checked by people.
func TestForms(t *testing.T) {
	s := &Settings{Host: "relay.contoso.test", PerHour: 20}
	now := time.Date(2026, 11, 30, 15, 30, 0, 0, time.UTC)
	notices := map[string]notice{
		"opened": noticeOf(s, hostile(false), now), "closed": noticeOf(s, hostile(true), now),
		"summary": summaryOf(s, []entry{{Incident: hostile(false)}, {Incident: hostile(true)}}, now), "test": testNotice(s, now),
	}
	for name, n := range notices {
		for _, form := range []string{"json", "teams", "slack"} {
			body, err := n.body(form)
			if err != nil {
				t.Fatal(err)
			}
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, body, "", "  "); err != nil {
				t.Fatal(err)
			}
			golden(t, name+"."+form, pretty.Bytes())
		}
		golden(t, name+".eml", bytes.ReplaceAll(n.mail([]string{"ops@contoso.test", "night@contoso.test"}, "relay@contoso.test"), []byte("\r\n"), []byte("\n")))
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s, %v:\n%s", name, err, got)
	}
}

// TestMailIsSafe: whatever an incident says, its mail has the header that the relay gives it, and
// lines that SMTP and RFC 5322 allow.
func TestMailIsSafe(t *testing.T) {
	i := hostile(false)
	i.Subject, i.Cause = strings.Repeat("\r\nBcc: eve@evil.test\u2028ü", 40), strings.Repeat("x\n.\r\n", 300)
	n := noticeOf(&Settings{Host: "relay.contoso.test"}, i, time.Now())
	m := submission(n, Channel{Name: "operators", To: []string{"ops@contoso.test"}}, laneA, "ID")
	msg, err := mail.ReadMessage(bytes.NewReader(m.Body))
	if err != nil {
		t.Fatal(err)
	}
	for name := range msg.Header {
		if !strings.Contains(" From To Subject Date Message-Id Importance Auto-Submitted X-Graphrelay-Alert Mime-Version Content-Type Content-Transfer-Encoding ", " "+name+" ") {
			t.Errorf("a field %s: %s", name, msg.Header.Get(name))
		}
	}
	for line := range bytes.Lines(m.Body) {
		if len(line) > 998 || !bytes.HasSuffix(line, []byte("\r\n")) && bytes.Contains(line, []byte("\n")) || string(line) == ".\r\n" {
			t.Errorf("line %q", line)
		}
	}
	if !m.Quiet() || m.Envelope.From != "" || strings.ContainsAny(m.Subject, "\r\n") {
		t.Errorf("%+v", m.Entry)
	}
}

// TestQuiet: no other mail is taken for an alert.
func TestQuiet(t *testing.T) {
	never := queue.DSN{Recipients: map[string]queue.RecipientDSN{"a@contoso.test": {Notify: []string{"NEVER"}}}}
	for name, e := range map[string]queue.Entry{
		"a bounce":   {Envelope: queue.Envelope{To: []string{"a@contoso.test"}}},
		"a client's": {Client: "192.0.2.1", Envelope: queue.Envelope{To: []string{"a@contoso.test"}, DSN: never}},
		"a sender's": {Envelope: queue.Envelope{From: "b@contoso.test", To: []string{"a@contoso.test"}, DSN: never}},
		"one asks":   {Envelope: queue.Envelope{To: []string{"a@contoso.test", "b@contoso.test"}, DSN: never}},
		"nobody's":   {},
	} {
		if e.Quiet() {
			t.Errorf("%s is quiet", name)
		}
	}
}

// TestSignature checks a request as docs/alerts.md says.
func TestSignature(t *testing.T) {
	key := bytes.Repeat([]byte("k"), 32)
	var got http.Header
	var body []byte
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = r.Header
		body, _ = io.ReadAll(r.Body)
	}))
	defer s.Close()
	n := testNotice(&Settings{Host: "relay.test"}, time.Now())
	if _, err := post(t.Context(), Channel{URL: s.URL, Key: key}, n); err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", got.Get("webhook-id"), got.Get("webhook-timestamp"), body)
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); got.Get("webhook-signature") != want || got.Get("webhook-id") != n.key() || got.Get("Content-Type") != "application/json" {
		t.Errorf("%v, want %s", got, want)
	}
	if _, err := post(t.Context(), Channel{URL: s.URL}, n); err != nil || got.Get("webhook-signature") != "" {
		t.Errorf("%v, %v", got, err)
	}
}

// TestWebhookTrust: no redirect is followed, a certificate that is not trusted ends the request, an
// answer is read to a bound, and no error shows the URL.
func TestWebhookTrust(t *testing.T) {
	elsewhere := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	defer other.Close()
	redirect := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer redirect.Close()
	flood := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	}))
	defer flood.Close()
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	n := testNotice(&Settings{Host: "relay.test"}, time.Now())
	for name, tt := range map[string]struct{ url, want string }{
		"redirect":      {redirect.URL, "the answer is 307 Temporary Redirect"},
		"flood":         {flood.URL, ""},
		"not trusted":   {secure.URL, "certificate"},
		"closed":        {closed.URL, "refused"},
		"no URL":        {"https://%zz", "cannot be used"},
		"wrong address": {"https://no-such-host.invalid", ""},
	} {
		_, err := post(t.Context(), Channel{URL: tt.url + "/secret-token?sig=secret-token"}, n)
		switch {
		case name == "flood" && err != nil:
			t.Errorf("%s: %v", name, err)
		case name == "flood":
		case err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret-token"):
			t.Errorf("%s: %v", name, err)
		}
	}
	if elsewhere != 0 {
		t.Errorf("%d requests went elsewhere", elsewhere)
	}
	if err := withoutURL(&url.Error{Op: "Post", URL: "secret-token", Err: io.EOF}); text.IsASCII(err.Error()) && strings.Contains(err.Error(), "secret-token") {
		t.Error(err)
	}
}
