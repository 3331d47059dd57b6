package contract

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/smtp"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

// secretConfig has every way to sign in that involves a secret.
const secretConfig = `
hostname: relay.contoso.test
data_dir: ./data
listeners:
  - {name: submission, address: %[1]q, tls: starttls, auth: required}
tls: {cert_file: relay.crt, key_file: relay.key}
users:
  - {name: crm, password_hash: "$2a$10$/tej6ss74DEVvMI13aZpsOEeHNkMKWSM3lr9912awyjPsLoRglj4C", senders: ["*"]}
connections:
  - name: app
    tenant: 11111111-1111-1111-1111-111111111111
    client_id: 22222222-2222-2222-2222-222222222222
    client_secret_file: app.secret
    domains: [fabrikam.test]
    endpoints: {login: %[2]q, graph: %[2]q}
  - name: owners
    sign_in: delegated
    tenant: 11111111-1111-1111-1111-111111111111
    client_id: 33333333-3333-3333-3333-333333333333
    client_secret_env: GRAPHRELAY_TEST_SECRET
    domains: [contoso.test]
    endpoints: {login: %[2]q, graph: %[2]q}
mailboxes: {token_key_file: token.key}
delivery: {retry_delays: [100ms]}
admin: {address: %[3]q}
log: {level: debug}
`

// secretRig collects everything that a relay shows.
type secretRig struct {
	*testing.T
	*harness.Relay
	secrets map[string]string // by what they are
	seen    map[string][]byte // by where
}

func (s *secretRig) see(where string, what []byte) { s.seen[where] = append(s.seen[where], what...) }

