package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"graphrelay/graph"
	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

// TestGitSendEmail sends two commits with git send-email: by SMTP as docs/applications.md shows, and
// through graphrelay as sendmail. What arrives is a thread, and git am makes the same files of it.
func TestGitSendEmail(t *testing.T) {
	t.Parallel()
	git := gitWithMail(t)
	sim := harness.StartSim(t)
	relay := harness.StartRelay(t, sim)
	smtp := "smtpSSLCertPath = " + filepath.Join(relay.Dir, "relay.crt") + "\n"
	command, _ := throughGraphrelay(t, relay, "git@contoso.test")
	for name, settings := range map[string]string{
		"smtp":     snippetOf(t, relay, "applications.md", "~/.gitconfig") + smtp,
		"sendmail": "[sendemail]\nsmtpServer = " + command + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := repository{git, t.TempDir(), name + "@contoso.test", harness.SaveText(t, settings)}
			g.run(t, "", "init", "-q")
			g.commit(t, "Grüße von "+name, "größer\n.\nFrom here on\n-- \n\ttab  \nno end")
			g.commit(t, "Add more to "+name, strings.Repeat("x", 2000)+"\n")
			g.run(t, "", "send-email", "--confirm=never", "--to=anna@example.com", "--cc=chie@example.net", "--bcc=archive@example.com", "-2", "HEAD")

			subjects := []string{"[PATCH 1/2] Grüße von " + name, "[PATCH 2/2] Add more to " + name}
			first, second := sim.Sent(t, g.from, subjects[0]), sim.Sent(t, g.from, subjects[1])
			if parent := propertyOf(second, graph.PropertyInReplyTo); parent == "" || parent != first.InternetMessageID {
				t.Errorf("the second answers %q, and not %q", parent, first.InternetMessageID)
			}
			received := repository{git, t.TempDir(), "reviewer@contoso.test", g.config}
			received.run(t, "", "init", "-q")
			for _, m := range []simulator.Message{first, second} {
				want := arrival{from: simulator.Address{Name: "Jörg Test", Address: g.from}, subject: m.Subject, to: named("anna@example.com"), cc: append(named("chie@example.net"), simulator.Address{Name: "Jörg Test", Address: g.from}),
					bcc: named("archive@example.com"), body: m.Body, path: "draft"}
				want.check(t, sim, relay, m)
				received.run(t, mailbox(m), "am", "--keep-cr")
			}
			if sent, got := g.run(t, "", "rev-parse", "HEAD^{tree}"), received.run(t, "", "rev-parse", "HEAD^{tree}"); sent != got {
				t.Errorf("git am makes other files of the patches: %s", received.run(t, "", "log", "-p"))
			}
		})
	}
}

// gitWithMail returns the path of git, which has its command send-email.
func gitWithMail(t *testing.T) string {
	t.Helper()
	git := harness.NeedTool(t, "git")
	needFile(t, filepath.Join(strings.TrimSpace(harness.Tool(t, "", git, "--exec-path")), "git-send-email"))
	return git
}

// repository is a repository of git whose user has an address and a configuration.
type repository struct{ git, dir, from, config string }

func (r repository) run(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	return harness.ToolEnv(t, []string{
		"GIT_CONFIG_GLOBAL=" + r.config, "GIT_CONFIG_NOSYSTEM=1", "LC_ALL=C.UTF-8",
		"GIT_AUTHOR_NAME=Jörg Test", "GIT_COMMITTER_NAME=Jörg Test", "GIT_AUTHOR_EMAIL=" + r.from, "GIT_COMMITTER_EMAIL=" + r.from,
	}, stdin, r.git, append([]string{"-C", r.dir}, args...)...)
}

// commit adds a file.
func (r repository) commit(t *testing.T, subject, content string) {
	t.Helper()
	files, err := os.ReadDir(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.dir, fmt.Sprintf("file%d.txt", len(files))), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	r.run(t, "", "add", "-A")
	r.run(t, "", "commit", "-q", "-m", subject+"\n\nThe reason is ½ €.")
}

// mailbox returns a message as a mail program saves it for git am.
func mailbox(m simulator.Message) string {
	return fmt.Sprintf("From nobody Mon Sep 17 00:00:00 2001\nFrom: %s <%s>\nSubject: %s\nDate: %s\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n%s",
		m.From.Name, m.From.Address, m.Subject, "Mon, 2 Nov 2026 10:00:00 +0100", harness.Lines(m.Body.Content))
}

func propertyOf(m simulator.Message, id string) string {
	i := slices.IndexFunc(m.Properties, func(p simulator.Property) bool { return strings.EqualFold(p.ID, id) })
	if i < 0 {
		return ""
	}
	return m.Properties[i].Value
}
