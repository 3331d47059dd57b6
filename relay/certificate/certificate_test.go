package certificate

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graphrelay/internal/testcert"
	"graphrelay/relay/config"
)

// certificateRig is a pair of files, and what was logged about it.
type certificateRig struct {
	*testing.T
	*testcert.Authority
	files config.TLS
	cert  *Certificate
	log   *bytes.Buffer
}

func newCertificateRig(t *testing.T, end time.Time) *certificateRig {
	t.Helper()
	dir := t.TempDir()
	r := &certificateRig{T: t, Authority: testcert.NewAuthority(t), log: &bytes.Buffer{},
		files: config.TLS{CertFile: filepath.Join(dir, "relay.crt"), KeyFile: filepath.Join(dir, "relay.key")}}
	key := testcert.NewKey(t)
	testcert.WriteCert(t, r.files.CertFile, r.Server(key, end))
	testcert.WriteKey(t, r.files.KeyFile, key)
	cert, err := load(r.files, slog.New(slog.NewTextHandler(r.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	r.cert = cert
	return r
}

// session is both ends of a TLS connection.
type session struct{ client, server *tls.Conn }

func (r *certificateRig) session() session {
	r.Helper()
	t, err := ListenerTLS(config.Listener{TLSMin: config.TLS12}, r.cert)
	if err != nil {
		r.Fatal(err)
	}
	here, there := net.Pipe()
	s := session{tls.Client(here, &tls.Config{RootCAs: r.Pool, ServerName: "relay.test"}), tls.Server(there, t)}
	r.Cleanup(func() { _, _ = here.Close(), there.Close() })
	done := make(chan error, 1)
	go func() { done <- s.server.Handshake() }()
	if err := s.client.Handshake(); err != nil {
		r.Fatal(err)
	}
	if err := <-done; err != nil {
		r.Fatal(err)
	}
	s.works(r.T)
	return s
}

func (s session) shown() *x509.Certificate { return s.client.ConnectionState().PeerCertificates[0] }

func (s session) works(t *testing.T) {
	t.Helper()
	go func() { _, _ = s.client.Write([]byte("NOOP\r\n")) }()
	got := make([]byte, 6)
	if n, err := s.server.Read(got); err != nil || string(got[:n]) != "NOOP\r\n" {
		t.Fatalf("read %q, %v", got[:n], err)
	}
}

// TestRenewal replaces the files in the ways that happen. A step is what is on the
// disk when the relay looks.
func TestRenewal(t *testing.T) {
	r := newCertificateRig(t, time.Time{})
	first := r.session()
	old := first.shown()
	key := testcert.NewKey(t)
	renewed := r.Server(key, time.Time{})
	second := testcert.NewKey(t)
	again := r.Server(second, time.Time{})
	for _, step := range []struct {
		what     string
		change   func()
		want     *x509.Certificate
		errors   int // logged in all
		renewals int
	}{
		{"nothing", func() {}, old, 0, 0},
		{"the certificate alone", func() { testcert.WriteCert(t, r.files.CertFile, renewed) }, old, 0, 0},
		{"and its key", func() { testcert.WriteKey(t, r.files.KeyFile, key) }, renewed, 0, 1},
		{"nothing more", func() {}, renewed, 0, 1},
		{"a broken certificate", func() { writeFile(t, r.files.CertFile, "-----BEGIN CERT") }, renewed, 0, 1},
		{"a broken certificate, again", func() {}, renewed, 1, 1},
		{"a broken certificate, for long", func() {}, renewed, 1, 1},
		{"no key", func() { remove(t, r.files.KeyFile) }, renewed, 1, 1},
		{"no key, again", func() { testcert.WriteCert(t, r.files.CertFile, again) }, renewed, 2, 1},
		{"the key of another", func() { testcert.WriteKey(t, r.files.KeyFile, key) }, renewed, 2, 1},
		{"the key", func() { testcert.WriteKey(t, r.files.KeyFile, second) }, again, 2, 2},
		{"the certificate alone, after all that", func() { testcert.WriteCert(t, r.files.CertFile, renewed) }, again, 2, 2},
	} {
		step.change()
		r.cert.renew()
		if !r.session().shown().Equal(step.want) {
			t.Errorf("%s: a new session sees another certificate", step.what)
		}
		if got := strings.Count(r.log.String(), "level=ERROR"); got != step.errors {
			t.Errorf("%s: %d errors are logged, want %d:\n%s", step.what, got, step.errors, r.log)
		}
		if got := strings.Count(r.log.String(), "certificate renewed"); got != step.renewals {
			t.Errorf("%s: %d renewals are logged, want %d:\n%s", step.what, got, step.renewals, r.log)
		}
		first.works(t)
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// The admin address has a certificate of its own, which is renewed with those of the listeners.
func TestAdminCertificate(t *testing.T) {
	r := newCertificateRig(t, time.Time{})
	cfg := &config.Config{Admin: config.Admin{TLS: config.AdminTLS{CertFile: r.files.CertFile, KeyFile: r.files.KeyFile, TLSMin: config.TLS13}}}
	list, err := Load(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	settings := list.AdminTLS(cfg.Admin)
	shown := func() *x509.Certificate {
		c, err := settings.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return c.Leaf
	}
	old, key := shown(), testcert.NewKey(t)
	testcert.WriteCert(t, r.files.CertFile, r.Server(key, time.Time{}))
	testcert.WriteKey(t, r.files.KeyFile, key)
	for _, c := range list {
		c.renew()
	}
	if shown().Equal(old) || settings.MinVersion != tls.VersionTLS13 {
		t.Errorf("the certificate is the old one, or the least version %x", settings.MinVersion)
	}
	if none, err := Load(&config.Config{}, slog.New(slog.DiscardHandler)); err != nil || none.AdminTLS(config.Admin{}) != nil {
		t.Errorf("without files: %v", err)
	}
}

// A certificate that nobody renews is warned of once a day from 14 days before its end.
func TestReminder(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Now()
	r := newCertificateRig(t, now.Add(20*day))
	for _, step := range []struct {
		after    time.Duration
		warnings int
	}{{0, 0}, {2 * day, 0}, {7 * day, 1}, {7*day + time.Hour, 1}, {8 * day, 2}, {25 * day, 3}} {
		r.cert.remind(now.Add(step.after))
		if got := strings.Count(r.log.String(), "level=WARN"); got != step.warnings {
			t.Errorf("after %s: %d warnings, want %d", step.after, got, step.warnings)
		}
	}
}

// A key that cannot sign with RSA-PSS is used up to TLS 1.2, until a renewal brings another one.
func TestKeyWithoutPSS(t *testing.T) {
	r := newCertificateRig(t, time.Time{})
	key := testcert.RSAKey(t)
	limited := &tls.Certificate{Certificate: [][]byte{r.Server(key, time.Time{}).Raw}, PrivateKey: key, SupportedSignatureAlgorithms: []tls.SignatureScheme{tls.PKCS1WithSHA256}}
	before := r.cert.current.Swap(limited)
	t12 := r.session().client.ConnectionState().Version
	r.cert.current.Store(before)
	if t13 := r.session().client.ConnectionState().Version; t12 != tls.VersionTLS12 || t13 != tls.VersionTLS13 {
		t.Errorf("without RSA-PSS %s, with it %s", tls.VersionName(t12), tls.VersionName(t13))
	}
}
