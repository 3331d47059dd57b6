package harness

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The contract's configuration, which must always be accepted as it stands, and a user in
// it.
const (
	ContractConfig = "../../relay/config/testdata/good/relay.yaml"
	CRMUser        = "crm"
	CRMPassword    = "crm-secret"
)

// Relay is a process of graphrelay serve, with its configuration and its data.
type Relay struct {
	*Process
	program string
	Launch  func(*exec.Cmd) error // starts the process; exec's Start unless a test sets another
	Dir     string                // holds all its files
	Config  string                // path
	Address map[string]string     // of the listeners by name, and of admin
}

// Edit replaces a text in the configuration that occurs there once.
type Edit struct{ old, New string }

// Replace returns an Edit that replaces old by new.
func Replace(old, new string) Edit { return Edit{old, new} }

// DeliveryKey returns an Edit that adds lines to the section delivery.
func DeliveryKey(line string) Edit { return Replace("delivery:\n", "delivery:\n  "+line+"\n") }

// LimitsKey returns an Edit that adds lines to the section limits.
func LimitsKey(line string) Edit { return Replace("limits:\n", "limits:\n  "+line+"\n") }

// SharedQueue returns an Edit that puts the queue into a database. Node names the relay there.
func SharedQueue(database, node string, lease time.Duration) Edit {
	return Replace("\ndelivery:\n", fmt.Sprintf("\nqueue:\n  url: %q\n  node: %s\n  lease: %s\n\ndelivery:\n", database, node, lease))
}

// NewRelay writes the contract's configuration with free ports, the simulator's endpoints
// and the edits. It does not start the relay.
func NewRelay(t *testing.T, sim *Sim, edits ...Edit) *Relay {
	t.Helper()
	r := &Relay{program: ProgramPath(t), Launch: (*exec.Cmd).Start, Dir: t.TempDir(), Address: map[string]string{}}
	// The character after the port keeps Replace from taking a free port such as 24651 for 2465.
	for name, port := range map[string]string{"devices": "2525\n", "submission": "2587\n", "submissions": "2465\n", "admin": "9025 "} {
		r.Address[name] = fmt.Sprintf("127.0.0.1:%d", FreePort(t))
		edits = append(edits, Replace("address: 127.0.0.1:"+port, "address: "+r.Address[name]+port[4:]))
	}
	edits = append(edits, Replace("login: http://127.0.0.1:8100", "login: "+sim.URL), Replace("graph: http://127.0.0.1:8100", "graph: "+sim.URL))
	text, err := os.ReadFile(ContractConfig)
	if err != nil {
		t.Fatal(err)
	}
	r.Config = filepath.Join(r.Dir, "relay.yaml")
	r.Write(t, string(text), edits...)
	WriteCertificate(t, r.Dir)
	return r
}

