package clients

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

// webHost is the machine in docs/clients.md.
const webHost = "web1.contoso.test"

// job is a cron job, with the mail that cron sends root about it.
type job struct{ subject, output, text string }

// debianJob returns a job whose mail is as Debian's cron writes it.
func debianJob(name string) job {
	return cronJob(name, "MIME-Version: 1.0\n", "Content-Transfer-Encoding: 8bit\n")
}

// cronieJob returns a job whose mail is as cronie writes it, the cron of Red Hat, SUSE
// and Arch.
func cronieJob(name string) job { return cronJob(name, "", "Auto-Submitted: auto-generated\n") }

func cronJob(name, before, after string) job {
	j := job{subject: `Cron <root@web1> echo "größer"; ` + name, output: "größer\n.\n" + name + "\n"}
	j.text = fmt.Sprintf("From: root (Cron Daemon)\nTo: root\nSubject: %s\n%sContent-Type: text/plain; charset=UTF-8\n%s"+
		"X-Cron-Env: <SHELL=/bin/sh>\nX-Cron-Env: <HOME=/root>\nX-Cron-Env: <PATH=/usr/bin:/bin>\nX-Cron-Env: <LOGNAME=root>\n\n%s",
		j.subject, before, after, j.output)
	return j
}

// arrival returns the message that the mailbox must hold. Root's alias is in no header
// field, and so is a Bcc recipient.
func (j job) arrival(from string) arrival {
	return arrival{
		subject: j.subject, from: simulator.Address{Name: "Cron Daemon", Address: from}, bcc: named("ops@contoso.test"),
		body: simulator.Body{ContentType: "text", Content: j.output}, path: "draft",
	}
}

// snippet returns a file that docs/clients.md shows: the block that begins with the file's
// path. The relay's address and domain replace those of the example.
func snippet(t *testing.T, r *harness.Relay, path string) string {
	t.Helper()
	return snippetOf(t, r, "clients.md", path)
}

// sendmail returns the path of a command sendmail of a user with the given address, and its
// environment.
type sendmail func(t *testing.T, relay *harness.Relay, from string) (command string, env []string)

// throughMsmtp is a sendmail: msmtp, as docs/clients.md sets it up.
func throughMsmtp(t *testing.T, relay *harness.Relay, from string) (command string, env []string) {
	t.Helper()
	home := t.TempDir()
	rc := snippet(t, relay, "/etc/msmtprc")
	for path, with := range map[string]string{
		"/etc/aliases": harness.SaveText(t, snippet(t, relay, "/etc/aliases")), "root@" + webHost: from,
	} {
		if !strings.Contains(rc, path) {
			t.Fatalf("msmtprc lacks %s", path)
		}
		rc = strings.ReplaceAll(rc, path, with)
	}
	if err := os.WriteFile(filepath.Join(home, ".msmtprc"), []byte(rc), 0o600); err != nil {
		t.Fatal(err)
	}
	command = filepath.Join(home, "sendmail")
	if err := os.Symlink(harness.NeedTool(t, "msmtp"), command); err != nil {
		t.Fatal(err)
	}
	return command, []string{"HOME=" + home}
}

