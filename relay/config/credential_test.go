package config

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/internal/testcert"

	"software.sslmate.com/src/go-pkcs12"
)

func newRSA(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newLeaf(t *testing.T, key crypto.Signer, begin, end time.Time) *x509.Certificate {
	t.Helper()
	return testcert.SelfSigned(t, &x509.Certificate{Subject: pkix.Name{CommonName: "graphrelay"}, NotBefore: begin, NotAfter: end}, key)
}

func certPEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func TestClientCertificate(t *testing.T) {
	now := time.Now()
	year, past := now.AddDate(1, 0, 0), now.AddDate(-1, 0, 0)
	key, other := newRSA(t, 2048), newRSA(t, 2048)
	t.Setenv("GODEBUG", "rsa1024min=0")
	weak := newRSA(t, 1024)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := newLeaf(t, key, past, year)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	curve8, err := x509.MarshalPKCS8PrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	keyPEM1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	otherPEM := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(other)})
	weakPEM := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(weak)})
	curvePEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: curve8})
	encrypted := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")})
	authority := newLeaf(t, other, past, year)
	pfx := func(e *pkcs12.Encoder, k any) []byte {
		data, err := e.Encode(k, good, []*x509.Certificate{authority}, "pass-word")
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	both := func(parts ...[]byte) []byte { return slices.Concat(parts...) }
	const password = "\n    certificate_password: pass-word"
	for _, tt := range []struct {
		name        string
		file, key   []byte
		more        string
		fault, warn string
		chain       int
	}{
		{name: "PKCS#8 in one file", file: both(certPEM(good), keyPEM), chain: 1},
		{name: "key first, PKCS#1, chain", file: both(keyPEM1, certPEM(good), certPEM(authority)), chain: 2},
		{name: "key in its file", file: certPEM(good), key: keyPEM, chain: 1},
		{name: "modern PFX", file: pfx(pkcs12.Modern2023, key), more: password, chain: 2},
		{name: "legacy PFX", file: pfx(pkcs12.LegacyDES, key), more: password, chain: 2},
		{name: "wrong password", file: pfx(pkcs12.Modern2023, key), more: "\n    certificate_password: other", fault: "does not open"},
		{name: "no password", file: pfx(pkcs12.Modern2023, key), fault: "does not open"},
		{name: "PFX of another key", file: pfx(pkcs12.Modern2023, other), more: password, fault: "does not belong"},
		{name: "PFX and a key", file: pfx(pkcs12.Modern2023, key), key: keyPEM, more: password, fault: "certificate_key_file: is given, but"},
		{name: "PEM and a password", file: both(certPEM(good), keyPEM), more: password, fault: "to which certificate_password does not apply"},
		{name: "no key", file: certPEM(good), fault: "cannot be used"},
		{name: "another key", file: certPEM(good), key: otherPEM, fault: "certificate_key_file: names a file that cannot be used (private key does not match"},
		{name: "encrypted key", file: both(certPEM(good), encrypted), fault: "openssl pkey"},
		{name: "no PEM, no PFX", file: []byte("hidden-value"), fault: "neither PEM nor a PFX"},
		{name: "short key", file: both(certPEM(newLeaf(t, weak, past, year)), weakPEM), fault: "1024 bits"},
		{name: "ECDSA", file: both(certPEM(newLeaf(t, curve, past, year)), curvePEM), fault: "ECDSA key"},
		{name: "expired", file: both(certPEM(newLeaf(t, key, past, now.Add(-time.Hour))), keyPEM), warn: "expired on", chain: 1},
		{name: "not yet valid", file: both(certPEM(newLeaf(t, key, now.Add(48*time.Hour), year)), keyPEM), warn: "is not valid before", chain: 1},
		{name: "soon", file: both(certPEM(newLeaf(t, key, past, now.Add(10*24*time.Hour+time.Hour))), keyPEM), warn: "in 10 days; register a new one", chain: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			write(t, "app.pem", tt.file)
			if tt.key != nil {
				write(t, "app.key", tt.key)
				tt.more += "\n    certificate_key_file: app.key"
			}
			write(t, "relay.yaml", []byte(certificateConfig+tt.more+"\n"))
			cfg, err := Load("relay.yaml")
			if tt.fault != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fault) || strings.Contains(err.Error(), "hidden-value") || strings.Contains(err.Error(), "pass-word") {
					t.Errorf("%v, want %q", err, tt.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c := cfg.Connections[0].Certificate
			if len(c.Certificate) != tt.chain || !key.PublicKey.Equal(c.Leaf.PublicKey) || !key.Equal(c.PrivateKey) {
				t.Errorf("%d certificates", len(c.Certificate))
			}
			warnings := strings.Join(cfg.Warnings(), "\n")
			if !strings.Contains(warnings, tt.warn) || tt.warn == "" && warnings != "" {
				t.Errorf("warnings %q, want %q", warnings, tt.warn)
			}
		})
	}
}

const certificateConfig = `listeners: [{name: a, address: "127.0.0.1:25", auth: none, networks: [127.0.0.0/8]}]
connections:
  - name: contoso
    sign_in: certificate
    tenant: 8f1d9a54-0c0e-4e0b-9a3c-5b1f3f0c2a11
    client_id: 3c2b7f6e-5d44-4b1a-8f0e-6a7d9c8b4e22
    domains: [contoso.test]
    certificate_file: app.pem`