// Write writes text, with the edits, as the configuration file.
func (r *Relay) Write(t *testing.T, text string, edits ...Edit) {
	t.Helper()
	for _, e := range edits {
		if n := strings.Count(text, e.old); n != 1 {
			t.Fatalf("the configuration has %q %d times", e.old, n)
		}
		text = strings.Replace(text, e.old, e.New, 1)
	}
	if err := os.WriteFile(r.Config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// StartRelay is NewRelay followed by Start.
func StartRelay(t *testing.T, sim *Sim, edits ...Edit) *Relay {
	t.Helper()
	r := NewRelay(t, sim, edits...)
	r.Start(t)
	return r
}

// Start starts the relay and waits until it accepts mail.
func (r *Relay) Start(t *testing.T) {
	t.Helper()
	r.Begin(t)
	WaitFor(t, "/readyz", func() bool {
		if !r.Running() {
			t.Fatalf("serve ended with status %d", r.Status())
		}
		status, _ := r.Get("/readyz")
		return status == http.StatusOK
	})
}

// Begin starts the relay and does not wait.
func (r *Relay) Begin(t *testing.T) {
	t.Helper()
	r.Process = launchCommand(t, r.Launch, "serve", exec.Command(r.program, "serve", "--config", r.Config))
}

// Kill ends the relay with SIGKILL.
func (r *Relay) Kill(t *testing.T) {
	t.Helper()
	r.Signal(syscall.SIGKILL)
	if !r.Ends() {
		t.Fatal("serve survives SIGKILL")
	}
}

// Stop ends the relay with SIGTERM. Its exit status must be 0.
func (r *Relay) Stop(t *testing.T) {
	t.Helper()
	r.Signal(syscall.SIGTERM)
	if !r.Ends() {
		t.Fatal("serve does not stop on SIGTERM")
	}
	if r.Status() != 0 {
		t.Fatalf("serve ended with status %d after SIGTERM", r.Status())
	}
}

// Get requests a path of the admin address. Status 0 means that there was no answer.
func (r *Relay) Get(path string) (status int, body string) {
	reply, err := http.Get("http://" + r.Address["admin"] + path)
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

// Session signs in to the console with the link of graphrelay console, and returns the session's
// cookie as NAME=VALUE.
func (r *Relay) Session(t *testing.T) string {
	t.Helper()
	got := Command(t, "", "console", "--config", r.Config)
	link, err := url.Parse(strings.TrimSpace(got.Stdout))
	if got.Status != 0 || err != nil {
		t.Fatalf("console: %d, %v: %s", got.Status, err, got.Stderr)
	}
	reply, err := http.DefaultTransport.RoundTrip(&http.Request{Method: http.MethodGet, URL: link, Header: http.Header{}}) // follows no redirect
	if err != nil {
		t.Fatal(err)
	}
	_ = reply.Body.Close()
	for _, c := range reply.Cookies() {
		return c.Name + "=" + c.Value
	}
	t.Fatalf("no session: %s", reply.Status)
	return ""
}

// Metric returns the sum of the metric's samples whose lines begin with series.
func (r *Relay) Metric(t *testing.T, series string) float64 {
	t.Helper()
	_, text := r.Get("/metrics")
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

// Queued is a message as graphrelay queue list and show print it with --json.
type Queued struct {
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

// QueueCommand runs graphrelay queue with the relay's configuration.
func (r *Relay) QueueCommand(t *testing.T, args ...string) Result {
	t.Helper()
	return Command(t, "", append([]string{"queue", "--config", r.Config}, args...)...)
}

// Queue returns the messages that are not sent.
func (r *Relay) Queue(t *testing.T) []Queued {
	t.Helper()
	got := r.QueueCommand(t, "list", "--json")
	if got.Status != 0 {
		t.Fatalf("queue list: status %d, %s", got.Status, got.Stderr)
	}
	var open []Queued
	for line := range strings.Lines(got.Stdout) {
		var q Queued
		if err := json.Unmarshal([]byte(line), &q); err != nil {
			t.Fatalf("queue list --json: %v in %q", err, line)
		}
		if q.State != "sent" {
			open = append(open, q)
		}
	}
	return open
}

// CheckEmpty fails the test if the queue holds a message or the disk a body.
func (r *Relay) CheckEmpty(t *testing.T) {
	t.Helper()
	if open := r.Queue(t); len(open) > 0 {
		t.Errorf("the queue holds %+v", open)
	}
	err := filepath.WalkDir(filepath.Join(r.Dir, "data", "bodies"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			t.Errorf("a body was left behind: %s", d.Name())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// ReleasedRelay is NewRelay with the program built as for a release.
func ReleasedRelay(t *testing.T, sim *Sim, edits ...Edit) *Relay {
	t.Helper()
	r := NewRelay(t, sim, edits...)
	r.program = ReleasedPath(t)
	return r
}

// Use has the relay run another build of the program from its next start.
func (r *Relay) Use(program string) { r.program = program }

// PauseAll pauses the contract's connection.
func (r *Relay) PauseAll(t *testing.T) {
	t.Helper()
	if got := r.QueueCommand(t, "pause", "contoso"); got.Status != 0 {
		t.Fatalf("queue pause: %s", got.Stderr)
	}
}

func (r *Relay) Port(t *testing.T, listener string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(r.Address[listener])
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// WithPasswords lets clients of the listener devices sign in without TLS.
var WithPasswords = Replace("auth: none ", "auth: optional ")

// AddUser returns an Edit that adds a user.
func AddUser(name, hash string) Edit {
	return Replace("users:\n", "users:\n  - name: "+name+"\n    password_hash: \""+hash+"\"\n    senders: [\"*@contoso.test\"]\n")
}

// SignIn signs in with a password and returns the answer, or the text of the error.
func (r *Relay) SignIn(user, password string) string {
	d, err := r.DialOnly("submissions")
	if err != nil {
		return err.Error()
	}
	defer d.Close()
	return d.Answer("AUTH PLAIN %s", PlainResponse(user, password))
}

// SendOne sends a message over a connection of its own, and returns the answer or the
// text of the error.
func (r *Relay) SendOne(t *testing.T, s Sample) string {
	t.Helper()
	d, err := r.Dial("devices")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	answer, err := d.send(s.From, s.Recipients(), strings.NewReader(s.Compose(RFC2231Name)))
	var refusal *textproto.Error
	if errors.As(err, &refusal) {
		return fmt.Sprintf("%d %s", refusal.Code, refusal.Msg)
	}
	if err != nil {
		return err.Error()
	}
	return "250 " + answer
}

func (r *Relay) ResumeAll(t *testing.T) {
	t.Helper()
	if got := r.QueueCommand(t, "resume", "contoso"); got.Status != 0 {
		t.Fatalf("queue resume: %s", got.Stderr)
	}
}
