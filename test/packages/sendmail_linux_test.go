package packages

import (
	"os"
	"slices"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

// sendmails are what makes graphrelay the command sendmail. In the rpm they are alternatives.
var sendmails = map[string]string{
	"/usr/sbin/sendmail":  "lrwxrwxrwx root:root",
	"/usr/lib/sendmail":   "lrwxrwxrwx root:root",
	"/usr/bin/mailq":      "lrwxrwxrwx root:root",
	"/usr/bin/newaliases": "lrwxrwxrwx root:root",
}

// The mail of cron about a job of the machine.
const cronSubject, cronMailbox = "echo by cron", "alerts@contoso.test"

// becomeSendmail installs graphrelay-mta beside graphrelay, and has cron send the relay what a job prints.
func becomeSendmail(t *testing.T, m machine, by manager, relay *harness.Relay, file string) {
	t.Helper()
	m.give(t, file)
	if out := m.run(t, by.install...); !strings.Contains(out, "docs/sendmail.md") {
		t.Errorf("whoever installs graphrelay-mta is not told of its settings: %s", out)
	}
	m.want(t, sendmails)
	for name, text := range map[string]string{
		"/etc/graphrelay-sendmail.yaml": "server: " + relay.Address["devices"] + "\nfrom: " + cronMailbox + "\n",
		"/etc/aliases":                  "root: ops@contoso.test\n",
		"/etc/crontab":                  "@reboot root " + cronSubject + "\n",
	} {
		if err := os.WriteFile(m.path(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m.run(t, "rm", "-f", "/run/crond.reboot") // so that cron starts as after a boot
	m.run(t, "systemctl", "restart", "cron")
	harness.WaitFor(t, "the mail of cron", func() bool {
		return strings.Contains(m.run(t, "runuser", "-u", "graphrelay", "--", "graphrelay", "queue", "list", "--json"), cronSubject)
	})
}

// upgradeSendmail installs the next version of graphrelay-mta.
func upgradeSendmail(t *testing.T, m machine, by manager, file string) {
	t.Helper()
	m.give(t, file)
	if out := m.run(t, by.upgrade...); strings.Contains(out, "docs/sendmail.md") {
		t.Errorf("the upgrade of graphrelay-mta says %s", out)
	}
	m.want(t, sendmails)
}

// removeSendmail removes graphrelay-mta, and leaves graphrelay.
func removeSendmail(t *testing.T, m machine, by manager) {
	t.Helper()
	m.run(t, append(slices.Clone(by.remove[:2]), "graphrelay-mta")...)
	for name := range sendmails {
		if m.has(t, name) {
			t.Errorf("%s is left over", name)
		}
	}
	if !m.has(t, "/etc/graphrelay-sendmail.yaml") || m.mainPID(t) == "0" {
		t.Error("the settings of sendmail, or the relay, went with graphrelay-mta")
	}
	m.run(t, "rm", "/etc/graphrelay-sendmail.yaml")
}
