package inprocess

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/internal/testcert"
)

// tlsRig is a relay whose listeners differ in their TLS.
type tlsRig struct {
	*testing.T
	*testcert.Authority
	relay *Running
	dir   string
}

const crmHash = "$2a$10$/tej6ss74DEVvMI13aZpsOEeHNkMKWSM3lr9912awyjPsLoRglj4C" // of crm-secret

// startTLS starts a relay with an RSA certificate, the users crm (with a password) and
// erp (with a certificate), and the listeners, which are YAML mappings.
func startTLS(t *testing.T, listeners ...string) *tlsRig {
	t.Helper()
	_, url := Simulate(t, simulator.Options{RequireContract: true})
	rig := &tlsRig{T: t, Authority: testcert.NewAuthority(t), dir: t.TempDir()}
	in := func(name string) string { return filepath.Join(rig.dir, name) }
	testcert.WriteCert(t, in("rsa.crt"), rig.Server(testcert.RSAKey(t), time.Time{}))
	testcert.WriteKey(t, in("rsa.key"), testcert.RSAKey(t))
	key := testcert.NewKey(t)
	testcert.WriteCert(t, in("ecdsa.crt"), rig.Server(key, time.Time{}))
	testcert.WriteKey(t, in("ecdsa.key"), key)
	testcert.WriteCert(t, in("ca.crt"), rig.Cert)
	cfg := Settings(t, rig.dir, url, ", "+strings.Join(listeners, ", ")+`]
tls: {cert_file: rsa.crt, key_file: rsa.key}
users: [{name: crm, password_hash: "`+crmHash+`", senders: ["crm@contoso.test"]}, {name: erp, certificate: erp.contoso.test, senders: ["erp@contoso.test"]}`)
	rig.relay = Run(t, cfg, io.Discard)
	return rig
}

// on returns the rig for a subtest.
func (r *tlsRig) on(t *testing.T) *tlsRig {
	sub := *r
	sub.T = t
	return &sub
}

// dialTLS opens a TLS session and sends EHLO.
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
	offer.RootCAs, offer.ServerName = r.Pool, "relay.test"
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
	for _, l := range r.relay.Config.Listeners {
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

// ask sends a line, unless it is empty, and expects the code in the answer.
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
