package stranger_test

import (
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/internal/testcert"
	"graphrelay/relay/config"
	"graphrelay/relay/stranger"
	"graphrelay/test/inprocess"
)

// TestStrangers tries the listeners of a relay: what has to stay out does, what is open is found,
// and nothing is sent.
func TestStrangers(t *testing.T) {
	graph, url := inprocess.Simulate(t, simulator.Options{})
	dir := t.TempDir()
	key := testcert.NewKey(t)
	testcert.WriteKey(t, filepath.Join(dir, "relay.key"), key)
	testcert.WriteCert(t, filepath.Join(dir, "relay.crt"), testcert.SelfSigned(t, &x509.Certificate{NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"relay.test"}}, key))
	text := fmt.Sprintf(`
listeners:
  - {name: office, address: "0.0.0.0:%d", auth: none, networks: [10.99.0.0/16]}
  - {name: open, address: "0.0.0.0:%d", auth: none, networks: [0.0.0.0/0], open_to_everyone: true}
  - {name: password, address: "0.0.0.0:%d", auth: required, tls: starttls}
  - {name: implicit, address: "0.0.0.0:%d", auth: required, tls: implicit}
  - {name: local, address: "127.0.0.1:%d", auth: none}
  - {name: balanced, address: "127.0.0.1:%d", auth: none, networks: [127.0.0.0/8], proxy_networks: [127.0.0.1]}
  - {name: balanced-open, address: "127.0.0.1:%d", auth: none, networks: [203.0.113.0/24, 127.0.0.0/8], open_to_everyone: false, proxy_networks: [127.0.0.1]}
users:
  - {name: crm, password_hash: "$2a$10$/tej6ss74DEVvMI13aZpsOEeHNkMKWSM3lr9912awyjPsLoRglj4C", senders: ["*@contoso.test"]}
tls: {cert_file: relay.crt, key_file: relay.key}
connections:
  - name: contoso
    tenant: contoso.test
    client_id: 3c2b7f6e-5d44-4b1a-8f0e-6a7d9c8b4e22
    client_secret: simulated
    domains: [contoso.test]
    directory: off
    endpoints: {login: %q, graph: %[8]q}
admin: {address: "localhost:0"}
`, append(ports(t, 7), url)...)
	path := filepath.Join(dir, "relay.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	before := stranger.Check(t.Context(), cfg)
	if before[0].Fault == "" || len(before[0].Tries) > 0 || !strings.Contains(before[0].Fault, "is the relay running?") {
		t.Errorf("without a relay: %+v", before[0])
	}
	inprocess.Run(t, cfg, io.Discard)
	results := map[string]stranger.Result{}
	for _, r := range stranger.Check(t.Context(), cfg) {
		results[r.Listener] = r
		if r.Fault != "" {
			t.Errorf("%s: %s", r.Listener, r.Fault)
		}
	}
	for name, want := range map[string]struct {
		letIn    bool
		answer   string // to the first try of a stranger
		notTried string
	}{
		"office":        {false, "554 ", ""},
		"open":          {true, "550 ", ""}, // of a foreign sender; its own passes
		"password":      {false, "530 ", ""},
		"implicit":      {false, "530 ", ""},
		"local":         {false, "", "from another machine"},
		"balanced":      {false, "554 ", ""},
		"balanced-open": {false, "", "outside of its networks"},
	} {
		r := results[name]
		answer := ""
		for _, try := range r.Tries {
			if try.Stranger {
				answer = try.Answer
				break
			}
		}
		if r.LetIn() != want.letIn || !strings.HasPrefix(answer, want.answer) || (want.answer == "") != (answer == "") ||
			!strings.Contains(strings.Join(r.NotTried, "\n"), want.notTried) || (want.notTried == "") != (len(r.NotTried) == 0) {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if tries := results["local"].Tries; len(tries) != 3 || tries[0].Accepted || !tries[1].Accepted || tries[1].LetIn() {
		t.Errorf("on this machine: %+v", tries)
	}
	if sent := graph.Ledger(); len(sent) > 0 {
		t.Errorf("sent %+v", sent)
	}
}

// ports returns free ports.
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
