package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
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

// releasedRelay is newRelay with the program as it is released.
func releasedRelay(t *testing.T, sim *simProcess, edits ...edit) *relayProcess {
	t.Helper()
	program, err := plainProgram()
	if err != nil {
		t.Fatal(err)
	}
	r := newRelay(t, sim, edits...)
	r.program = program
	return r
}

// pauseAll stops the delivery of the contract's connection.
func (r *relayProcess) pauseAll(t *testing.T) {
	t.Helper()
	if got := r.queueCommand(t, "pause", "contoso"); got.status != 0 {
		t.Fatalf("queue pause: %s", got.stderr)
	}
}

func (r *relayProcess) port(t *testing.T, listener string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(r.address[listener])
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// withPasswords lets the clients of the listener devices sign in, without TLS.
var withPasswords = edit{"auth: none ", "auth: optional "}

// addUser adds an account to the configuration.
func addUser(name, hash string) edit {
	return edit{"users:\n", "users:\n  - name: " + name + "\n    password_hash: \"" + hash + "\"\n    senders: [\"*@contoso.test\"]\n"}
}

// signIn returns the answer to a password, or why there is none.
func (r *relayProcess) signIn(user, password string) string {
	d, err := r.dialOnly("submissions")
	if err != nil {
		return err.Error()
	}
	defer d.Close()
	return d.answer("AUTH PLAIN %s", plainResponse(user, password))
}

// sendOne sends a message by itself and returns the answer, or the error.
func (r *relayProcess) sendOne(t *testing.T, s sample) string {
	t.Helper()
	d, err := r.dial("devices")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	answer, err := d.send(s.From, s.recipients(), strings.NewReader(s.compose(rfc2231Name)))
	var refusal *textproto.Error
	if errors.As(err, &refusal) {
		return fmt.Sprintf("%d %s", refusal.Code, refusal.Msg)
	}
	if err != nil {
		return err.Error()
	}
	return "250 " + answer
}

func (r *relayProcess) resumeAll(t *testing.T) {
	t.Helper()
	if got := r.queueCommand(t, "resume", "contoso"); got.status != 0 {
		t.Fatalf("queue resume: %s", got.stderr)
	}
}
