package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSendTestUsage(t *testing.T) {
	execute(t, "", "send-test", "--config", writeConfig(t, "", "")).wantUsage(t, "--to")
	execute(t, "", "send-test", "--to", "bob@example.test", "--wait", "-1s").wantUsage(t, "--wait")
	execute(t, "", "send-test", "--to", "bob@example.test", "--wait", "0").wantUsage(t, "--wait")
	execute(t, "", "send-test", "--to", "bob@example.test", "--password-file", "x").wantUsage(t, "--user")
	got := execute(t, "", "send-test", "--to", "bob@example.test", "--from", "anna@contoso.test", "--config", writeConfig(t, "", ""))
	if got.status != exitBadUsage || got.stderr == "" {
		t.Errorf("without a relay: %+v", got)
	}
}

// The password comes from the file, the environment or standard input, in this order.
func TestSMTPPassword(t *testing.T) {
	if _, err := smtpPassword(env{stdin: strings.NewReader("\n")}, ""); err == nil || !strings.Contains(err.Error(), "--password-file") {
		t.Error(err)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{empty: "is empty", empty + "x": "name a file with the user's password"} {
		if _, err := smtpPassword(env{}, path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	e := env{stdin: strings.NewReader("from-input\n")}
	if got, err := smtpPassword(e, ""); err != nil || got != "from-input" {
		t.Errorf("%q, %v", got, err)
	}
	t.Setenv(passwordVariable, "from-environment")
	if got, err := smtpPassword(e, ""); err != nil || got != "from-environment" {
		t.Errorf("%q, %v", got, err)
	}
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := smtpPassword(e, file); err != nil || got != "from-file" {
		t.Errorf("%q, %v", got, err)
	}
}
