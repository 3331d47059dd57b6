package edge

import (
	"crypto/tls"
	"fmt"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"graphrelay/test/harness"
)

// startTLSRelay starts a relay with an RSA certificate and the contract's listeners, of
// which submissions accepts only TLS 1.3, and with one more for old devices.
func startTLSRelay(t *testing.T, sim *harness.Sim, more ...harness.Edit) *harness.Relay {
	t.Helper()
	old := fmt.Sprintf("127.0.0.1:%d", harness.FreePort(t))
	relay := harness.NewRelay(t, sim, append(more,
		harness.Replace("listeners:\n", "listeners:\n  - {name: old, address: "+old+", tls: starttls, auth: none, networks: [127.0.0.0/8], tls_min: 1.0-insecure}\n"),
		harness.Replace("    tls: implicit\n", "    tls: implicit\n    tls_min: 1.3\n"))...)
	relay.Address["old"] = old
	renew(t, relay)
	relay.Start(t)
	return relay
}

// renew replaces the files of the relay's certificate by a new self-signed one.
func renew(t *testing.T, r *harness.Relay) {
	t.Helper()
	in := func(name string) string { return filepath.Join(r.Dir, name) }
	harness.Tool(t, "", harness.NeedTool(t, "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=127.0.0.1",
		"-addext", "subjectAltName=IP:127.0.0.1", "-keyout", in("new.key"), "-out", in("new.crt"))
	for _, name := range []string{"crt", "key"} {
		if err := os.Rename(in("new."+name), in("relay."+name)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOpenSSLOffers offers each listener versions and ciphers one by one, as testssl
// does. OpenSSL's implementation of TLS is not the relay's.
func TestOpenSSLOffers(t *testing.T) {
	t.Parallel()
	relay := startTLSRelay(t, harness.StartSim(t))
	const (
		modern = 1 << iota // submission
		newest             // submissions, 1.3 alone
		old
	)
	for _, offer := range []struct {
		args  string
		taken int // by which listeners
	}{
		{"-tls1", old},
		{"-tls1_1", old},
		{"-tls1_2", old | modern},
		{"-tls1_3", old | modern | newest},
		{"-tls1 -cipher AES128-SHA", old},
		{"-tls1_1 -cipher AES256-SHA", old},
		{"-tls1_2 -cipher AES128-SHA", old},
		{"-tls1_2 -cipher AES256-SHA256", 0}, // not in crypto/tls
		{"-tls1_2 -cipher AES128-GCM-SHA256", old},
		{"-tls1_2 -cipher ECDHE-RSA-AES128-SHA256", old},
		{"-tls1_2 -cipher ECDHE-RSA-AES128-SHA", old | modern},
		{"-tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256", old | modern},
		{"-tls1_2 -cipher ECDHE-RSA-CHACHA20-POLY1305", old | modern},
		{"-tls1_2 -cipher DHE-RSA-AES256-GCM-SHA384", 0},
		{"-tls1_2 -cipher aNULL", 0},
		{"-tls1_2 -cipher eNULL", 0},
	} {
		for listener, bit := range map[string]int{"submission": modern, "submissions": newest, "old": old} {
			out, err := opensslClient(t, relay, listener, "", strings.Fields(offer.args)...)
			taken := offer.taken&bit != 0
			if (err == nil) != taken || !taken && !strings.Contains(out, "SSL alert number") { // it is the relay that refuses
				t.Errorf("%s: %s: %v, want it taken: %v\n%s", listener, offer.args, err, taken, out)
			}
		}
	}
}

// opensslClient runs s_client at the security level at which it can offer anything.
func opensslClient(t *testing.T, r *harness.Relay, listener, stdin string, args ...string) (string, error) {
	t.Helper()
	args = append([]string{"s_client", "-connect", r.Address[listener]}, args...)
	if listener != "submissions" {
		args = append(args, "-starttls", "smtp")
	}
	ciphers := "ALL:COMPLEMENTOFALL"
	for i, a := range args {
		if a == "-cipher" {
			ciphers = args[i+1]
		}
	}
	args = append(args, "-cipher", ciphers+":@SECLEVEL=0")
	cmd := exec.Command(harness.NeedTool(t, "openssl"), args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestNoRenegotiation asks for new keys within a session, which has allowed injection
// (CVE-2009-3555) and cheap attacks on a server's CPU. The relay must end the connection.
func TestNoRenegotiation(t *testing.T) {
	t.Parallel()
	relay := startTLSRelay(t, harness.StartSim(t))
	for _, listener := range []string{"submission", "old"} {
		out, err := opensslClient(t, relay, listener, "R\n", "-tls1_2")
		if err == nil || !strings.Contains(out, "RENEGOTIATING") || !strings.Contains(out, "alert unexpected message") {
			t.Errorf("%s: %v\n%s", listener, err, out)
		}
	}
}

// TestRenewedCertificate replaces the files of the certificate. New sessions must get the
// new one without a signal, and an open session must continue.
func TestRenewedCertificate(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	relay := startTLSRelay(t, sim)
	shown := func(listener string) string {
		config := &tls.Config{InsecureSkipVerify: true}
		if listener == "submissions" {
			c, err := tls.Dial("tcp", relay.Address[listener], config)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			return string(c.ConnectionState().PeerCertificates[0].Raw)
		}
		c, err := smtp.Dial(relay.Address[listener])
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.StartTLS(config); err != nil {
			t.Fatal(err)
		}
		state, _ := c.TLSConnectionState()
		return string(state.PeerCertificates[0].Raw)
	}
	first := shown("submission")
	open, err := smtp.Dial(relay.Address["submission"])
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if err := open.StartTLS(&tls.Config{InsecureSkipVerify: true}); err != nil {
		t.Fatal(err)
	}
	renew(t, relay)
	harness.WaitFor(t, "the new certificate", func() bool { return shown("submission") != first })
	second := shown("submission")
	for _, listener := range []string{"submissions", "old"} {
		if shown(listener) != second {
			t.Errorf("%s shows another certificate than submission", listener)
		}
	}
	sendOn(t, open, "after the renewal")
	sim.Sent(t, "crm@contoso.test", "after the renewal")

	// With a signal, and a file that is broken.
	if err := os.WriteFile(filepath.Join(relay.Dir, "relay.crt"), []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	relay.Signal(syscall.SIGHUP)
	harness.WaitFor(t, "the failed reload", func() bool { return relay.Metric(t, "graphrelay_config_last_reload_successful") == 0 })
	if shown("submission") != second {
		t.Error("a broken file changed the certificate")
	}
	renew(t, relay)
	relay.Signal(syscall.SIGHUP)
	harness.WaitFor(t, "the reload", func() bool { return relay.Metric(t, "graphrelay_config_last_reload_successful") == 1 })
	harness.WaitFor(t, "the third certificate", func() bool { return shown("submission") != second })
}

// sendOn sends a message in a session that is open already.
func sendOn(t *testing.T, c *smtp.Client, subject string) {
	t.Helper()
	step := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	step(c.Auth(smtp.PlainAuth("", harness.CRMUser, harness.CRMPassword, "127.0.0.1")))
	step(c.Mail("crm@contoso.test"))
	step(c.Rcpt("anna@example.com"))
	w, err := c.Data()
	step(err)
	_, err = w.Write([]byte("From: crm@contoso.test\r\nSubject: " + subject + "\r\n\r\ntext\r\n"))
	step(err)
	step(w.Close())
}

// TestClientCertificates makes an authority and a certificate as docs/operations.md
// shows, and sends with clients that have no password.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	user := harness.Replace("users:\n", "users:\n  - {name: machine, certificate: machine.contoso.test, senders: [\"machine@contoso.test\"]}\n")
	authority := harness.Replace("    tls: starttls ", "    client_ca_file: clients-ca.crt\n    tls: starttls ")
	relay := harness.NewRelay(t, sim, user, authority)
	renew(t, relay)
	in := func(name string) string { return filepath.Join(relay.Dir, name) }
	openssl := func(args ...string) { harness.Tool(t, "", harness.NeedTool(t, "openssl"), args...) }
	openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", "/CN=relay clients", "-keyout", in("ca.key"), "-out", in("clients-ca.crt"))
	openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=machine", "-keyout", in("machine.key"), "-out", in("machine.csr"))
	if err := os.WriteFile(in("names"), []byte("subjectAltName=DNS:machine.contoso.test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	openssl("x509", "-req", "-in", in("machine.csr"), "-CA", in("clients-ca.crt"), "-CAkey", in("ca.key"), "-CAcreateserial",
		"-days", "730", "-extfile", in("names"), "-out", in("machine.crt"))
	if got := harness.Command(t, "", "check", "--config", relay.Config); got.Status != 0 || got.Stderr != "" {
		t.Fatalf("check: status %d, %s", got.Status, got.Stderr)
	}
	relay.Start(t)
	port := relay.Port(t, "submission")
	message := func(subject string) string {
		return "From: machine@contoso.test\r\nTo: anna@example.com\r\nSubject: " + subject + "\r\n\r\ntext\r\n"
	}
	clients := map[string]bool{} // that have sent
	for name, send := range map[string]func(t *testing.T){
		"swaks": func(t *testing.T) { // without AUTH
			harness.Tool(t, "", harness.NeedTool(t, "swaks"), "--server", "127.0.0.1", "--port", port, "--tls", "--tls-cert", in("machine.crt"), "--tls-key", in("machine.key"),
				"--from", "machine@contoso.test", "--to", "anna@example.com", "--data", message("swaks"))
		},
		"msmtp": func(t *testing.T) { // with AUTH EXTERNAL
			config := strings.Join([]string{"account default", "host 127.0.0.1", "port " + port, "tls on", "tls_trust_file " + in("relay.crt"),
				"tls_cert_file " + in("machine.crt"), "tls_key_file " + in("machine.key"), "auth external", "user machine"}, "\n") + "\n"
			harness.Tool(t, message("msmtp"), harness.NeedTool(t, "msmtp"), "--file", harness.SaveText(t, config), "--from", "machine@contoso.test", "--", "anna@example.com")
		},
		"curl": func(t *testing.T) {
			harness.Tool(t, message("curl"), harness.NeedTool(t, "curl"), "--silent", "--show-error", "--url", "smtp://127.0.0.1:"+port, "--ssl-reqd", "--cacert", in("relay.crt"),
				"--cert", in("machine.crt"), "--key", in("machine.key"), "--mail-from", "machine@contoso.test", "--mail-rcpt", "anna@example.com", "--upload-file", "-")
		},
	} {
		t.Run(name, func(t *testing.T) {
			send(t)
			clients[name] = true // it is installed
			sim.Sent(t, "machine@contoso.test", name)
		})
	}
	if sent := sim.Ledger(t); len(sent) != len(clients) {
		t.Errorf("the ledger holds %d messages of %d clients", len(sent), len(clients))
	}
	if n := relay.Metric(t, `graphrelay_smtp_auth_total{listener="submission",result="ok"}`); (n == 1) != clients["msmtp"] {
		t.Errorf("%v clients said AUTH, want the one with EXTERNAL", n)
	}
}
