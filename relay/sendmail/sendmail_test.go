package sendmail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"

	"graphrelay/mime"
)

// server is a mail server that keeps what it gets.
type server struct {
	address string
	refuse  map[string]*smtp.SMTPError // by the address, or "data"

	mu   sync.Mutex
	from string
	mail smtp.MailOptions
	to   []string
	rcpt []smtp.RcptOptions
	data string
	got  int
}

func startServer(t *testing.T) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{address: l.Addr().String(), refuse: map[string]*smtp.SMTPError{}}
	g := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{server: s}, nil }))
	g.EnableDSN, g.EnableSMTPUTF8, g.MaxMessageBytes, g.MaxLineLength = true, true, 8<<20, 1<<20
	go func() { _ = g.Serve(l) }()
	t.Cleanup(func() { _ = g.Close() })
	return s
}

type session struct {
	*server
	from string
	mail smtp.MailOptions
	to   []string
	rcpt []smtp.RcptOptions
}

func (s *session) refused(what string) error {
	if r := s.refuse[what]; r != nil {
		return r
	}
	return nil
}

func (s *session) Mail(from string, o *smtp.MailOptions) error {
	s.from, s.mail = from, *o
	return s.refused(from)
}

func (s *session) Rcpt(to string, o *smtp.RcptOptions) error {
	s.to, s.rcpt = append(s.to, to), append(s.rcpt, *o)
	return s.refused(to)
}

