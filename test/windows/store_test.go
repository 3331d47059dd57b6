package windows

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/internal/testcert"
	"graphrelay/test/harness"
)

// store has a relay serve STARTTLS with a certificate in the store of the machine, and renews it there.
func (w *wine) store(t *testing.T) {
	root := testcert.NewAuthority(t)
	issuer := root.Intermediate("between")
	issue := func(end time.Duration) *x509.Certificate {
		return issuer.Sign(&x509.Certificate{Subject: pkix.Name{CommonName: "relay.test"}, DNSNames: []string{"relay.test"}, NotAfter: time.Now().Add(end)}, testcert.RSAKey(t).Public())
	}
	first, second := issue(60*24*time.Hour), issue(90*24*time.Hour)
	program := filepath.Join(w.dir, "import.exe")
	w.build(t, program, "test", "-c", "./internal/certstore")
	put := func(c *x509.Certificate) {
		t.Helper()
		dir := t.TempDir()
		testcert.WriteCert(t, filepath.Join(dir, "leaf.crt"), c)
		testcert.WriteCert(t, filepath.Join(dir, "intermediate.crt"), issuer.Cert)
		testcert.WriteKey(t, filepath.Join(dir, "leaf.key"), testcert.RSAKey(t))
		cmd := w.command("wine", program, "-test.v", "-test.run=^TestImport$")
		cmd.Env = append(cmd.Env, "GRAPHRELAY_TEST_IMPORT=Z:"+strings.ReplaceAll(dir, "/", `\`))
		if got := result(t, cmd); got.Status != 0 || !strings.Contains(got.Stdout, "--- PASS: TestImport") {
			t.Fatalf("import: %+v", got)
		}
	}
	put(first)

	sim := harness.ServeSim(t, simulator.Options{})
	r := harness.NewRelay(t, sim, harness.Replace("  cert_file: relay.crt\n  key_file: relay.key\n", "  certificate_store: {subject: relay.test}\n"))
	r.Use(w.wrapper)
	if got := w.run(t, "check", "--config", r.Config); got.Status != 0 {
		t.Errorf("check: %+v", got)
	}
	r.Start(t)
	shown := func() []*x509.Certificate {
		t.Helper()
		c, err := smtp.Dial(r.Address["submission"])
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.StartTLS(&tls.Config{RootCAs: root.Pool, ServerName: "relay.test"}); err != nil {
			t.Fatal(err)
		}
		if err := c.Noop(); err != nil {
			t.Error(err)
		}
		state, _ := c.TLSConnectionState()
		return state.PeerCertificates
	}
	if got := shown(); len(got) != 2 || !got[0].Equal(first) || !got[1].Equal(issuer.Cert) {
		t.Errorf("the relay shows %d certificates, the first with the serial number %s", len(got), got[0].SerialNumber)
	}
	const expires = `graphrelay_tls_certificate_expiry_timestamp_seconds{listener="submission"}`
	if got := r.Metric(t, expires); got != float64(first.NotAfter.Unix()) {
		t.Errorf("expires at %v by the metric", got)
	}
	put(second)
	harness.WaitFor(t, "the renewed certificate", func() bool { return shown()[0].Equal(second) })
	if got := r.Metric(t, expires); got != float64(second.NotAfter.Unix()) {
		t.Errorf("after the renewal, expires at %v by the metric", got)
	}
	w.storeFaults(t, r)
}

// storeFaults has check look for a certificate that is not there, and for one to sign in with, whose key Wine cannot
// use as Entra wants it.
func (w *wine) storeFaults(t *testing.T, r *harness.Relay) {
	text := harness.ReadFile(t, r.Config)
	for name, c := range map[string]struct{ old, new, want string }{
		"missing": {"subject: relay.test", "subject: other.test", `tls.certificate_store: finds no certificate with the subject other.test in LocalMachine\My, which has CN=`},
		"Entra":   {"    client_secret: simulated ", "    sign_in: certificate\n    certificate_store: {subject: CN=relay.test} ", `connections[0].certificate_store: names a certificate whose key cannot sign with RSA-PSS, which the sign-in needs`},
	} {
		changed := strings.Replace(text, c.old, c.new, 1)
		if changed == text {
			t.Fatalf("%s: the configuration lacks %q", name, c.old)
		}
		path := filepath.Join(r.Dir, "store.yaml")
		if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := w.run(t, "check", "--config", path); got.Status == 0 || !strings.Contains(got.Stdout+got.Stderr, c.want) {
			t.Errorf("%s: %+v, want %q", name, got, c.want)
		}
	}
}
