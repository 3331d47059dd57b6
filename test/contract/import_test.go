package contract

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

// importInto runs graphrelay import, and gives the relay the configuration that it writes, with
// the addresses of the simulator.
func importInto(t *testing.T, r *harness.Relay, sim *harness.Sim, args ...string) (stderr string) {
	t.Helper()
	out := filepath.Join(r.Dir, "imported.yaml")
	got := harness.Command(t, "", append(append([]string{"import"}, args...), "--out", out)...)
	if got.Status != 0 || got.Stdout != "" {
		t.Fatalf("import: status %d, %s%s", got.Status, got.Stdout, got.Stderr)
	}
	if info, err := os.Stat(out); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the configuration: %v, %v", info.Mode(), err)
	}
	r.Write(t, harness.ReadFile(t, out)+fmt.Sprintf("\nadmin: {address: %q}\n", r.Address["admin"]),
		harness.Replace("\n    domains: ", fmt.Sprintf("\n    endpoints: {login: %q, graph: %q}\n    domains: ", sim.URL, sim.URL)))
	return got.Stderr
}

// secretIn reports whether the text has a secret of these tests.
func secretIn(text string) bool {
	return strings.Contains(text, "simulated") || strings.Contains(text, "sesame")
}

// TestImportSMTP2Graph translates a configuration of SMTP2Graph, with which the relay starts, signs
// users in with their passwords, and sends.
func TestImportSMTP2Graph(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	r := harness.NewRelay(t, sim)
	source := filepath.Join(t.TempDir(), "config.yml")
	text := fmt.Sprintf(`
mode: full
send:
  appReg: {tenant: contoso, id: 22222222-2222-2222-2222-222222222222, secret: simulated}
receive:
  port: %s
  listenAddress: 127.0.0.1
  requireAuth: true
  users:
    - {username: crm, password: crm-sesame, allowedFrom: [crm@contoso.test]}
`, r.Port(t, "devices"))
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}

	shown := harness.Command(t, "", "import", "smtp2graph", source)
	if shown.Status != 0 || !strings.Contains(shown.Stdout, "client_secret_file: \"smtp2graph.secret\"") || secretIn(shown.Stdout+shown.Stderr) {
		t.Errorf("import prints, with status %d,\n%s%s", shown.Status, shown.Stdout, shown.Stderr)
	}
	notes := importInto(t, r, sim, "smtp2graph", source)
	if !strings.Contains(notes, "note: mail_readwrite is false") || secretIn(notes) {
		t.Errorf("the notes are\n%s", notes)
	}
	secret := filepath.Join(r.Dir, "smtp2graph.secret")
	if info, err := os.Stat(secret); err != nil || info.Mode().Perm() != 0o600 || harness.ReadFile(t, secret) != "simulated\n" {
		t.Errorf("the secret: %v, %v", info, err)
	}
	again := harness.Command(t, "", "import", "smtp2graph", source, "--out", filepath.Join(r.Dir, "other.yaml"))
	if again.Status != 1 || !strings.Contains(again.Stderr, "nothing is overwritten") {
		t.Errorf("with the secret there already: %d %s", again.Status, again.Stderr)
	}

	r.Start(t)
	d, err := r.DialOnly("devices")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	d.Answer("EHLO client.test")
	if answer := d.Answer("AUTH PLAIN %s", harness.PlainResponse("crm", "crm-sesame")); !strings.HasPrefix(answer, "235 ") {
		t.Fatal(answer)
	}
	if answer := d.Answer("MAIL FROM:<ceo@contoso.test>"); !strings.HasPrefix(answer, "550 ") {
		t.Errorf("another sender: %s", answer)
	}
	for _, command := range []string{"MAIL FROM:<crm@contoso.test>", "RCPT TO:<anna@example.com>", "DATA", "From: crm@contoso.test\r\nSubject: imported\r\n\r\nx\r\n."} {
		if answer := d.Answer("%s", command); answer[0] > '3' {
			t.Fatalf("%q: %s", command, answer)
		}
	}
	sim.Sent(t, "crm@contoso.test", "imported")
}

// TestImportPostfix translates a configuration of Postfix, with which the relay starts and sends
// from the mailboxes to which Postfix rewrote senders.
func TestImportPostfix(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	r := harness.NewRelay(t, sim)
	folder := t.TempDir()
	for name, text := range map[string]string{
		"main.cf":   "myhostname = mail.contoso.test\ninet_interfaces = 127.0.0.1\nmynetworks = 127.0.0.0/8\nrelayhost = [smtp.office365.com]:587\nsmtp_sasl_password_maps = hash:/etc/postfix/passwords\nsmtp_generic_maps = hash:/etc/postfix/generic\n",
		"master.cf": r.Port(t, "devices") + " inet n - y - - smtpd\n",
		"passwords": "[smtp.office365.com]:587 scanner@contoso.test:open-sesame\n",
		"generic":   "@printers.local scanner@contoso.test\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if notes := importInto(t, r, sim, "postfix", folder); !strings.Contains(notes, "Postfix knows no application") || secretIn(notes) {
		t.Errorf("the notes are\n%s", notes)
	}
	if err := os.WriteFile(filepath.Join(r.Dir, "microsoft365.secret"), []byte("simulated\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.Start(t)
	s := harness.Sample{From: "floor3@printers.local", To: []string{"anna@example.com"}, Subject: "scan", Text: "x\n"}
	if answer := r.SendOne(t, s); !strings.HasPrefix(answer, "250 ") {
		t.Fatal(answer)
	}
	if got := sim.Sent(t, "scanner@contoso.test", "scan"); len(got.ReplyTo) > 0 {
		t.Errorf("answers go to %v", got.ReplyTo)
	}
}