func (s *session) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err == nil {
		err = s.refused("data")
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.server.from, s.server.mail, s.server.to, s.server.rcpt, s.server.data = s.from, s.mail, s.to, s.rcpt, string(data)
	s.got++
	return &smtp.SMTPError{Code: 250, EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Message: "queued as 7"}
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

// home is what a call of sendmail finds.
type home struct {
	dir    string
	server string
	stdout strings.Builder
	stderr strings.Builder
}

func newHome(t *testing.T, server, settings, aliases string) *home {
	t.Helper()
	h := &home{dir: t.TempDir(), server: server}
	settings += "\naliases: " + filepath.Join(h.dir, "aliases") + "\n"
	for name, text := range map[string]string{"sendmail.yaml": settings, "aliases": aliases} {
		if err := os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func (h *home) run(message string, args ...string) error {
	h.stdout.Reset()
	h.stderr.Reset()
	return Run(context.Background(), Options{
		Args: append([]string{"-C", filepath.Join(h.dir, "sendmail.yaml")}, args...), Stdin: strings.NewReader(message), Stdout: &h.stdout, Stderr: &h.stderr,
		Getenv: func(name string) string { return map[string]string{ServerVariable: h.server}[name] },
	})
}

// wantStatus wants an error with an exit status and pieces of text.
func wantStatus(t *testing.T, err error, status int, pieces ...string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Status != status {
		t.Fatalf("got %v, want status %d", err, status)
	}
	for _, p := range pieces {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("%q lacks %q", err, p)
		}
	}
}

func TestEnvelope(t *testing.T) {
	const header = "From: Anna <anna@x.test>\nTo: Bob <bob@x.test>, root\nCc: =?utf-8?q?a=40evil.test=2C?= <cc@x.test>\nBcc: hidden@x.test\n\n"
	const again = "Resent-From: a@x.test\nResent-To: new@x.test\nResent-Bcc: new2@x.test\nReceived: by old\nResent-To: earlier@x.test\n" + header
	aliases := "root: ops@x.test,\n  Second <second@x.test>\nloop: loop, a@x.test\na: b\nb: a\npipe: |/bin/cat\nesc: \\esc\n# comment: x\n"
	for _, c := range []struct {
		settings, message, args string
		from, to                string
	}{
		{"", header, "-t -f s@x.test", "s@x.test", "bob@x.test ops@x.test second@x.test cc@x.test hidden@x.test"},
		{"", header, "-f s@x.test bob@x.test BOB@x.test", "s@x.test", "bob@x.test"},
		{"", header, "-t -f s@x.test more@x.test bob@x.test", "s@x.test", "more@x.test bob@x.test ops@x.test second@x.test cc@x.test hidden@x.test"},
		{"", again, "-t -f s@x.test", "s@x.test", "new@x.test new2@x.test"},
		{"from: box@x.test", header, "bob@x.test", "box@x.test", "bob@x.test"},
		{"from: box@x.test", header, "-f root bob@x.test", "box@x.test", "bob@x.test"},
		{"from: box@x.test", header, "-f other@x.test bob@x.test", "other@x.test", "bob@x.test"},
		{"domain: y.test", header, "-f root bob@x.test", "root@y.test", "bob@x.test"},
		{"domain: y.test", header, "-n -f <> root", "", "root@y.test"},
		{"domain: y.test", header, "-f a@x.test loop nobody esc a", "a@x.test", "loop@y.test a@x.test nobody@y.test esc@y.test a@y.test"},
	} {
		s := startServer(t)
		h := newHome(t, s.address, c.settings, aliases)
		if err := h.run(c.message, strings.Fields(c.args)...); err != nil {
			t.Errorf("%s %s: %v", c.settings, c.args, err)
			continue
		}
		if got := strings.Join(s.to, " "); s.from != c.from || got != c.to {
			t.Errorf("%s %s: from %q to %q, want from %q to %q", c.settings, c.args, s.from, got, c.from, c.to)
		}
		if blind.MatchString(s.data) {
			t.Errorf("%s: Bcc is left in\n%s", c.args, s.data)
		}
	}
}

// blind matches the header fields of hidden recipients, and the address of one.
var blind = regexp.MustCompile(`(?im)^(Resent-)?Bcc|hidden@`)

func TestHeader(t *testing.T) {
	s := startServer(t)
	h := newHome(t, s.address, "from: box@x.test", "")
	if err := h.run("just text\n\nmore\n", "-F", "Größe, \"B\"", "bob@x.test"); err != nil {
		t.Fatal(err)
	}
	got := mime.ReadHeader([]byte(s.data), limits)
	if from := got.From(); len(from) != 1 || from[0].Address != "box@x.test" || from[0].Name != `Größe, "B"` || got.Value("Date") == "" || !strings.HasSuffix(got.MessageID(), "@x.test>") {
		t.Errorf("header: %s", s.data)
	}
	if _, body, _ := strings.Cut(s.data, "\r\n\r\n"); body != "just text\r\n\r\nmore\r\n" {
		t.Errorf("body %q", body)
	}
	if err := h.run("From a@x.test Mon Nov 30\nFrom: a@x.test\nDate: then\nMessage-ID: <1@x>\nSubject: s\n\nb\n", "bob@x.test"); err != nil {
		t.Fatal(err)
	}
	if want := "From: a@x.test\r\nDate: then\r\nMessage-ID: <1@x>\r\nSubject: s\r\n\r\nb\r\n"; s.data != want {
		t.Errorf("got %q, want %q", s.data, want)
	}
}

func TestBody(t *testing.T) {
	s := startServer(t)
	h := newHome(t, s.address, "from: box@x.test", "")
	const head = "From: a@x.test\nDate: d\nMessage-ID: <1@x>\n\n"
	large := strings.Repeat(strings.Repeat("x", 5000)+"\n", 500) // more than fits into memory
	for body, want := range map[string]string{
		"a\n.\nb\n":      "a\r\n",
		"a\r\n.\r\nb":    "a\r\n",
		"a\n.":           "a\r\n",
		"..\n.x\n":       "..\r\n.x\r\n",
		"größe\n":        "größe\r\n",
		large:            strings.ReplaceAll(large, "\n", "\r\n"),
		large + ".\nb\n": strings.ReplaceAll(large, "\n", "\r\n"),
	} {
		if err := h.run(head+body, "bob@x.test"); err != nil {
			t.Fatal(err)
		}
		if _, got, _ := strings.Cut(s.data, "\r\n\r\n"); got != want {
			t.Errorf("%.40q: got %.40q", body, got)
		}
	}
	if err := h.run(head+"a\n.\nb\n", "-i", "bob@x.test"); err != nil || !strings.HasSuffix(s.data, "a\r\n.\r\nb\r\n") {
		t.Errorf("with -i: %v %q", err, s.data)
	}
	m, err := readMessage(strings.NewReader(large), false)
	if err != nil || m.memory.Cap() > 0 || m.file == nil || m.size != int64(len(large)) {
		t.Errorf("%v: a large message is kept in memory", err)
	}
	m.close()
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "graphrelay-sendmail-*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestNotifications(t *testing.T) {
	s := startServer(t)
	h := newHome(t, s.address, "from: box@x.test", "")
	if err := h.run("Subject: s\n\n", "-N", "success,delay", "-R", "hdrs", "-V", "id 7+", "-v", "größe@x.test"); err != nil {
		t.Fatal(err)
	}
	if s.mail.Return != "HDRS" || s.mail.EnvelopeID != "id 7+" || !s.mail.UTF8 || len(s.rcpt) != 1 || !slices.Equal(s.rcpt[0].Notify, []smtp.DSNNotify{"SUCCESS", "DELAY"}) {
		t.Errorf("%+v %+v", s.mail, s.rcpt)
	}
	if !strings.Contains(h.stdout.String(), "queued as 7") {
		t.Errorf("-v printed %q", h.stdout.String())
	}
}

func TestStatus(t *testing.T) {
	s := startServer(t)
	refusal := func(code, class, subject, detail int) *smtp.SMTPError {
		return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{class, subject, detail}, Message: fmt.Sprintf("answer %d", code)}
	}
	s.refuse["denied@x.test"] = refusal(550, 5, 7, 1)
	s.refuse["odd@x.test"] = refusal(501, 5, 1, 7)
	s.refuse["unknown@x.test"] = refusal(550, 5, 1, 2)
	s.refuse["later@x.test"] = refusal(452, 4, 3, 1)
	h := newHome(t, s.address, "from: box@x.test", "pipe: \"|/bin/cat\"\nmany: many2, many3\n")
	wantStatus(t, h.run("\n", "-f", "denied@x.test", "bob@x.test"), NoPerm, "answer 550", "denied@x.test")
	wantStatus(t, h.run("\n", "-f", "odd@x.test", "bob@x.test"), DataErr, "answer 501")
	wantStatus(t, h.run("\n", "-f", "later@x.test", "bob@x.test"), TempFail, "answer 452")
	wantStatus(t, h.run("\n", "bob@x.test", "unknown@x.test"), NoUser, "answer 550", "unknown@x.test")
	wantStatus(t, h.run("\n", "later@x.test"), TempFail, "answer 452")
	wantStatus(t, h.run("\n", "root"), NoUser, "root: you@example.com")
	wantStatus(t, h.run("\n", "pipe"), Config, "mail server")
	wantStatus(t, h.run("\n"), Usage, "no recipient")
	wantStatus(t, h.run("To: a@\n\n", "-t"), DataErr, "To")
	wantStatus(t, h.run("Subject: x\n\n"+strings.Repeat("x\n", 5<<20), "bob@x.test"), DataErr, "larger than the relay takes")
	s.refuse["data"] = refusal(554, 5, 6, 0)
	wantStatus(t, h.run("\n", "bob@x.test"), DataErr, "answer 554")
	s.refuse["data"] = refusal(451, 4, 3, 0)
	wantStatus(t, h.run("\n", "bob@x.test"), TempFail, "answer 451")
	if s.got != 0 {
		t.Errorf("%d messages were accepted", s.got)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.server = l.Addr().String()
	_ = l.Close()
	wantStatus(t, h.run("\n", "bob@x.test"), TempFail, "cannot be reached", h.server)
	wantStatus(t, h.run("", "-bs"), TempFail, "cannot be reached")
	if !strings.HasPrefix(h.stdout.String(), "421 ") {
		t.Errorf("-bs printed %q", h.stdout.String())
	}
	s.refuse["root@y.test"] = refusal(550, 5, 7, 1)
	h = newHome(t, s.address, "domain: y.test", "")
	wantStatus(t, h.run("\n", "-f", "root", "bob@x.test"), NoPerm, "root@y.test", "set from in ")
	h.server = "localhost"
	wantStatus(t, h.run("\n", "bob@x.test"), Config, "host and a port")
}

func TestSettings(t *testing.T) {
	for _, settings := range []string{"sever: x:25", "from: box", "from: [a]", "domain: a..b", "server: x", "root:x:0:0:secret"} {
		err := newHome(t, "", settings, "").run("\n", "bob@x.test")
		wantStatus(t, err, Config, "sendmail.yaml")
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("the file is quoted: %v", err)
		}
	}
	if err := newHome(t, "", "", "").run("", "-q"); err != nil {
		t.Error(err)
	}
	h := newHome(t, "", "", "")
	if err := h.run("", "-bi"); err != nil || !strings.Contains(h.stderr.String(), "nothing to do") {
		t.Error(err, h.stderr.String())
	}
	wantStatus(t, Run(context.Background(), Options{Args: []string{"-C", filepath.Join(t.TempDir(), "none"), "b@x.test"}, Getenv: os.Getenv}), Config)
}

func TestSession(t *testing.T) {
	s := startServer(t)
	h := newHome(t, s.address, "", "")
	if err := h.run("EHLO x\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@x.test>\r\nDATA\r\nSubject: s\r\n\r\n.\r\nQUIT\r\n", "-bs"); err != nil {
		t.Fatal(err)
	}
	if s.got != 1 || s.from != "a@x.test" || !strings.Contains(h.stdout.String(), "queued as 7") {
		t.Errorf("%d %q\n%s", s.got, s.from, h.stdout.String())
	}
}

// FuzzMessage checks that of any message no Bcc is left in the header that is sent, and that it has
// what a message has to have.
func FuzzMessage(f *testing.F) {
	for _, seed := range []string{"From: a@x\nTo: b@x\nBcc: c@x\n  d@x\n\nbody", "text", "Resent-To: a@x\nbcc : x\n\n", "From a\n>From b\nBCC:a\r\rBcc: b\n", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := readMessage(strings.NewReader(text), true)
		if err != nil {
			t.Fatal(err)
		}
		defer m.close()
		list, err := m.recipients()
		for _, a := range list {
			if err == nil && strings.ContainsAny(a, "\r\n\x00") {
				t.Fatalf("recipient %q", a)
			}
		}
		if err := m.complete("a@x.test", "A\r\nBcc: evil@x.test"); err != nil {
			t.Fatal(err)
		}
		h := mime.ReadHeader(m.head, limits)
		if h.Count("Bcc") > 0 || h.Count("Resent-Bcc") > 0 || h.Count("From") == 0 || h.Count("Date") == 0 || h.Count("Message-ID") == 0 {
			t.Fatalf("header %q", m.head)
		}
		if i := strings.Index(string(m.head), "\r\n\r\n"); i != len(m.head)-4 {
			t.Fatalf("header %q ends early", m.head)
		}
	})
}
