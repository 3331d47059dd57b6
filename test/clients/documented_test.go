package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

// documented returns the block in a language that begins with a text in a page of docs.
func documented(t *testing.T, page, language, begin string) string {
	t.Helper()
	_, rest, found := strings.Cut(harness.ReadFile(t, "../../docs/"+page), "\n```"+language+"\n"+begin)
	text, _, ended := strings.Cut(rest, "```\n")
	if !found || !ended {
		t.Fatalf("docs/%s has no block in %s that begins with %q", page, language, begin)
	}
	return begin + text
}

// localized puts the relay's address, domain and authority in place of those of the documents.
func localized(t *testing.T, r *harness.Relay, text string) string {
	t.Helper()
	return strings.NewReplacer("relay.example.com", "localhost", "587", r.Port(t, "submission"), "example.com", "contoso.test",
		"/etc/ssl/certs/ca-certificates.crt", filepath.Join(r.Dir, "relay.crt"), "crm-secret", harness.CRMPassword).Replace(text)
}

// snippetOf returns a file that a page of docs shows: the block that begins with the file's path, without that.
func snippetOf(t *testing.T, r *harness.Relay, page, path string) string {
	t.Helper()
	heading := "# " + path + "\n"
	return localized(t, r, strings.TrimPrefix(documented(t, page, "conf", heading), heading))
}

// TestDocumentedGo runs the function that docs/clients.md shows for Go, with an authority of its own.
// It prints the queue ID of the message, which arrives.
func TestDocumentedGo(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	relay := harness.StartRelay(t, sim)
	code := localized(t, relay, documented(t, "clients.md", "go", `pem, err := os.ReadFile("ca.crt")`))
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
