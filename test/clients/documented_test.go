package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

// TestDocumentedGo runs the function that docs/clients.md shows for Go, with an authority of its own.
// It prints the queue ID of the message, which arrives.
func TestDocumentedGo(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	relay := harness.StartRelay(t, sim)
	_, rest, found := strings.Cut(harness.ReadFile(t, "../../docs/clients.md"), "### Go, with an authority of your own")
	_, rest, fenced := strings.Cut(rest, "```go\n")
	code, _, closed := strings.Cut(rest, "```")
	if !found || !fenced || !closed {
		t.Fatal("docs/clients.md has no such block")
	}
	code = strings.NewReplacer("relay.example.com:587", "localhost:"+relay.Port(t, "submission"), "relay.example.com", "localhost",
		"crm@example.com", "crm@contoso.test", `"crm-secret"`, `"`+harness.CRMPassword+`"`).Replace(code)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"ca.crt": harness.ReadFile(t, filepath.Join(relay.Dir, "relay.crt")),
		"go.mod": "module sample\n\ngo 1.26\n",
		"main.go": `package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/smtp"
	"os"
)

func send(message []byte) error {
` + code + `}

func main() {
	if err := send([]byte("From: crm@contoso.test\r\nTo: anna@example.org\r\nSubject: by Go\r\n\r\nx\r\n")); err != nil {
		panic(err)
	}
}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(harness.NeedTool(t, "go"), "run", ".")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	id, queued := strings.CutPrefix(strings.TrimSpace(string(out)), "2.0.0 queued as ")
	if !queued {
		t.Fatalf("it prints %s", out)
	}
	sim.Sent(t, "crm@contoso.test", "by Go")
	if got := relay.QueueCommand(t, "show", id); got.Status != 0 {
		t.Errorf("queue show %s: %s", id, got.Stderr)
	}
}
