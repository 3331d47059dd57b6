package clients

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

// TestCron has Debian's cron itself run jobs of root and of another user, and send what they print
// through graphrelay as /usr/sbin/sendmail, set up as docs/sendmail.md shows.
func TestCron(t *testing.T) {
	t.Parallel()
	harness.NeedTool(t, "cron")
	sim := harness.StartSim(t)
	relay := harness.StartRelay(t, sim)
	m := sendmailMachine(t, relay)
	for _, dir := range []string{"etc/cron.d", "var/spool/cron/crontabs"} {
		m.mkdir(t, dir)
	}
	m.write(t, "/etc/crontab", "@reboot root echo one; echo .; echo two\n@reboot nobody id -un\n")
	// The jobs of the real machine are hidden, and that its cron has run those of its start.
	cron := m.command("sh", "-c", "mount -t tmpfs none /etc/cron.d && mount -t tmpfs none /run && exec cron -f")
	var log strings.Builder
	cron.Stdout, cron.Stderr = &log, &log
	if err := cron.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cron.Process.Kill()
		_ = cron.Wait()
		if t.Failed() {
			t.Logf("cron: %s", log.String())
		}
	})
	for command, text := range map[string]string{"echo one; echo .; echo two": "one\n.\ntwo\n", "id -un": "nobody\n"} {
		user := "root"
		if command == "id -un" {
			user = "nobody"
		}
		want := arrival{
			subject: fmt.Sprintf("Cron <%s@web1> %s", user, command), from: simulator.Address{Name: "Cron Daemon", Address: "alerts@contoso.test"}, bcc: named("ops@contoso.test"),
			body: simulator.Body{ContentType: "text", Content: text}, path: "draft",
		}
		want.check(t, sim, relay, sim.Sent(t, "alerts@contoso.test", want.subject))
	}
}

// copyProgram makes a copy of the program that every user may run.
func copyProgram(t *testing.T, path string) {
	t.Helper()
	from, err := os.Open(harness.ProgramPath(t))
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
}
