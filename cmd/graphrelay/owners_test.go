package main_test

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

// owners makes the contract's connection one for mailboxes whose owners sign in.
func owners() []edit {
	return []edit{
		{"client_secret: simulated          # or client_secret_file, or client_secret_env", "sign_in: delegated"},
		{"delivery:\n", "mailboxes:\n  token_key_file: token.key\n\ndelivery:\n"},
	}
}

// startOwners starts a relay for such mailboxes.
func startOwners(t *testing.T, sim *simProcess) *relayProcess {
	t.Helper()
	r := newRelay(t, sim, owners()...)
	if err := os.WriteFile(filepath.Join(r.dir, "token.key"), []byte(newTokenKey()), 0o600); err != nil {
		t.Fatal(err)
	}
	r.start(t)
	return r
}

func newTokenKey() string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw)
	return base64.StdEncoding.EncodeToString(raw)
}

var userCode = regexp.MustCompile(`open (\S+), enter the code (\S+) and`)

// connect runs the command, with an owner who accepts as an account.
func (r *relayProcess) connect(t *testing.T, mailbox, account string) result {
	t.Helper()
	cmd := exec.Command(programPath(t), "connect", mailbox, "--smtp-user", "--config", r.config)
	p := startCommand(t, "connect", cmd)
	var prompt []string
	waitFor(t, "a code", func() bool {
		prompt = userCode.FindStringSubmatch(p.log.String())
		return prompt != nil || !p.running()
	})
	if prompt != nil {
		resp, err := http.PostForm(prompt[1], url.Values{"user_code": {prompt[2]}, "account": {account}})
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	if !p.ends() {
		t.Fatal("connect does not end")
	}
	return result{stdout: p.log.String(), status: p.status()}
}

var smtpPassword = regexp.MustCompile(`SMTP password: (\S+)`)
