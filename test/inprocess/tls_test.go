package inprocess

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/internal/testcert"
)

// Cipher suites as old devices and modern clients name them.
var (
	forwardSecret = []uint16{
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
	}
	insecure = []uint16{
		tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA, tls.TLS_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_RSA_WITH_AES_128_CBC_SHA256, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA,
		tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,
	}
	never = []uint16{tls.TLS_RSA_WITH_RC4_128_SHA, tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA}
)

// TestTLSOffers offers each listener a single version or a single cipher at a time. It
// must accept exactly those that its settings allow.
func TestTLSOffers(t *testing.T) {
	one := tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
	listeners := []struct {
		name, settings string
		versions       []uint16
		ciphers        []uint16
	}{
		{"starttls", "tls: starttls", []uint16{tls.VersionTLS12, tls.VersionTLS13}, forwardSecret},
		{"implicit", "tls: implicit", []uint16{tls.VersionTLS12, tls.VersionTLS13}, forwardSecret},
		{"starttls-1.3", "tls: starttls, tls_min: 1.3", []uint16{tls.VersionTLS13}, nil},
		{"implicit-1.3", "tls: implicit, tls_min: 1.3", []uint16{tls.VersionTLS13}, nil},
		{"implicit-one", "tls: implicit, tls_ciphers: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]", []uint16{tls.VersionTLS12, tls.VersionTLS13}, []uint16{one}},
		{"starttls-1.2-old", "tls: starttls, tls_min: 1.2-insecure", []uint16{tls.VersionTLS12, tls.VersionTLS13}, slices.Concat(forwardSecret, insecure)},
		{"implicit-1.1-old", "tls: implicit, tls_min: 1.1-insecure", []uint16{tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13}, slices.Concat(forwardSecret, insecure)},
		{"starttls-1.0-old", "tls: starttls, tls_min: 1.0-insecure", []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13}, slices.Concat(forwardSecret, insecure)},
		{"implicit-1.0-one", "tls: implicit, tls_min: 1.0-insecure, tls_ciphers: [TLS_RSA_WITH_AES_128_CBC_SHA]",
			[]uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13}, []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}},
	}
	var yaml []string
	for i, l := range listeners {
		yaml = append(yaml, "{name: "+l.name+", address: \"127.0.1."+string(rune('1'+i))+":0\", "+l.settings+"}")
	}
	rig := startTLS(t, yaml...)
	all := slices.Concat(forwardSecret, insecure, never)
	for _, l := range listeners {
		t.Run(l.name, func(t *testing.T) {
			rig := rig.on(t)
			for _, v := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
				rig.offer(l.name, v, all, slices.Contains(l.versions, v))
			}
			for _, c := range all {
				rig.offer(l.name, tls.VersionTLS12, []uint16{c}, slices.Contains(l.ciphers, c))
			}
		})
	}
	// A printer of 2009 offers this and no more.
	for _, c := range []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA} {
		rig.offer("starttls-1.0-old", tls.VersionTLS10, []uint16{c}, true)
		rig.offer("implicit-1.1-old", tls.VersionTLS11, []uint16{c}, true)
		rig.offer("starttls-1.2-old", tls.VersionTLS11, []uint16{c}, false)
	}
}

func (r *tlsRig) offer(listener string, version uint16, ciphers []uint16, taken bool) {
	r.Helper()
	_, state, err := r.dialTLS(listener, &tls.Config{MinVersion: version, MaxVersion: version, CipherSuites: ciphers})
	what := tls.VersionName(version)
	if len(ciphers) == 1 {
		what += " " + tls.CipherSuiteName(ciphers[0])
	}
	switch {
	case taken && err != nil:
		r.Errorf("%s is refused: %v", what, err)
	case !taken && err == nil:
		r.Errorf("%s is taken", what)
	case taken && (state.Version != version || version < tls.VersionTLS13 && !slices.Contains(ciphers, state.CipherSuite)):
		r.Errorf("%s became %s %s", what, tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite))
	}
}

