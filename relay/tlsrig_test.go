package relay

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// authority makes certificates for a test.
type authority struct {
	*testing.T
	key  crypto.Signer
	cert *x509.Certificate
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{T: t, key: newKey(t), pool: x509.NewCertPool()}
	a.cert = &x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true}
	a.cert = a.sign(a.cert, a.key.Public())
	a.pool.AddCert(a.cert)
	return a
}

func newKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// rsaKey is made once: it takes long.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func newRSAKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := rsaKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) sign(c *x509.Certificate, public crypto.PublicKey) *x509.Certificate {
	a.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		a.Fatal(err)
	}
	c.SerialNumber = serial
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().AddDate(1, 0, 0)
	}
	c.NotBefore = time.Now().AddDate(-1, 0, 0)
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, public, a.key)
	if err != nil {
		a.Fatal(err)
	}
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		a.Fatal(err)
	}
	return signed
}

// server makes a listener's certificate that ends at a time; the zero one is a year.
func (a *authority) server(key crypto.Signer, end time.Time) *x509.Certificate {
	a.Helper()
	return a.sign(&x509.Certificate{DNSNames: []string{"relay.test"}, NotAfter: end}, key.Public())
}

// client makes a client's certificate.
func (a *authority) client(c *x509.Certificate) tls.Certificate {
	a.Helper()
	key := newKey(a.T)
	return tls.Certificate{Certificate: [][]byte{a.sign(c, key.Public()).Raw}, PrivateKey: key}
}

func writeCert(t *testing.T, path string, c *x509.Certificate) {
	t.Helper()
	writePEM(t, path, "CERTIFICATE", c.Raw)
}

func writeKey(t *testing.T, path string, key crypto.Signer) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, path, "PRIVATE KEY", der)
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// tlsRig is a relay whose listeners differ in their TLS.
type tlsRig struct {
	*testing.T
	*authority
	relay *Relay
	dir   string
}

const crmHash = "$2a$10$/tej6ss74DEVvMI13aZpsOEeHNkMKWSM3lr9912awyjPsLoRglj4C" // of crm-secret

// startTLS starts a relay with the listeners, which are YAML mappings on addresses
// of their own, an RSA certificate, and the users crm (with a password) and erp
// (with a certificate).
func startTLS(t *testing.T, listeners ...string) *tlsRig {
	t.Helper()
	_, url := sim(t)
	rig := &tlsRig{T: t, authority: newAuthority(t), dir: t.TempDir()}
	in := func(name string) string { return filepath.Join(rig.dir, name) }
	writeCert(t, in("rsa.crt"), rig.server(newRSAKey(t), time.Time{}))
	writeKey(t, in("rsa.key"), newRSAKey(t))
	key := newKey(t)
	writeCert(t, in("ecdsa.crt"), rig.server(key, time.Time{}))
	writeKey(t, in("ecdsa.key"), key)
	writeCert(t, in("ca.crt"), rig.cert)
	cfg := settings(t, rig.dir, url, ", "+strings.Join(listeners, ", ")+`]
tls: {cert_file: rsa.crt, key_file: rsa.key}
users: [{name: crm, password_hash: "`+crmHash+`", senders: ["crm@contoso.test"]}, {name: erp, certificate: erp.contoso.test, senders: ["erp@contoso.test"]}`)
	rig.relay = startRelay(t, cfg, io.Discard)
	return rig
}

// on is the rig for a subtest.
func (r *tlsRig) on(t *testing.T) *tlsRig {
	sub := *r
	sub.T = t
	return &sub
}

// dialTLS opens a session under TLS as far as EHLO, or says why there is none.
func (r *tlsRig) dialTLS(name string, offer *tls.Config) (*textproto.Conn, tls.ConnectionState, error) {
	r.Helper()
	nc := r.dialTCP(name)
	text := textproto.NewConn(nc)
	if !strings.HasPrefix(name, "implicit") {
		r.ask(text, 220, "")
		r.ask(text, 250, "EHLO client.test")
		r.ask(text, 220, "STARTTLS")
	}
	offer = offer.Clone()
	offer.RootCAs, offer.ServerName = r.pool, "relay.test"
	conn := tls.Client(nc, offer)
	if err := conn.Handshake(); err != nil {
		return nil, tls.ConnectionState{}, err
	}
	text = textproto.NewConn(conn)
	if strings.HasPrefix(name, "implicit") {
		if _, _, err := text.ReadResponse(220); err != nil { // in TLS 1.3 the server refuses a client's certificate here
			return nil, tls.ConnectionState{}, err
		}
	}
	if err := text.PrintfLine("EHLO client.test"); err != nil {
		return nil, tls.ConnectionState{}, err
	}
	_, _, err := text.ReadResponse(250)
	return text, conn.ConnectionState(), err
}

func (r *tlsRig) dialTCP(name string) net.Conn {
	r.Helper()
	for _, l := range r.relay.current.cfg.Listeners {
		if l.Name != name {
			continue
		}
		nc, err := net.Dial("tcp", r.relay.Address(l.Address))
		if err != nil {
			r.Fatal(err)
		}
		r.Cleanup(func() { _ = nc.Close() })
		_ = nc.SetDeadline(time.Now().Add(time.Minute)) // a guard, not a measure
		return nc
	}
	r.Fatalf("there is no listener %s", name)
	return nil
}

// ask sends a line, unless it is empty, and wants the code in answer.
func (r *tlsRig) ask(c *textproto.Conn, code int, line string, args ...any) string {
	r.Helper()
	if line != "" {
		if err := c.PrintfLine(line, args...); err != nil {
			r.Fatal(err)
		}
	}
	_, answer, err := c.ReadResponse(code)
	if err != nil {
		r.Fatalf("%s: %v", fmt.Sprintf(line, args...), err)
	}
	return answer
}