// throughGraphrelay is a sendmail: graphrelay itself, by a link, as docs/sendmail.md sets it up.
func throughGraphrelay(t *testing.T, relay *harness.Relay, from string) (command string, env []string) {
	dir := t.TempDir()
	link := filepath.Join(dir, "sendmail")
	if err := os.Symlink(harness.ProgramPath(t), link); err != nil {
		t.Fatal(err)
	}
	aliases := harness.SaveText(t, snippetOf(t, relay, "sendmail.md", "/etc/aliases"))
	settings := snippetOf(t, relay, "sendmail.md", "/etc/graphrelay-sendmail.yaml")
	settings = harness.SaveText(t, strings.NewReplacer("127.0.0.1:2525", relay.Address["devices"], "alerts@contoso.test", from).Replace(settings)+"aliases: "+aliases+"\n")
	command = filepath.Join(dir, "command")
	if err := os.WriteFile(command, []byte("#!/bin/sh\nexec "+link+" -C "+settings+` "$@"`+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return command, nil
}

// with returns a function of TestConversion that sends with a sendmail.
func (s sendmail) with(send func(t *testing.T, s sendmail, relay *harness.Relay, from string) arrival) func(*testing.T, *harness.Relay, string) arrival {
	return func(t *testing.T, relay *harness.Relay, from string) arrival { return send(t, s, relay, from) }
}

func sendCron(t *testing.T, s sendmail, relay *harness.Relay, from string) arrival {
	sendmail, env := s(t, relay, from)
	j := debianJob("cron")
	harness.ToolEnv(t, env, j.text, sendmail, "-FCronDaemon", "-i", "-B8BITMIME", "-oem", "root")
	want := j.arrival(from)
	want.report = []string{"not carried: ", "another X-Cron-Env"}
	return want
}

func sendCronie(t *testing.T, s sendmail, relay *harness.Relay, from string) arrival {
	sendmail, env := s(t, relay, from)
	j := cronieJob("cronie")
	harness.ToolEnv(t, env, j.text, sendmail, "-FCronDaemon", "-i", "-odi", "-oem", "-oi", "-t", "-f", "root")
	want := j.arrival(from)
	want.report = []string{"not carried: ", "Auto-Submitted", "another X-Cron-Env"}
	return want
}

// sendPHP sends with PHP's mail(), which runs sendmail.
func sendPHP(t *testing.T, s sendmail, relay *harness.Relay, from string) arrival {
	php := harness.NeedTool(t, "php")
	sendmail, env := s(t, relay, from)
	file := harness.NewFile(t, "Prüfung 本日.pdf", "application/pdf", harness.Noise("php", 100_000))
	harness.ToolEnv(t, env, "", php, "-n", "-d", "sendmail_path="+sendmail+" -t -i", "testdata/clients/mail.php", spec(t, map[string]any{
		"from": "Größer & Söhne <" + from + ">", "to": []string{"anna@example.com", "Bernd Müller <bernd@example.org>"},
		"cc": []string{"chie@example.net"}, "bcc": []string{"archive@example.com"},
		"subject": "Bestellung – 本日", "text": "Grüße\n.\n..two\n", "files": []harness.File{file},
	}))
	return arrival{
		from: simulator.Address{Name: "Größer & Söhne", Address: from}, subject: "Bestellung – 本日",
		to: []simulator.Address{{Address: "anna@example.com"}, {Name: "Bernd Müller", Address: "bernd@example.org"}},
		cc: named("chie@example.net"), bcc: named("archive@example.com"),
		body:  simulator.Body{ContentType: "text", Content: "Grüße\n.\n..two\n"},
		files: []simulator.Attachment{{Name: file.Name, ContentType: file.Type, SHA256: harness.SHA256Hex(file.Content)}},
		path:  "draft",
	}
}

// sendPowerShell sends as .NET's SmtpClient does for Send-MailMessage -UseSsl: with the
// mechanism in lower case, the user's name in the same line, a blank line before the end
// of the data, and without waiting for the answer to QUIT.
func sendPowerShell(t *testing.T, relay *harness.Relay, from string) arrival {
	raw, err := os.ReadFile("testdata/conversion/powershell.eml")
	if err != nil {
		t.Fatal(err)
	}
	d, err := relay.DialOnly("submission")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	_, err = d.Ask(334, "AUTH login %s", base64.StdEncoding.EncodeToString([]byte(harness.CRMUser)))
	if err == nil {
		_, err = d.Ask(235, "%s", base64.StdEncoding.EncodeToString([]byte(harness.CRMPassword)))
	}
	if err == nil {
		_, err = d.Submit(from, []string{"anna@example.com", "bernd@example.org", "chie@example.net", "archive@example.com"}, bytes.NewReader(raw))
	}
	if err == nil {
		err = d.PrintfLine("QUIT")
	}
	if err != nil {
		t.Fatal(err)
	}
	return arrival{
		from: simulator.Address{Address: from}, subject: "Grüße – 本日",
		to: named("anna@example.com", "bernd@example.org"), cc: named("chie@example.net"), bcc: named("archive@example.com"),
		body:  simulator.Body{ContentType: "text", Content: "Der Bericht hängt an."},
		files: []simulator.Attachment{{Name: "Übergabeprotokoll Prüfung 2026 – Anlage 本日.pdf", ContentType: "application/octet-stream", SHA256: harness.SHA256Hex(samplePDF)}},
		path:  "draft", report: []string{"not carried: ", "Date"},
		more: func(t *testing.T, _ *harness.Sim, got simulator.Message) {
			if got.Importance != "high" {
				t.Errorf("importance %s", got.Importance)
			}
		},
	}
}

// sendMdadm sends as mdadm and other programs of C do: through popen, with a header of their own.
func sendMdadm(t *testing.T, s sendmail, relay *harness.Relay, from string) arrival {
	sendmail, env := s(t, relay, from)
	harness.ToolEnv(t, env, "From: mdadm monitoring <root>\nTo: root\nSubject: DegradedArray event on /dev/md0:web1\n\nA DegradedArray event.\n", "sh", "-c", sendmail+" -t")
	return arrival{
		subject: "DegradedArray event on /dev/md0:web1", from: simulator.Address{Name: "mdadm monitoring", Address: from}, bcc: named("ops@contoso.test"),
		body: simulator.Body{ContentType: "text", Content: "A DegradedArray event.\n"}, path: "draft",
	}
}

// sendPython sends with a pipe to sendmail -t, as Python's documentation shows.
func sendPython(t *testing.T, s sendmail, relay *harness.Relay, from string) arrival {
	sendmail, env := s(t, relay, from)
	const script = `
import subprocess, sys
from email.message import EmailMessage
m = EmailMessage()
m["From"], m["To"], m["Bcc"], m["Subject"] = sys.argv[2], "anna@example.com", "archive@example.com", "Grüße aus Python"
m.set_content("größer\n.\n..two\n")
subprocess.run([sys.argv[1], "-t", "-oi"], input=m.as_bytes(), check=True)
`
	harness.ToolEnv(t, env, "", harness.NeedTool(t, "python3"), "-c", script, sendmail, from)
	return arrival{
		subject: "Grüße aus Python", from: simulator.Address{Address: from}, to: named("anna@example.com"), bcc: named("archive@example.com"),
		body: simulator.Body{ContentType: "text", Content: "größer\n.\n..two\n"}, path: "draft",
	}
}