// A client that can do better gets better: an insecure tls_min is no upper limit.
func TestTLSPreference(t *testing.T) {
	rig := startTLS(t, `{name: implicit-old, address: "127.0.1.1:0", tls: implicit, tls_min: 1.0-insecure}`)
	all := slices.Concat(never, insecure, forwardSecret)
	for max, want := range map[uint16][]uint16{tls.VersionTLS13: nil, tls.VersionTLS12: forwardSecret[:3], tls.VersionTLS10: forwardSecret[3:]} {
		_, state, err := rig.dialTLS("implicit-old", &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: max, CipherSuites: all})
		if err != nil || state.Version != max || want != nil && !slices.Contains(want, state.CipherSuite) {
			t.Errorf("up to %s: %s %s, %v", tls.VersionName(max), tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite), err)
		}
	}
}

// The relay never agrees to TLS compression, which lets CRIME read passwords.
func TestNoTLSCompression(t *testing.T) {
	rig := startTLS(t, `{name: implicit-old, address: "127.0.1.1:0", tls: implicit, tls_min: 1.0-insecure}`)
	const null, deflate = 0, 1
	for _, tt := range []struct {
		offered []byte
		taken   bool
	}{{[]byte{null}, true}, {[]byte{deflate, null}, true}, {[]byte{deflate}, false}} {
		nc := rig.dialTCP("implicit-old")
		if _, err := nc.Write(withCompression(clientHello(t), tt.offered)); err != nil {
			t.Fatal(err)
		}
		hello := make([]byte, 5+4+2+32+1)
		if _, err := io.ReadFull(nc, hello[:7]); err != nil {
			t.Fatal(err)
		}
		const recordHandshake = 22
		if taken := hello[0] == recordHandshake; taken != tt.taken {
			t.Errorf("compression %v: record type %d", tt.offered, hello[0])
		} else if !taken {
			continue
		}
		if _, err := io.ReadFull(nc, hello[7:]); err != nil {
			t.Fatal(err)
		}
		rest := make([]byte, int(hello[len(hello)-1])+3) // session ID, suite, compression
		if _, err := io.ReadFull(nc, rest); err != nil {
			t.Fatal(err)
		}
		if chosen := rest[len(rest)-1]; chosen != null {
			t.Errorf("compression %v: %d was chosen", tt.offered, chosen)
		}
	}
}

// clientHello is the first record of a TLS 1.2 client.
func clientHello(t *testing.T) []byte {
	t.Helper()
	here, there := net.Pipe()
	defer there.Close()
	go func() {
		defer here.Close()
		_ = tls.Client(here, &tls.Config{ServerName: "relay.test", MaxVersion: tls.VersionTLS12}).Handshake()
	}()
	record := make([]byte, 5)
	if _, err := io.ReadFull(there, record); err != nil {
		t.Fatal(err)
	}
	record = append(record, make([]byte, binary.BigEndian.Uint16(record[3:]))...)
	if _, err := io.ReadFull(there, record[5:]); err != nil {
		t.Fatal(err)
	}
	return record
}

// withCompression replaces the compression methods of a ClientHello (RFC 5246
// section 7.4.1.2).
func withCompression(record, methods []byte) []byte {
	at := 5 + 4 + 2 + 32
	at += 1 + int(record[at])                           // session ID
	at += 2 + int(binary.BigEndian.Uint16(record[at:])) // suites
	end := at + 1 + int(record[at])                     // of the methods
	body := bytes.Join([][]byte{record[9:at], {byte(len(methods))}, methods, record[end:]}, nil)
	hello := append(record[5:6:6], byte(len(body)>>16), byte(len(body)>>8), byte(len(body)))
	hello = append(hello, body...)
	return append(binary.BigEndian.AppendUint16(record[:3:3], uint16(len(hello))), hello...)
}

