package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/connection"
	"graphrelay/relay/credential"
)

func TestCheck(t *testing.T) {
	path := writeConfig(t, "", "")
	execute(t, "", "check", "--config", path, "--mailbox", "a@contoso.test").wantUsage(t, "--online")
	got := execute(t, "", "check", "--config", path)
	if want := (outcome{exitOK, path + " is good\n", ""}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	got = execute(t, "", "check", "--config", writeConfig(t, "client_secret:", "endpoints: {login: http://127.0.0.1:1, graph: http://127.0.0.1:1}\n    client_secret:"), "--online", "--json")
	if got.status != exitBadUsage || got.stdout == "" {
		t.Errorf("with a connection that cannot be reached: %+v", got)
	}
}

// --json without --online and --relay prints an object for the file.
func TestCheckJSON(t *testing.T) {
	path := writeConfig(t, "listeners:", "delivery: {retry_delays: [100ms]}\nlisteners:")
	for path, want := range map[string]checked{
		path:                                     {Configuration: path, Good: true, Warnings: []string{"retry_delays"}},
		writeConfig(t, "listeners:", "lisners:"): {Faults: []string{"lisners"}},
	} {
		got := execute(t, "", "check", "--json", "--config", path)
		var c checked
		if err := json.Unmarshal([]byte(got.stdout), &c); err != nil || strings.Count(got.stdout, "\n") != 1 {
			t.Fatalf("%+v: %v", got, err)
		}
		if c.Configuration != path || c.Good != want.Good || c.Good != (got.status == exitOK) || got.stderr == "" ||
			len(c.Warnings) != len(want.Warnings) || len(c.Faults) == 0 == (len(want.Faults) > 0) ||
			!strings.Contains(strings.Join(append(c.Warnings, c.Faults...), ""), strings.Join(append(want.Warnings, want.Faults...), "")) {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}

// What a user writes as the path, or the file holds, does not reach the terminal as it is.
func TestCheckOfAnOddPath(t *testing.T) {
	dir := t.TempDir()
	bad, good := filepath.Join(dir, "bad\x1b[2J\n.yaml"), filepath.Join(dir, "good\x1b[2J\n.yaml")
	for path, content := range map[string]string{bad: "x\u202e: 1\n", good: testConfig} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Skip("this system has no such names: ", err)
		}
	}
	for _, path := range []string{bad, good, bad + "x"} {
		for _, command := range []string{"check", "queue lanes", "serve"} {
			if path == good && command == "serve" {
				continue
			}
			got := execute(t, "", append(strings.Fields(command), "--config", path)...)
			if all := got.stdout + got.stderr; strings.ContainsAny(all, "\x1b\u202e") || strings.Contains(all, "\n.yaml") || all == "" {
				t.Errorf("%s: %q", command, all)
			}
		}
	}
}

// Warnings go to standard error, and the configuration is good nevertheless.
func TestCheckWarnings(t *testing.T) {
	got := execute(t, "", "check", "--config", writeConfig(t, "listeners:", "delivery: {retry_delays: [100ms]}\nlisteners:"))
	got.want(t, exitOK, "is good")
	outcome{exitBadUsage, "", got.stderr}.want(t, exitBadUsage, "warning: ", "retry_delays")
}

// Certificates are named, with who renews them.
func TestCheckCertificates(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certificates")
	s, err := credential.Create(dir, "relay", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	const secret = "client_secret: simulated"
	managed := "sign_in: certificate\n    certificate_directory: '" + dir + "'"
	execute(t, "", "check", "--config", writeConfig(t, secret, managed)).want(t, exitOK, "current certificate ", ", not registered yet, renewed by the relay from ")
	if err := s.Register("22222222-2222-2222-2222-222222222222"); err != nil {
		t.Fatal(err)
	}
	got := execute(t, "", "check", "--config", writeConfig(t, secret, managed))
	got.want(t, exitOK, "note: connection contoso: current certificate ", "note: connection contoso: standby certificate ", "renewed by the relay from ", "is good")
	if strings.Contains(got.stdout, "not registered") || got.stderr != "" {
		t.Errorf("%+v", got)
	}
	execute(t, "", "check", "--config", writeConfig(t, secret, managed+"\n    certificate_renewal: false")).want(t, exitOK, "so you renew it")
	files, err := filepath.Glob(filepath.Join(dir, "certificate-*.pem"))
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	execute(t, "", "check", "--config", writeConfig(t, secret, "sign_in: certificate\n    certificate_file: '"+files[0]+"'")).want(t, exitOK, "; you renew it")
}

// Mailboxes that several senders share are named, since recipients see one name for all.
func TestCheckSharedNames(t *testing.T) {
	check := func(rules string) outcome {
		return execute(t, "", "check", "--config", writeConfig(t, "listeners:", "senders: ["+rules+"]\nlisteners:"))
	}
	const one = `{match: "a@contoso.test", mailbox: shared@contoso.test}`
	if got := check(one + `, {match: "*@contoso.test", mailbox: other@contoso.test, from: original}`); got.status != exitOK || strings.Contains(got.stdout, "note:") {
		t.Errorf("nothing is shared: %+v", got)
	}
	check(one+`, {match: "b@contoso.test", mailbox: Shared@contoso.test}`).want(t, exitOK, "several senders may share shared@contoso.test;", "is good")
	check(`{match: "*@printers.local", mailbox: scanner@contoso.test}`).want(t, exitOK, "several senders may share scanner@contoso.test;")
}

func TestUntil(t *testing.T) {
	at := time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)
	if got := until("ok, until ", at); got != "ok, until 2026-11-02T10:00:00Z" {
		t.Error(got)
	}
	if got := until("ok, until ", time.Time{}); got != "-" {
		t.Error(got)
	}
}

func TestMailboxText(t *testing.T) {
	for want, c := range map[string]connection.Check{
		"a@contoso.test ok":     {Mailbox: "a@contoso.test", Readable: true},
		"a@contoso.test failed": {Mailbox: "a@contoso.test"},
		"a?[2J ok":              {Mailbox: "a\x1b[2J", Readable: true},
		"not tried":             {Good: true, Mailboxes: make([]connection.TriedMailbox, 2)},
		"2 ok":                  {Good: true, Readable: true, Mailboxes: []connection.TriedMailbox{{Readable: true}, {Readable: true}}},
		"2 of 3 failed":         {Mailboxes: []connection.TriedMailbox{{Readable: true}, {}, {Readable: true, Send: connection.RightRefused}}},
	} {
		if got := mailboxText(c); got != want {
			t.Errorf("%+v is shown as %q, want %q", c, got, want)
		}
	}
}