func TestExpiryNotice(t *testing.T) {
	var day Date
	if err := day.UnmarshalText([]byte("2027-03-31")); err != nil {
		t.Fatal(err)
	}
	c := Connection{Name: "contoso", ClientSecretExpires: day}
	for now, want := range map[string]string{
		"2027-02-28": "",
		"2027-03-02": "the client secret of connection contoso expires on 2027-03-31, in 29 days; create a new one in the Entra admin center",
		"2027-03-31": "the client secret of connection contoso expired on 2027-03-31; create a new one",
	} {
		at, err := time.Parse(time.DateOnly, now)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.ExpiryNotice(at); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("on %s: %q", now, got)
		}
	}
	if got := (&Connection{}).ExpiryNotice(time.Now()); got != "" {
		t.Errorf("no date: %q", got)
	}
}

// A key may come from where systemd puts the credentials of a service.
func TestTokenKeyOfSystemd(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("CREDENTIALS_DIRECTORY", t.TempDir())
	const key = "EHq8pkIS0zXBqH2rUY1iHwxpV9Ejh5XzWzA2lfoXd3M="
	write(t, filepath.Join(os.Getenv("CREDENTIALS_DIRECTORY"), "token.key"), []byte(key+"\n"))
	write(t, "relay.yaml", []byte(`
listeners: [{name: a, address: "127.0.0.1:25", auth: none, networks: [127.0.0.0/8]}]
connections:
  - name: owners
    sign_in: delegated
    tenant: 8f1d9a54-0c0e-4e0b-9a3c-5b1f3f0c2a11
    client_id: 3c2b7f6e-5d44-4b1a-8f0e-6a7d9c8b4e22
    domains: [contoso.test]
mailboxes: {token_key_credential: token.key}
`))
	cfg, err := Load("relay.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if keys := cfg.Mailboxes.Keys(); len(keys) != 1 || base64.StdEncoding.EncodeToString(keys[0]) != key {
		t.Errorf("%d keys", len(keys))
	}
}

// A certificate's file may have the authority's certificate before the server's.
func TestCertificateOrder(t *testing.T) {
	authority := testcert.NewAuthority(t)
	key := testcert.NewKey(t)
	leaf := authority.Server(key, time.Time{})
	root := authority.Cert
	other := testcert.NewAuthority(t).Cert
	dir := t.TempDir()
	files := TLS{CertFile: filepath.Join(dir, "relay.crt"), KeyFile: filepath.Join(dir, "relay.key")}
	testcert.WriteKey(t, files.KeyFile, key)
	for name, tt := range map[string]struct{ file, want []*x509.Certificate }{
		"in order":        {[]*x509.Certificate{leaf, root}, []*x509.Certificate{leaf, root}},
		"authority first": {[]*x509.Certificate{root, leaf}, []*x509.Certificate{leaf, root}},
		"others between":  {[]*x509.Certificate{other, root, leaf}, []*x509.Certificate{leaf, root, other}},
		"none fits":       {[]*x509.Certificate{root, other}, nil},
	} {
		for _, encode := range []func([]byte) []byte{func(b []byte) []byte { return b }, asUTF16} {
			write(t, files.CertFile, encode(encodePEM(tt.file)))
			pair, err := LoadKeyPair(files, nil)
			r := newReport("relay.yaml")
			checked := checkKeyPair("tls", files, r)
			if tt.want == nil {
				if err == nil || r.err() == nil || !strings.Contains(r.err().Error(), "does not belong to the certificate") {
					t.Errorf("%s: %v, %v", name, err, r.err())
				}
				continue
			}
			if err != nil || r.err() != nil || !checked.Equal(leaf) || len(pair.Certificate) != len(tt.want) {
				t.Fatalf("%s: %d certificates, %v, %v", name, len(pair.Certificate), err, r.err())
			}
			for i, c := range tt.want {
				if !bytes.Equal(pair.Certificate[i], c.Raw) {
					t.Errorf("%s: certificate %d is another", name, i)
				}
			}
		}
	}
}

// asUTF16 encodes ASCII as PowerShell does.
func asUTF16(text []byte) []byte {
	data := []byte("\xff\xfe")
	for _, b := range text {
		data = append(data, b, 0)
	}
	return data
}

// Secrets in files that Windows programs wrote are read as they are meant, or refused.
func TestSecretFromWindows(t *testing.T) {
	const key = "connections[0]"
	const variable = "GRAPHRELAY_TEST_SECRET"
	t.Setenv(variable, "\ufeffsimulated\r\n") // as PowerShell reads a file
	c := &Connection{ClientSecretEnv: variable}
	if readSecret(c.clientSecret(), key, newReport("relay.yaml")); c.ClientSecret.Reveal() != "simulated" {
		t.Errorf("from the environment: %q", c.ClientSecret.Reveal())
	}
	for content, want := range map[string]string{
		"\xef\xbb\xbfsimulated\r\n": "simulated", string(asUTF16([]byte("simulated\r\n"))): "simulated", "simulated\n": "simulated",
		string(asUTF16([]byte("simulated"))[2:]): "UTF-16 that cannot be read", "\xef\xbb\xbf\r\n": "names an empty file", string(asUTF16(nil)): "names an empty file",
	} {
		path := filepath.Join(t.TempDir(), "secret")
		write(t, path, []byte(content))
		for _, s := range []secretSource{(&Connection{ClientSecretFile: path}).clientSecret(), (&Connection{ProxyPasswordFile: path}).proxyPassword(),
			(&Connection{CertificatePasswordFile: path}).certificatePassword(), (&Mailboxes{TokenKeyFile: path}).tokenKey()} {
			r := newReport("relay.yaml")
			readSecret(s, key, r)
			got := s.value.Reveal()
			if err := r.err(); err != nil {
				got = err.Error()
			}
			if !strings.Contains(got, want) || want == "simulated" && got != want {
				t.Errorf("%s from %q: %q, want %q", s.name, content, got, want)
			}
		}
	}
}