// AUTH is neither offered nor accepted before TLS, whatever tls_min is, nor without TLS
// beyond this machine.
func TestNoAuthBeforeTLS(t *testing.T) {
	rig := startTLS(t, `{name: starttls, address: "127.0.1.1:0", tls: starttls}`,
		`{name: starttls-optional, address: "127.0.1.2:0", tls: starttls, auth: optional, networks: [127.0.0.0/8]}`,
		`{name: starttls-old, address: "127.0.1.3:0", tls: starttls, tls_min: 1.0-insecure}`)
	for _, name := range []string{"starttls", "starttls-optional", "starttls-old"} {
		nc := rig.dialTCP(name)
		c := textproto.NewConn(nc)
		rig.ask(c, 220, "")
		if answer := rig.ask(c, 250, "EHLO client.test"); strings.Contains(answer, "AUTH") || !strings.Contains(answer, "STARTTLS") {
			t.Errorf("%s answers EHLO with %q", name, answer)
		}
		rig.ask(c, 530, "AUTH PLAIN %s", base64.StdEncoding.EncodeToString([]byte("\x00crm\x00crm-secret")))
		rig.ask(c, 530, "AUTH LOGIN")
		under, _, err := rig.dialTLS(name, &tls.Config{})
		if err != nil {
			t.Fatal(err)
		}
		rig.ask(under, 235, "AUTH PLAIN %s", base64.StdEncoding.EncodeToString([]byte("\x00crm\x00crm-secret")))
	}
}

// A certificate of the listener's authority signs in the user with its name. No other
// certificate does, and none counts as a wrong password.
func TestClientCertificates(t *testing.T) {
	rig := startTLS(t, `{name: starttls, address: "127.0.1.1:0", tls: starttls, client_ca_file: ca.crt}`,
		`{name: implicit, address: "127.0.1.2:0", tls: implicit, client_ca_file: ca.crt}`,
		`{name: implicit-without, address: "127.0.1.3:0", tls: implicit}`)
	usage := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	named := func(names ...string) *x509.Certificate { return &x509.Certificate{DNSNames: names, ExtKeyUsage: usage} }
	erp := rig.Client(named("other.contoso.test", "ERP.contoso.test"))
	expired := named("erp.contoso.test")
	expired.NotAfter = time.Now().Add(-time.Hour)
	tests := []struct {
		what    string
		cert    tls.Certificate
		refused bool // in the handshake
		user    bool
	}{
		{"a DNS name", erp, false, true},
		{"a mail address", rig.Client(&x509.Certificate{EmailAddresses: []string{"erp.contoso.test"}}), false, true},
		{"the common name alone", rig.Client(&x509.Certificate{Subject: pkix.Name{CommonName: "erp.contoso.test"}}), false, true},
		{"the common name beside another name", rig.Client(&x509.Certificate{Subject: pkix.Name{CommonName: "erp.contoso.test"}, DNSNames: []string{"evil.test"}}), false, false},
		{"nobody's name", rig.Client(named("nobody.contoso.test")), false, false},
		{"no name", rig.Client(&x509.Certificate{}), false, false},
		{"a server's certificate", rig.Client(&x509.Certificate{DNSNames: []string{"erp.contoso.test"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}), true, false},
		{"a stranger's authority", testcert.NewAuthority(t).Client(named("erp.contoso.test")), true, false},
		{"an expired one", rig.Client(expired), true, false},
		{"none", tls.Certificate{}, false, false},
	}
	for _, name := range []string{"starttls", "implicit", "implicit-without"} {
		for _, tt := range tests {
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				t.Run(name+"/"+tt.what+"/"+tls.VersionName(version), func(t *testing.T) {
					rig := rig.on(t)
					asked := name != "implicit-without"
					c, _, err := rig.dialTLS(name, showing(tt.cert, version))
					if refused := tt.refused && asked; (err != nil) != refused {
						t.Fatalf("the handshake gave %v", err)
					} else if refused {
						return
					}
					if !tt.user || !asked {
						rig.ask(c, 530, "MAIL FROM:<erp@contoso.test>")
						rig.ask(c, 504, "AUTH EXTERNAL =")
						rig.ask(c, 235, "AUTH PLAIN %s", base64.StdEncoding.EncodeToString([]byte("\x00crm\x00crm-secret")))
						return
					}
					rig.ask(c, 550, "MAIL FROM:<crm@contoso.test>")
					rig.ask(c, 250, "MAIL FROM:<erp@contoso.test>")
				})
			}
		}
	}
}

// showing returns the settings of a client that sends the certificate whether the server
// asks for its authority or not.
func showing(cert tls.Certificate, version uint16) *tls.Config {
	return &tls.Config{MinVersion: version, MaxVersion: version,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }}
}

