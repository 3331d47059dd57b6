package sendtest_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"graphrelay/graph/simulator"
	"graphrelay/internal/testcert"
	"graphrelay/relay/config"
	"graphrelay/relay/sendtest"
	"graphrelay/test/inprocess"
)

const password = "pass-word"

// start starts a relay with a listener of each kind.
func start(t *testing.T, o simulator.Options, more string) (*config.Config, *simulator.Simulator) {
	t.Helper()
	sim, url := inprocess.Simulate(t, o)
	dir := t.TempDir()
	key := testcert.NewKey(t)
	testcert.WriteKey(t, filepath.Join(dir, "relay.key"), key)
	testcert.WriteCert(t, filepath.Join(dir, "relay.crt"), testcert.SelfSigned(t, &x509.Certificate{NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"relay.test"}}, key))
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`
hostname: relay.test
listeners:
  - {name: devices, address: "0.0.0.0:%d", auth: none, networks: [10.99.0.0/16]}
  - {name: submission, address: "127.0.0.1:%d", tls: starttls}
  - {name: submissions, address: "127.0.0.1:%d", tls: implicit}
  - {name: local, address: "127.0.0.1:%d", auth: none}
users:
  - {name: crm, password_hash: %q, senders: ["*@contoso.test", crm@contoso.test]}
tls: {cert_file: relay.crt, key_file: relay.key}
connections:
  - name: contoso
    tenant: contoso.test
    client_id: 3c2b7f6e-5d44-4b1a-8f0e-6a7d9c8b4e22
    client_secret: simulated
    domains: [contoso.test]
    directory: off
    endpoints: {login: %q, graph: %[6]q}
    %s
admin: {address: "localhost:0"}
`, append(ports(t, 4), string(hash), url, more)...)
	path := filepath.Join(dir, "relay.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	inprocess.Run(t, cfg, io.Discard)
	return cfg, sim
}

func ports(t *testing.T, n int) (all []any) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp4", "0.0.0.0:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		all = append(all, l.Addr().(*net.TCPAddr).Port)
	}
	return all
}

// TestStory sends by each listener that takes mail from this machine, and finds the message.
func TestStory(t *testing.T) {
	cfg, sim := start(t, simulator.Options{}, "")
	for listener, user := range map[string]string{"": "", "submission": "crm", "submissions": "crm"} {
		var out bytes.Buffer
		o := sendtest.Options{Config: cfg, To: "bob@example.test", Listener: listener, User: user, Wait: time.Minute, Out: &out,
			Password: func() (string, error) { return password, nil }}
		if user == "" {
			o.From = "anna@contoso.test"
		}
		if err := sendtest.Run(t.Context(), o); err != nil {
			t.Errorf("%s: %v\n%s", listener, err, out.String())
			continue
		}
		at := -1
		for _, want := range []string{"connected: listener ", "accepted: 250 2.0.0 queued as ", "draft", "attached", "send accepted", "  sent\n", "found in Sent Items of "} {
			i := strings.Index(out.String(), want)
			if i <= at {
				t.Errorf("%s: the output has no %q in its place:\n%s", listener, want, out.String())
			}
			at = i
		}
		if strings.Contains(out.String(), password) {
			t.Error("the output shows the password")
		}
	}
	if n := len(sim.Ledger()); n != 3 {
		t.Errorf("%d messages were sent", n)
	}
}

// TestNoStory checks what is said of a message that does not get there.
func TestNoStory(t *testing.T) {
	cfg, sim := start(t, simulator.Options{}, "")
	wrong := func() (string, error) { return "wrong", nil }
	run := func(o sendtest.Options) (string, error) {
		var out bytes.Buffer
		o.Config, o.Out = cfg, &out
		if o.Wait == 0 {
			o.Wait = time.Minute
		}
		err := sendtest.Run(t.Context(), o)
		return out.String(), err
	}
	for want, o := range map[string]sendtest.Options{
		"is no mail address":             {To: "bob", From: "anna@contoso.test"},
		"name a sender with --from":      {To: "bob@example.test"},
		"does not have 127.0.0.1 in its": {To: "bob@example.test", From: "anna@contoso.test", Listener: "devices"},
		"asks for a password; give":      {To: "bob@example.test", From: "anna@contoso.test", Listener: "submission"},
		"takes no password":              {To: "bob@example.test", From: "anna@contoso.test", Listener: "local", User: "crm"},
		"no listener has the name":       {To: "bob@example.test", From: "anna@contoso.test", Listener: "lokal"},
		"sign in as crm: 535":            {To: "bob@example.test", From: "anna@contoso.test", User: "crm", Password: wrong},
		"no password was given":          {To: "bob@example.test", From: "anna@contoso.test", User: "crm", Password: func() (string, error) { return "", errors.New("no password was given") }},
		"No mailbox sends for":           {To: "bob@example.test", From: "anna@elsewhere.test"},
	} {
		out, err := run(o)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if want == "no password was given" && out != "" {
			t.Errorf("without a password: %s", out)
		}
	}
	if _, err := sim.AddFault(simulator.Fault{Operation: simulator.OpCreate, Status: 503}); err != nil {
		t.Fatal(err)
	}
	out, err := run(sendtest.Options{To: "bob@example.test", From: "anna@contoso.test", Wait: time.Second})
	if !errors.Is(err, sendtest.ErrNotSent) || !strings.Contains(out, "deferred until") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestNotLookedFor says why the message is not looked for where that is not possible.
func TestNotLookedFor(t *testing.T) {
	for more, want := range map[string]string{"mail_readwrite: false": "may only send", "sent_items: false": "no copies are kept"} {
		cfg, _ := start(t, simulator.Options{}, more)
		var out bytes.Buffer
		err := sendtest.Run(t.Context(), sendtest.Options{Config: cfg, To: "bob@example.test", From: "anna@contoso.test", Wait: time.Minute, Out: &out})
		if err != nil || !strings.Contains(out.String(), "not looked for in Sent Items: ") || !strings.Contains(out.String(), want) {
			t.Errorf("%s: %v\n%s", more, err, out.String())
		}
	}
}
