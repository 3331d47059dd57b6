package clients

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

// letter is what applications send: an HTML page with its text, and a file.
type letter struct {
	From    string       `json:"from"`
	Name    string       `json:"name"`
	To      []string     `json:"to"`
	Cc      string       `json:"cc"`
	Bcc     string       `json:"bcc"`
	Subject string       `json:"subject"`
	Text    string       `json:"text"`
	HTML    string       `json:"html"`
	File    harness.File `json:"file"`
}

func newLetter(t *testing.T, from string) letter {
	t.Helper()
	return letter{
		From: from, Name: "Größer & Söhne", To: []string{"anna@example.com", "bernd@example.org"}, Cc: "chie@example.net", Bcc: "archive@example.com",
		Subject: "Ihre Rechnung – 本日 " + strings.Repeat("a long subject ", 8) + "end", Text: "Grüße\n.\n..two\n", HTML: "<p>Grüße</p>\n.\n<p>10 €</p>",
		File: harness.NewFile(t, "Rechnung Prüfung 本日.pdf", "application/pdf", harness.Noise(from, 300_000)),
	}
}

func (l letter) arrival() arrival {
	return arrival{
		from: simulator.Address{Name: l.Name, Address: l.From}, subject: l.Subject, to: named(l.To...), cc: named(l.Cc), bcc: named(l.Bcc),
		body:  simulator.Body{ContentType: "html", Content: l.HTML},
		files: []simulator.Attachment{{Name: l.File.Name, ContentType: l.File.Type, SHA256: harness.SHA256Hex(l.File.Content)}},
		path:  "draft",
	}
}

// application returns the command that sends a letter by a library, set up with code of
// docs/applications.md. The authority is the only one that it trusts; empty: those of this machine.
type application struct {
	language, begin string // of the code
	command         func(t *testing.T, code string, l letter, authority string) *exec.Cmd
}

var applications = map[string]application{
	"phpmailer": {"php", "// PHP, PHPMailer\n", sendPHPMailer},
	"ruby-mail": {"ruby", "# Ruby, the mail gem", sendRubyMail},
	"jakarta-mail": {"java", "// Java, Jakarta Mail", func(t *testing.T, code string, l letter, authority string) *exec.Cmd {
		return sendJava(t, code, l, authority, "jakarta", "/usr/share/java/jakarta-mail.jar", "/usr/share/java/jakarta-activation.jar")
	}},
	// What programs use that are older than Jakarta.
	"javamail": {"java", "// Java, Jakarta Mail", func(t *testing.T, code string, l letter, authority string) *exec.Cmd {
		return sendJava(t, code, l, authority, "javax", "/usr/share/java/javax.mail.jar", "/usr/share/java/javax.activation.jar")
	}},
}

// TestApplications sends with the code that docs/applications.md shows, and compares what arrives.
// The code must not send to a relay whose certificate is from an unknown authority, or has another
// name.
func TestApplications(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	relay := harness.StartRelay(t, sim)
	authority := filepath.Join(relay.Dir, "relay.crt")
	for name, app := range applications {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code := localized(t, relay, documented(t, "applications.md", app.language, app.begin))
			l := newLetter(t, name+"@contoso.test")
			if out, err := app.command(t, code, l, authority).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, harness.Tail(string(out)))
			}
			got, want := sim.Sent(t, l.From, l.Subject), l.arrival()
			got.Body.Content = strings.TrimRight(got.Body.Content, "\r\n") // PHPMailer adds an empty line
			if len(got.Attachments) == 1 {
				want.files[0].ContentID = got.Attachments[0].ContentID // Ruby gives each file one
			}
			want.check(t, sim, relay, got)

			l.Subject = "to another relay"
			if out, err := app.command(t, code, l, "").CombinedOutput(); err == nil {
				t.Errorf("it sends to a relay whose authority it does not know: %s", out)
			}
			if out, err := app.command(t, strings.ReplaceAll(code, "localhost", "127.1"), l, authority).CombinedOutput(); err == nil {
				t.Errorf("it sends to a relay whose certificate has another name: %s", out)
			}
		})
	}
}

func sendPHPMailer(t *testing.T, code string, l letter, authority string) *exec.Cmd {
	needFile(t, "/usr/share/php/libphp-phpmailer/autoload.php")
	args := []string{"testdata/applications/send.php", harness.SaveText(t, "<?php\n"+code), saveLetter(t, l)}
	if authority != "" {
		args = append([]string{"-d", "openssl.cafile=" + authority}, args...)
	}
	return exec.Command(harness.NeedTool(t, "php"), args...)
}

func sendRubyMail(t *testing.T, code string, l letter, authority string) *exec.Cmd {
	cmd := exec.Command(harness.NeedTool(t, "ruby"), "testdata/applications/send.rb", harness.SaveText(t, code), saveLetter(t, l))
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	if authority != "" {
		cmd.Env = append(cmd.Env, "SSL_CERT_FILE="+authority)
	}
	return cmd
}

// sendJava sends with the libraries in the jars. Their packages are those of Jakarta or javax.
func sendJava(t *testing.T, code string, l letter, authority, packages string, jars ...string) *exec.Cmd {
	java := harness.NeedTool(t, "java")
	for _, jar := range jars {
		needFile(t, jar)
	}
	dir := t.TempDir()
	program := strings.Replace(harness.ReadFile(t, "testdata/applications/Send.java"), "//SETTINGS\n", code, 1)
	source := filepath.Join(dir, "Send.java")
	if err := os.WriteFile(source, []byte(strings.ReplaceAll(program, "jakarta.", packages+".")), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", strings.Join(jars, ":")}
	if authority != "" {
		store := filepath.Join(dir, "authorities")
		harness.Tool(t, "", harness.NeedTool(t, "keytool"), "-importcert", "-noprompt", "-keystore", store, "-storepass", "changeit", "-file", authority)
		args = append(args, "-Djavax.net.ssl.trustStore="+store, "-Djavax.net.ssl.trustStorePassword=changeit")
	}
	cmd := exec.Command(java, append(args, source, l.From, l.Name, strings.Join(l.To, ","), l.Cc, l.Bcc, l.Subject, l.Text, l.HTML, l.File.Path, l.File.Name, l.File.Type)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8") // of the arguments
	return cmd
}

func saveLetter(t *testing.T, l letter) string {
	t.Helper()
	b, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	return harness.SaveText(t, string(b))
}

func needFile(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		harness.SkipUnlessCI(t, "%s is not there; .ci/install installs it", path)
	}
}