func (s *secretRig) write(name, text string) {
	s.Helper()
	if err := os.WriteFile(filepath.Join(s.Dir, name), []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
}

// run runs a command and records its output.
func (s *secretRig) run(args ...string) harness.Result {
	s.Helper()
	got := harness.Command(s.T, "", append(args, "--config", s.Config)...)
	s.see(strings.Join(args, " "), []byte(got.Stdout+got.Stderr))
	return got
}

// submit sends a message without a program whose command line would show the password.
func (s *secretRig) submit(user, password, from, subject string) error {
	c, err := smtp.Dial(s.Address["submission"])
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.StartTLS(&tls.Config{InsecureSkipVerify: true, ServerName: "127.0.0.1"}); err != nil {
		return err
	}
	if err := c.Auth(smtp.PlainAuth("", user, password, "127.0.0.1")); err != nil {
		s.see("answer to AUTH", []byte(err.Error()))
		return err
	}
	if err := c.Mail(from); err != nil {
		return err
	}
	if err := c.Rcpt("bert@example.test"); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(w, "From: %s\r\nTo: bert@example.test\r\nSubject: %s\r\n\r\ntext\r\n", from, subject)
	return w.Close()
}

// connectByPage connects a mailbox in a browser and returns the SMTP password.
func (s *secretRig) connectByPage(mailbox string) string {
	s.Helper()
	jar, _ := cookiejar.New(nil)
	browser := &http.Client{Jar: jar}
	post := func(to string, form url.Values) (*http.Response, []byte) {
		resp, err := browser.PostForm(to, form)
		if err != nil {
			s.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			s.Fatal(err)
		}
		return resp, body
	}
	_, port, _ := strings.Cut(s.Address["admin"], ":")
	login, _ := post("http://localhost:"+port+"/connect", url.Values{"mailbox": {mailbox}, "user": {"1"}})
	_, page := post(login.Request.URL.String(), url.Values{"account": {mailbox}})
	password := regexp.MustCompile(`id="password">([^<]+)<`).FindSubmatch(page)
	if password == nil {
		s.Fatalf("the page has no password:\n%s", page)
	}
	s.see("page /connect", bytes.Replace(page, password[1], nil, 1)) // where it is shown once
	return string(password[1])
}

// No secret that passes through the relay appears in a log, an error, a metric, a page, a
// command's output or the arguments of a process, or in clear on the disk.
func TestSecretsStayHidden(t *testing.T) {
	const appSecret, ownersSecret, wrongSecret, crm = "Xz8Q~secret-of-the-app", "Yw7R~secret-of-the-owners", "Zv6S~secret-that-is-wrong", harness.CRMPassword
	sim := simulator.New(simulator.Options{SendDelay: -1, RevokeRotated: true, DeviceInterval: time.Second, Apps: []simulator.App{
		{ClientID: "22222222-2222-2222-2222-222222222222", Secret: appSecret},
		{ClientID: "33333333-3333-3333-3333-333333333333", Secret: ownersSecret, Confidential: true},
	}})
	server := httptest.NewServer(sim)
	t.Cleanup(func() { server.Close(); sim.Close() })
	s := &secretRig{T: t, Relay: harness.NewRelay(t, &harness.Sim{URL: server.URL}), seen: map[string][]byte{}}
	key := harness.NewTokenKey()
	s.write("token.key", key)
	s.write("app.secret", appSecret)
	s.write("relay.yaml", fmt.Sprintf(secretConfig, s.Address["submission"], server.URL, s.Address["admin"]))
	t.Setenv("GRAPHRELAY_TEST_SECRET", ownersSecret)
	t.Setenv("GRAPHRELAY_SMTP_PASSWORD", crm)
	processes := harness.WatchProcesses(t, s.Config) // other tests show their clients' passwords
	s.Start(t)

	byPage := s.connectByPage("anna@contoso.test")
	connected := s.Connect(t, "bob@contoso.test", "bob@contoso.test")
	byCommand := harness.SMTPPassword.FindStringSubmatch(connected.Stdout)
	if byCommand == nil {
		t.Fatalf("status %d: %s", connected.Status, connected.Stdout)
	}
	s.see("connect", []byte(strings.Replace(connected.Stdout, byCommand[1], "", 1)))
	for subject, as := range map[string][3]string{
		"1": {"crm", crm, "app@fabrikam.test"}, "2": {"anna@contoso.test", byPage, "anna@contoso.test"}, "3": {"bob@contoso.test", byCommand[1], "bob@contoso.test"},
	} {
		if err := s.submit(as[0], as[1], as[2], subject); err != nil {
			t.Fatal(err)
		}
	}
	harness.WaitFor(t, "three sends", func() bool { return len(sim.Sent()) == 3 })
	if err := s.submit("bob@contoso.test", byPage, "bob@contoso.test", "another's password"); err == nil {
		t.Error("another's password was taken")
	}

	// Errors are reported in more words than success.
	secrets := sim.Secrets()
	sim.RevokeTokens()
	sim.Revoke("anna@contoso.test")
	s.write("app.secret", wrongSecret)
	s.Signal(syscall.SIGHUP)
	harness.WaitFor(t, "the reload", func() bool { return strings.Contains(s.Relay.Log.String(), "configuration reloaded") })
	for subject, as := range map[string][3]string{"4": {"crm", crm, "app@fabrikam.test"}, "5": {"anna@contoso.test", byPage, "anna@contoso.test"}} {
		if err := s.submit(as[0], as[1], as[2], subject); err != nil {
			t.Fatal(err)
		}
	}
	harness.WaitFor(t, "what cannot be sent", func() bool {
		got := s.run("queue", "list", "--json")
		return strings.Contains(got.Stdout, `"not_connected"`) && strings.Contains(got.Stdout, `"sign_in"`)
	})
	for _, m := range regexp.MustCompile(`"id":"([^"]+)"`).FindAllStringSubmatch(s.run("queue", "list", "--state", "all", "--json").Stdout, -1) {
		s.run("queue", "show", m[1])
		s.run("queue", "show", m[1], "--json")
	}
	for _, args := range [][]string{{"check"}, {"check", "--online"}, {"check", "--relay"}, {"probe", "--mailbox", "app@fabrikam.test", "--wait", "1s"},
		{"send-test", "--user", "crm", "--from", "app@fabrikam.test", "--to", "bert@example.test"}, {"connect", "--list"}, {"connect", "--list", "--json"}, {"queue", "lanes"}} {
		s.run(args...)
	}
	for _, path := range []string{"/metrics", "/readyz", "/healthz", "/connect"} {
		_, body := s.Get(path)
		s.see(path, []byte(body))
	}
	s.Stop(t)
	for _, line := range processes() {
		s.see("the process list", append(line, '\n'))
	}
	s.see("log", []byte(s.Relay.Log.String()))
	s.lookAtDisk()

	s.secrets = map[string]string{"client secret": appSecret, "the owners' client secret": ownersSecret, "wrong secret": wrongSecret,
		"token key": key, "password of the page": byPage, "password of the command": byCommand[1], "password of the configuration": crm,
		"AUTH PLAIN": base64.StdEncoding.EncodeToString([]byte("\x00crm\x00" + crm))}
	for i, secret := range append(secrets, sim.Secrets()...) {
		s.secrets[fmt.Sprint("token or code ", i)] = secret
	}
	if len(s.secrets) < 14 {
		t.Errorf("only %d secrets", len(s.secrets))
	}
	for where, what := range s.seen {
		if len(what) == 0 {
			t.Errorf("nothing was seen in %s", where)
		}
		for name, secret := range s.secrets {
			if bytes.Contains(what, []byte(secret)) {
				t.Errorf("the %s is in %s", name, where)
			}
		}
	}
}

// lookAtDisk reads every file that the relay has written.
func (s *secretRig) lookAtDisk() {
	s.Helper()
	err := filepath.WalkDir(filepath.Join(s.Dir, "data"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if len(data) > 0 {
			s.see(filepath.Base(path), data)
		}
		return err
	})
	if err != nil || len(s.seen["mailboxes.db"]) == 0 || len(s.seen["queue.db"]) == 0 {
		s.Errorf("the disk: %v", err)
	}
}
