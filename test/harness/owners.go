package harness

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// owners returns the edits that make the contract's connection one to which mailbox
// owners sign in.
func owners() []Edit {
	return []Edit{
		Replace("client_secret: simulated          # or client_secret_file, or client_secret_env", "sign_in: delegated"),
		Replace("delivery:\n", "mailboxes:\n  token_key_file: token.key\n\ndelivery:\n"),
	}
}

// StartOwners starts a relay whose mailboxes are connected by their owners.
func StartOwners(t *testing.T, sim *Sim) *Relay {
	t.Helper()
	r := NewRelay(t, sim, owners()...)
	if err := os.WriteFile(filepath.Join(r.Dir, "token.key"), []byte(NewTokenKey()), 0o600); err != nil {
		t.Fatal(err)
	}
	r.Start(t)
	return r
}

// NewTokenKey returns a key for the sign-ins that are stored.
func NewTokenKey() string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw)
	return base64.StdEncoding.EncodeToString(raw)
}

var userCode = regexp.MustCompile(`open (\S+), enter the code (\S+) and`)

// Connect runs graphrelay connect for a mailbox, with more options, and signs in as the
// account.
func (r *Relay) Connect(t *testing.T, mailbox, account string, options ...string) Result {
	t.Helper()
	cmd := exec.Command(ProgramPath(t), append([]string{"connect", mailbox, "--smtp-user", "--config", r.Config}, options...)...)
	p := StartCommand(t, "connect", cmd)
	var prompt []string
	WaitFor(t, "a code", func() bool {
		prompt = userCode.FindStringSubmatch(p.Log.String())
		return prompt != nil || !p.Running()
	})
	if prompt != nil {
		resp, err := http.PostForm(prompt[1], url.Values{"user_code": {prompt[2]}, "account": {account}})
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	if !p.Ends() {
		t.Fatal("connect does not end")
	}
	return Result{Stdout: p.Log.String(), Status: p.Status()}
}

var SMTPPassword = regexp.MustCompile(`SMTP password: (\S+)`)
