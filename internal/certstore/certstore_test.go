package certstore

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"runtime"
	"strings"
	"testing"
	"time"

	"graphrelay/internal/testcert"
)

// fake is a store in memory. It counts the keys that were opened.
type fake struct {
	entries []entry
	issuers []*x509.Certificate
	signer  crypto.Signer
	err     error
	opened  int
}

func (f *fake) read() ([]entry, []*x509.Certificate, error) { return f.entries, f.issuers, nil }

func (f *fake) key(*x509.Certificate) (crypto.Signer, error) {
	f.opened++
	return f.signer, f.err
}

const day = 24 * time.Hour

func TestChoose(t *testing.T) {
	now := time.Now()
	key := testcert.NewKey(t)
	newEntry := func(name string, begin, end time.Duration, hasKey bool, dns ...string) entry {
		c := testcert.SelfSigned(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, DNSNames: dns, NotBefore: now.Add(begin), NotAfter: now.Add(end)}, key)
		return entry{c, "CN=" + name + ", O=Contoso", hasKey}
	}
	expired := newEntry("relay.test", -90*day, -day, true)
	old := newEntry("relay.test", -60*day, 30*day, true)
	renewed := newEntry("relay.test", -day, 89*day, true)
	future := newEntry("relay.test", day, 200*day, true)
	keyless := newEntry("relay.test", -day, 300*day, false)
	other := newEntry("other.test", -day, 400*day, true, "mail.test", "*.mail.test")
	over := newEntry("over.test", -90*day, -10*day, true)
	late := newEntry("over.test", -90*day, -2*day, true)
	soon := newEntry("soon.test", day, 2*day, true)
	bare := newEntry("bare.test", -day, day, false)
	all := []entry{expired, future, old, renewed, keyless, other, late, over, soon, bare}
	for q, want := range map[Query]entry{
		{Subject: "relay.test"}:                     renewed,
		{Subject: "Relay.TEST"}:                     renewed,
		{Subject: "CN=relay.test, O=Contoso"}:       renewed,
		{Subject: "cn=relay.test,o=contoso"}:        renewed,
		{Subject: "mail.test"}:                      other,
		{Subject: "*.mail.test"}:                    other,
		{Subject: "over.test"}:                      late,
		{Subject: "soon.test"}:                      soon,
		{Thumbprint: thumbprint(old.Certificate)}:   old,
		{Thumbprint: thumbprint(over.Certificate)}:  over,
		{Thumbprint: thumbprint(other.Certificate)}: other,
	} {
		if got, err := choose(all, q, now); err != nil || got.Certificate != want.Certificate {
			t.Errorf("%s: got %v, %v, want %v", q, got.Certificate.NotAfter, err, want)
		}
	}
	for q, want := range map[Query][]string{
		{Subject: "relay"}:          {"finds no certificate with the subject relay in LocalMachine\\My, which has CN=relay.test, O=Contoso (thumbprint " + thumbprint(expired.Certificate)},
		{Subject: "smtp.mail.test"}: {"finds no certificate", "CN=bare.test, O=Contoso (thumbprint ", ", without a private key); import it there"},
		{Subject: "bare.test"}:      {"finds only CN=bare.test", "without a private key) in LocalMachine\\My; import the certificate with its key"},
		{Thumbprint: "00"}:          {"finds no certificate with the thumbprint 00"},
	} {
		_, err := choose(all, q, now)
		for _, part := range want {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: got %v, want %q", q, err, part)
			}
		}
	}
	if _, err := choose(nil, Query{Subject: "x"}, now); err == nil || !strings.Contains(err.Error(), "which has no certificates; import it there") {
		t.Errorf("an empty store: %v", err)
	}
	if _, err := choose(append(all, all...), Query{Subject: "x"}, now); err == nil || !strings.Contains(err.Error(), ", 10 more; ") {
		t.Errorf("a full store: %v", err)
	}
}

func TestParseThumbprint(t *testing.T) {
	const want = "A1B2C3D4E5F60718293A4B5C6D7E8F9001122334"
	for _, text := range []string{want, strings.ToLower(want), "\u200ea1 b2 c3 d4 e5 f6 07 18 29 3a 4b 5c 6d 7e 8f 90 01 12 23 34", "A1:B2:C3:D4:E5:F6:07:18:29:3A:4B:5C:6D:7E:8F:90:01:12:23:34"} {
		if got, err := ParseThumbprint(text); err != nil || got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", want[:38], want + "00", "G" + want[1:], strings.Repeat(want, 2)[:64]} {
		if got, err := ParseThumbprint(text); err == nil {
			t.Errorf("%q: %q", text, got)
		}
	}
}

