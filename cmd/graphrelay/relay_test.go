package main_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The configuration that must always be accepted as it stands, and an account in it.
const (
	contractConfig = "../../relay/config/testdata/good/relay.yaml"
	crmUser        = "crm"
	crmPassword    = "crm-secret"
)

// relayProcess is `graphrelay serve` with its configuration and its data.
type relayProcess struct {
	*process
	program string
	launch  func(*exec.Cmd) error
	dir     string            // holds all its files
	config  string            // path
	address map[string]string // of the listeners by name, and of admin
}

// edit replaces one piece of the configuration, which has to be there once.
type edit struct{ old, new string }

// deliveryKey adds keys to the section delivery.
func deliveryKey(line string) edit { return edit{"delivery:\n", "delivery:\n  " + line + "\n"} }

// limitsKey adds keys to the section limits.
func limitsKey(line string) edit { return edit{"limits:\n", "limits:\n  " + line + "\n"} }

// newRelay writes the contract's configuration with free ports and the
// simulator's endpoints, and with the test's own edits; it starts nothing.
func newRelay(t *testing.T, sim *simProcess, edits ...edit) *relayProcess {
	t.Helper()
	r := &relayProcess{program: programPath(t), launch: (*exec.Cmd).Start, dir: t.TempDir(), address: map[string]string{}}
	for name, port := range map[string]string{"devices": "2525", "submission": "2587", "submissions": "2465", "admin": "9025"} {
		r.address[name] = fmt.Sprintf("127.0.0.1:%d", freePort(t))
		edits = append(edits, edit{"address: 127.0.0.1:" + port, "address: " + r.address[name]})
	}
	edits = append(edits, edit{"login: http://127.0.0.1:8100", "login: " + sim.url}, edit{"graph: http://127.0.0.1:8100", "graph: " + sim.url})
	text, err := os.ReadFile(contractConfig)
	if err != nil {
		t.Fatal(err)
	}
	r.config = filepath.Join(r.dir, "relay.yaml")
	r.write(t, string(text), edits...)
	writeCertificate(t, r.dir)
	return r
}

// write makes text with the edits the configuration file.
func (r *relayProcess) write(t *testing.T, text string, edits ...edit) {
	t.Helper()
	for _, e := range edits {
		if n := strings.Count(text, e.old); n != 1 {
			t.Fatalf("the configuration has %q %d times", e.old, n)
		}
		text = strings.Replace(text, e.old, e.new, 1)
	}
	if err := os.WriteFile(r.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// startRelay is newRelay and start.
func startRelay(t *testing.T, sim *simProcess, edits ...edit) *relayProcess {
	t.Helper()
	r := newRelay(t, sim, edits...)
	r.start(t)
	return r
}

// start returns when the relay takes mail.
func (r *relayProcess) start(t *testing.T) {
	t.Helper()
	r.begin(t)
	waitFor(t, "/readyz", func() bool {
		if !r.running() {
			t.Fatalf("serve ended with status %d", r.status())
		}
		status, _ := r.get("/readyz")
		return status == http.StatusOK
	})
}

// begin does not wait.
func (r *relayProcess) begin(t *testing.T) {
	t.Helper()
	r.process = launchCommand(t, r.launch, "serve", exec.Command(r.program, "serve", "--config", r.config))
}

// kill is kill -9.
func (r *relayProcess) kill(t *testing.T) {
	t.Helper()
	r.signal(syscall.SIGKILL)
	if !r.ends() {
		t.Fatal("serve survives SIGKILL")
	}
}

// stop is a clean stop.
func (r *relayProcess) stop(t *testing.T) {
	t.Helper()
	r.signal(syscall.SIGTERM)
	if !r.ends() {
		t.Fatal("serve does not stop on SIGTERM")
	}
	if r.status() != 0 {
		t.Fatalf("serve ended with status %d after SIGTERM", r.status())
	}
}

// get asks the admin address; status 0 is no answer.
func (r *relayProcess) get(path string) (status int, body string) {
	reply, err := http.Get("http://" + r.address["admin"] + path)
	if err != nil {
		return 0, ""
	}
	defer reply.Body.Close()
	b, err := io.ReadAll(reply.Body)
	if err != nil {
		return 0, ""
	}
	return reply.StatusCode, string(b)
}

// metric returns the sum of the samples whose line begins with series.
func (r *relayProcess) metric(t *testing.T, series string) float64 {
	t.Helper()
	_, text := r.get("/metrics")
	return sumOf(t, text, series)
}

func sumOf(t *testing.T, text, series string) float64 {
	t.Helper()
	var sum float64
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, series) {
			value, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' ')+1:]), 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += value
		}
	}
	return sum
}

// queued is a line of `queue list --json` or `queue show --json`.
type queued struct {
	ID      string   `json:"id"`
	State   string   `json:"state"`
	Size    int64    `json:"size"`
	From    string   `json:"envelope_from"`
	To      []string `json:"envelope_to"`
	Subject string   `json:"subject"`
	Reason  string   `json:"reason"`
	Detail  string   `json:"detail"`
	User    string   `json:"user"`
	Events  []struct {
		What string `json:"what"`
	} `json:"events"`
}

// queueCommand runs `queue` with the relay's configuration.
func (r *relayProcess) queueCommand(t *testing.T, args ...string) result {
	t.Helper()
	return command(t, "", append([]string{"queue", "--config", r.config}, args...)...)
}

// queue lists the messages that are not sent.
func (r *relayProcess) queue(t *testing.T) []queued {
	t.Helper()
	got := r.queueCommand(t, "list", "--json")
	if got.status != 0 {
		t.Fatalf("queue list: status %d, %s", got.status, got.stderr)
	}
	var open []queued
	for line := range strings.Lines(got.stdout) {
		var q queued
		if err := json.Unmarshal([]byte(line), &q); err != nil {
			t.Fatalf("queue list --json: %v in %q", err, line)
		}
		if q.State != "sent" {
			open = append(open, q)
		}
	}
	return open
}

// checkEmpty wants no message in the queue and no body on the disk.
func (r *relayProcess) checkEmpty(t *testing.T) {
	t.Helper()
	if open := r.queue(t); len(open) > 0 {
		t.Errorf("the queue holds %+v", open)
	}
	err := filepath.WalkDir(filepath.Join(r.dir, "data", "bodies"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			t.Errorf("a body was left behind: %s", d.Name())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// certificate is the self-signed pair that all relays of the tests use.
var certificate = sync.OnceValues(func() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "relay.contoso.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{"relay.contoso.test", "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, // so that every client takes it for an authority
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
})

func writeCertificate(t *testing.T, dir string) {
	t.Helper()
	c, err := certificate()
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"relay.crt": {Type: "CERTIFICATE", Bytes: c.Certificate[0]},
		"relay.key": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// clientTLS trusts that certificate and no other.
func clientTLS() *tls.Config {
	c, err := certificate()
	if err != nil {
		panic(err) // writeCertificate has failed the test before
	}
	authority, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	return &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
}