// AUTH EXTERNAL accepts the name of the certificate's user or no name. With a password
// another user can still sign in.
func TestExternal(t *testing.T) {
	rig := startTLS(t, `{name: implicit, address: "127.0.1.1:0", tls: implicit, client_ca_file: ca.crt}`)
	cert := rig.Client(&x509.Certificate{DNSNames: []string{"erp.contoso.test"}})
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, tt := range []struct {
		auth  string
		code  int
		may   string // whose mail
		mayNo string
	}{
		{"AUTH EXTERNAL =", 235, "erp", "crm"},
		{"AUTH EXTERNAL " + encode("erp"), 235, "erp", "crm"},
		{"AUTH EXTERNAL " + encode("crm"), 535, "erp", "crm"},
		{"AUTH PLAIN " + encode("\x00crm\x00crm-secret"), 235, "crm", "erp"},
		{"AUTH PLAIN " + encode("\x00crm\x00wrong"), 535, "erp", "crm"},
		{"AUTH PLAIN " + encode("\x00erp\x00"), 535, "erp", "crm"}, // has no password
	} {
		c, _, err := rig.dialTLS("implicit", showing(cert, tls.VersionTLS13))
		if err != nil {
			t.Fatal(err)
		}
		if answer := rig.ask(c, 250, "EHLO client.test"); !strings.Contains(answer, "AUTH PLAIN LOGIN EXTERNAL") {
			t.Errorf("EHLO offers %q", answer)
		}
		rig.ask(c, tt.code, "%s", tt.auth)
		rig.ask(c, 550, "MAIL FROM:<%s@contoso.test>", tt.mayNo)
		rig.ask(c, 250, "MAIL FROM:<%s@contoso.test>", tt.may)
	}
	c, _, err := rig.dialTLS("implicit", showing(cert, tls.VersionTLS13))
	if err != nil {
		t.Fatal(err)
	}
	rig.ask(c, 334, "AUTH EXTERNAL") // the name in a line of its own
	if err := c.PrintfLine(""); err != nil {
		t.Fatal(err)
	}
	rig.ask(c, 235, "")
}

// The metric shows when the certificate of each TLS listener expires, and no listener
// that a reload has removed.
func TestExpiryMetric(t *testing.T) {
	t.Parallel()
	const name = "graphrelay_tls_certificate_expiry_timestamp_seconds"
	rig := startTLS(t, `{name: starttls, address: "127.0.1.1:0", tls: starttls}`,
		`{name: implicit-own, address: "127.0.1.2:0", tls: implicit, cert_file: ecdsa.crt, key_file: ecdsa.key}`)
	_, state, err := rig.dialTLS("implicit-own", &tls.Config{})
	if err != nil {
		t.Fatal(err)
	}
	own := state.PeerCertificates[0]
	if _, state, err = rig.dialTLS("starttls", &tls.Config{}); err != nil {
		t.Fatal(err)
	}
	shared := state.PeerCertificates[0]
	if own.PublicKeyAlgorithm != x509.ECDSA || shared.PublicKeyAlgorithm != x509.RSA {
		t.Errorf("the listeners show %s and %s keys", own.PublicKeyAlgorithm, shared.PublicKeyAlgorithm)
	}
	series := func(listener string, c *x509.Certificate) string {
		return fmt.Sprintf("\n%s{listener=%q} %v\n", name, listener, float64(c.NotAfter.Unix()))
	}
	body := rig.relay.Get(t, "/metrics")
	for _, want := range []string{series("starttls", shared), series("implicit-own", own)} {
		if !strings.Contains(body, want) {
			t.Errorf("the metrics lack %q", want)
		}
	}
	if strings.Contains(body, name+`{listener="devices"`) {
		t.Error("a listener without TLS has a certificate")
	}
	cfg := *rig.relay.Config
	cfg.Listeners = cfg.Listeners[:2]
	if err := rig.relay.Reload(&cfg); err != nil {
		t.Fatal(err)
	}
	if body = rig.relay.Get(t, "/metrics"); strings.Contains(body, name+`{listener="implicit-own"`) || !strings.Contains(body, series("starttls", shared)) {
		t.Error("after the reload the metrics have not the certificates of the listeners that are left")
	}
}
