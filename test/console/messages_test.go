package console

import (
	"encoding/json"
	"fmt"
	"net/smtp"
	"os/exec"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

// TestMessages does with messages in Chromium what an operator does.
func TestMessages(t *testing.T) {
	t.Parallel()
	node, chromium, script := browser(t, "messages.js")
	r := harness.StartRelay(t, harness.StartSim(t))
	run(t, r, "queue", "pause", "contoso")
	for i := range 3 {
		mail(t, r, fmt.Sprintf("Message %d of the test", i), "a.txt")
	}
	for _, evil := range []string{`<script>window.ran=1</script>`, `"><img src=x onerror=window.ran=1>`, `</textarea><svg onload=window.ran=1>`, `<iframe srcdoc="<script>parent.ran=1</script>">`} {
		mail(t, r, "hostile "+evil, evil)
	}
	tab := harness.StartCommand(t, "messages.js", exec.Command(node, script, "--cookie="+r.Session(t), chromium, "http://"+r.Address["admin"]))
	harness.WaitFor(t, "the search for a message to come", func() bool { return strings.Contains(tab.Log.String(), "open\n") || !tab.Running() })
	mail(t, r, "came later", "a.txt")
	harness.WaitFor(t, "the end of the script", func() bool { return !tab.Running() })
	if !strings.HasSuffix(tab.Log.String(), "inert\n") {
		t.Error(tab.Log.String())
	}
}

// pagesOfMessages are pages of the messages of a scene.
func pagesOfMessages(t *testing.T, r *harness.Relay) []string {
	t.Helper()
	id := func(flags ...string) string {
		var m struct{ ID string }
		got := harness.Command(t, "", append([]string{"queue", "list", "--json", "--limit", "1", "--config", r.Config}, flags...)...)
		if err := json.Unmarshal([]byte(got.Stdout), &m); err != nil {
			t.Fatalf("%v: %s", err, got.Stderr)
		}
		return "/console/messages/" + m.ID
	}
	held, failed := id("--state", "held"), id("--state", "failed")
	return []string{"/console/messages", "/console/messages?q=order&since=1d&reason=throttled", failed, id("--state", "sent", "--subject", "scan"), held, held + "/content", held + "/source",
		"/console/messages/confirm?action=delete&scope=all&q=backup"}
}

// mail sends a message with a small file, whose texts are as they are given.
func mail(t *testing.T, r *harness.Relay, subject, file string) {
	t.Helper()
	mailFile(t, r, subject, file, "x")
}

// mailFile sends a message with a file.
func mailFile(t *testing.T, r *harness.Relay, subject, file, content string) {
	t.Helper()
	message := "From: \"" + strings.ReplaceAll(file, `"`, `\"`) + "\" <crm@contoso.test>\r\nTo: anna@example.test\r\nSubject: " + subject +
		"\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n" + file +
		"\r\n--b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename=\"" + strings.ReplaceAll(file, `"`, `\"`) + "\"\r\n\r\n" + content + "\r\n--b--\r\n"
	if err := smtp.SendMail(r.Address["devices"], nil, "crm@contoso.test", []string{"anna@example.test"}, []byte(message)); err != nil {
		t.Fatal(err)
	}
}