// authority returns a certificate of an authority that issuer signed, or itself if that is nil.
func authority(t *testing.T, name string, key crypto.Signer, issuer *x509.Certificate, issuerKey crypto.Signer, end time.Time) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{SerialNumber: newSerial(t), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, NotBefore: time.Now().Add(-day), NotAfter: end}
	if issuer == nil {
		issuer, issuerKey = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, issuer, key.Public(), issuerKey)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestChain(t *testing.T) {
	now := time.Now()
	rootKey, upperKey, lowerKey, key := testcert.NewKey(t), testcert.NewKey(t), testcert.NewKey(t), testcert.NewKey(t)
	root := authority(t, "root", rootKey, nil, nil, now.Add(1000*day))
	upper := authority(t, "upper", upperKey, root, rootKey, now.Add(100*day))
	lower := authority(t, "lower", lowerKey, upper, upperKey, now.Add(100*day))
	longer := authority(t, "lower", lowerKey, upper, upperKey, now.Add(200*day))
	expired := authority(t, "lower", lowerKey, upper, upperKey, now.Add(-time.Hour))
	namesake := authority(t, "lower", testcert.NewKey(t), upper, upperKey, now.Add(300*day))
	leaf := authority(t, "leaf", key, lower, lowerKey, now.Add(10*day))
	for name, c := range map[string]struct {
		issuers []*x509.Certificate
		want    []*x509.Certificate
	}{
		"all":     {[]*x509.Certificate{leaf, root, expired, lower, namesake, longer, upper}, []*x509.Certificate{leaf, longer, upper}},
		"none":    {nil, []*x509.Certificate{leaf}},
		"gap":     {[]*x509.Certificate{root, upper}, []*x509.Certificate{leaf}},
		"no root": {[]*x509.Certificate{lower, upper}, []*x509.Certificate{leaf, lower, upper}},
	} {
		got := chain(leaf, c.issuers, now)
		if len(got) != len(c.want) {
			t.Errorf("%s: %d certificates, want %d", name, len(got), len(c.want))
			continue
		}
		for i := range got {
			if !bytes.Equal(got[i], c.want[i].Raw) {
				t.Errorf("%s: number %d is another", name, i)
			}
		}
	}
	if got := chain(root, []*x509.Certificate{root}, now); len(got) != 1 {
		t.Errorf("a certificate that signed itself: %d certificates", len(got))
	}
}

// older is a key that knows only PKCS #1 v1.5.
type older struct{ crypto.Signer }

func (o older) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if _, isPSS := opts.(*rsa.PSSOptions); isPSS {
		return nil, errors.New("what is PSS")
	}
	return o.Signer.Sign(random, digest, opts)
}

func TestLoad(t *testing.T) {
	now := time.Now()
	rsaKey, ecdsaKey := testcert.RSAKey(t), testcert.NewKey(t)
	stored := func(key crypto.Signer) []entry {
		return []entry{{testcert.SelfSigned(t, &x509.Certificate{Subject: pkix.Name{CommonName: "relay.test"}}, key), "CN=relay.test", true}}
	}
	q := Query{Subject: "relay.test"}
	for name, c := range map[string]struct {
		fake    fake
		wantPSS bool
		want    string // of the error
	}{
		"RSA":     {fake{entries: stored(rsaKey), signer: rsaKey}, true, ""},
		"ECDSA":   {fake{entries: stored(ecdsaKey), signer: ecdsaKey}, true, ""},
		"older":   {fake{entries: stored(rsaKey), signer: older{rsaKey}}, false, ""},
		"denied":  {fake{entries: stored(rsaKey), err: fmt.Errorf("%w: 5", errDenied)}, false, "cannot use its private key (it is not there, or access is denied: 5); give that user the right to read the key (docs/windows.md)"},
		"broken":  {fake{entries: stored(rsaKey), err: errors.New("no luck")}, false, "whose key cannot be used: no luck"},
		"another": {fake{entries: stored(ecdsaKey), signer: testcert.NewKey(t)}, false, "it is not the key of the certificate"},
		"other":   {fake{entries: stored(rsaKey), signer: newRSA(t)}, false, "it is not the key of the certificate"},
	} {
		got, err := load(&c.fake, q, nil, now)
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "finds CN=relay.test (thumbprint ") {
				t.Errorf("%s: got %v, want %q", name, err, c.want)
			}
			continue
		}
		if err != nil || SignsPSS(got) != c.wantPSS || got.Leaf == nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if again, err := load(&c.fake, q, got, now); err != nil || again != got || c.fake.opened != 1 {
			t.Errorf("%s: the key was opened %d times; %v", name, c.fake.opened, err)
		}
		c.fake.entries[0].Certificate = testcert.SelfSigned(t, &x509.Certificate{Subject: pkix.Name{CommonName: "relay.test"}}, c.fake.signerOf())
		if renewed, err := load(&c.fake, q, got, now); err != nil || renewed == got {
			t.Errorf("%s: a new certificate: %v", name, err)
		}
	}
}

func (f *fake) signerOf() crypto.Signer {
	if o, ok := f.signer.(older); ok {
		return o.Signer
	}
	return f.signer
}

func newRSA(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newSerial(t *testing.T) *big.Int {
	t.Helper()
	n, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestElsewhere(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has the store")
	}
	if _, err := Load(Query{Subject: "relay.test"}, nil); err == nil || !strings.Contains(err.Error(), "name files instead") {
		t.Error(err)
	}
}
