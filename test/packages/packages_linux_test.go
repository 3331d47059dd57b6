package packages

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

// manager installs and removes packages of one kind.
type manager struct {
	install, upgrade, remove []string
	forget                   []string // removes what removal keeps
	files                    map[string]string
}

var debs = manager{
	install: []string{"dpkg", "--install", "/root/package"},
	upgrade: []string{"dpkg", "--install", "/root/package"},
	remove:  []string{"dpkg", "--remove", "graphrelay"},
	forget:  []string{"dpkg", "--purge", "graphrelay"},
	files: map[string]string{
		"/usr/share/zsh/vendor-completions/_graphrelay": "-rw-r--r-- root:root",
		"/usr/share/doc/graphrelay/copyright":           "-rw-r--r-- root:root",
	},
}

// rpm does not know the packages of the machine, which is a Debian: --nodeps.
var rpms = manager{
	install: []string{"rpm", "--install", "--nodeps", "/root/package"},
	upgrade: []string{"rpm", "--upgrade", "--nodeps", "/root/package"},
	remove:  []string{"rpm", "--erase", "graphrelay"},
	forget:  []string{"rm", "-r", "/etc/graphrelay", "/var/lib/graphrelay"},
	files: map[string]string{
		"/usr/share/zsh/site-functions/_graphrelay": "-rw-r--r-- root:root",
		"/usr/share/licenses/graphrelay/LICENSE":    "-rw-r--r-- root:root",
	},
}

// installed are files of both kinds of packages, and what their scripts make.
var installed = map[string]string{
	"/usr/bin/graphrelay":                                    "-rwxr-xr-x root:root",
	"/usr/lib/systemd/system/graphrelay.service":             "-rw-r--r-- root:root",
	"/usr/lib/sysusers.d/graphrelay.conf":                    "-rw-r--r-- root:root",
	"/usr/lib/tmpfiles.d/graphrelay.conf":                    "-rw-r--r-- root:root",
	"/usr/share/man/man1/graphrelay-queue-list.1.gz":         "-rw-r--r-- root:root",
	"/usr/share/bash-completion/completions/graphrelay":      "-rw-r--r-- root:root",
	"/usr/share/fish/vendor_completions.d/graphrelay.fish":   "-rw-r--r-- root:root",
	"/usr/share/doc/graphrelay/README.md":                    "-rw-r--r-- root:root",
	"/usr/share/doc/graphrelay/docs/install.md":              "-rw-r--r-- root:root",
	"/usr/share/doc/graphrelay/config.example.yaml":          "-rw-r--r-- root:root",
	"/usr/share/doc/graphrelay/deploy/prometheus/alerts.yml": "-rw-r--r-- root:root",
	"/etc/fail2ban/filter.d/graphrelay.conf":                 "-rw-r--r-- root:root",
	"/etc/graphrelay":                                        "drwxr-x--- root:graphrelay",
	"/var/lib/graphrelay":                                    "drwx------ graphrelay:graphrelay",
}

const (
	unit   = "/usr/lib/systemd/system/graphrelay.service"
	config = "/etc/graphrelay/relay.yaml"
	filter = "/etc/fail2ban/filter.d/graphrelay.conf"
)

// TestPackages installs each kind of package on a machine with systemd. The service must deliver
// mail, also that of cron once graphrelay-mta is installed, an upgrade must keep the queue and what was
// configured and start the new program, and a removal must keep queue and configuration.
func TestPackages(t *testing.T) {
	m := boot(t)
	build := builds(t)
	oldDeb, oldRPM := build("v1.9.0")
	newDeb, newRPM := build("v1.10.0")
	t.Run("deb", func(t *testing.T) { live(t, m, debs, oldDeb, newDeb) })
	m.run(t, "userdel", "graphrelay")
	t.Run("rpm", func(t *testing.T) { live(t, m, rpms, oldRPM, newRPM) })
}

// live takes a package from its installation to its end.
func live(t *testing.T, m machine, by manager, older, newer pair) {
	m.give(t, older.main)
	if out := m.run(t, by.install...); !strings.Contains(out, "    graphrelay setup\n") {
		t.Errorf("whoever installs the package is not told what to do next: %s", out)
	}
	m.want(t, installed)
	m.want(t, by.files)
	for _, sample := range []string{"office", "crm", "tenants"} {
		if text := harness.ReadFile(t, m.path("/usr/share/doc/graphrelay/config."+sample+".yaml")); strings.Count(text, "\ndata_dir: /var/lib/graphrelay\n") != 1 {
			t.Errorf("config.%s.yaml does not put the queue where the service may write", sample)
		}
	}
	if out := m.run(t, "systemd-analyze", "verify", "--man=no", unit); out != "" {
		t.Errorf("systemd-analyze verify: %s", out)
	}
	m.run(t, "systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=20", unit)

	sim := harness.StartSim(t)
	relay := configure(t, m, sim)
	m.run(t, "systemctl", "enable", "--now", "graphrelay")
	if answer := relay.SendOne(t, harness.TenKilobytes("kept")(1)); !strings.HasPrefix(answer, "250") {
		t.Fatalf("the message is answered %q", answer)
	}
	if out := m.run(t, "graphrelay", "healthcheck"); !strings.HasSuffix(out, " runs\n") {
		t.Errorf("healthcheck prints %q", out)
	}
	becomeSendmail(t, m, by, relay, older.mta)
	before := m.mainPID(t)

	// The new version finds the messages, and Graph.
	configured := strings.Replace(harness.ReadFile(t, m.path(config)), "graph: "+nowhere, "graph: "+sim.URL, 1)
	m.write(t, config, configured)
	m.give(t, newer.main)
	if out := m.run(t, by.upgrade...); strings.Contains(out, "graphrelay setup") {
		t.Errorf("the upgrade says %s", out)
	}
	m.want(t, installed)
	for name, want := range map[string]string{config: configured, filter: changed} {
		if got := harness.ReadFile(t, m.path(name)); got != want {
			t.Errorf("after the upgrade, %s is %q", name, got)
		}
	}
	if after := m.mainPID(t); after == "0" || after == before {
		t.Errorf("the process of the service was %s before the upgrade, and is %s", before, after)
	}
	upgradeSendmail(t, m, by, newer.mta)
	m.run(t, "runuser", "-u", "graphrelay", "--", "graphrelay", "queue", "retry", "--all")
	harness.WaitFor(t, "the messages that were queued before the upgrade", func() bool { return sim.Sends(t) == 2 })
	if got := sim.Messages(t, cronMailbox); len(got) != 1 || !strings.Contains(got[0].Subject, cronSubject) || got[0].Body.Content != "by cron\r\n" {
		t.Errorf("of cron came %+v", got)
	}

	removeSendmail(t, m, by)
	m.run(t, by.remove...)
	if pid := m.mainPID(t); pid != "0" {
		t.Errorf("after the removal, the service runs as process %s", pid)
	}
	for name, want := range map[string]bool{"/usr/bin/graphrelay": false, unit: false, config: true, "/var/lib/graphrelay/queue.db": true} {
		if m.has(t, name) != want {
			t.Errorf("after the removal, it is %v that %s is there", !want, name)
		}
	}
	m.run(t, by.forget...)
	for _, name := range []string{"/etc/graphrelay", "/var/lib/graphrelay", "/etc/systemd/system/multi-user.target.wants/graphrelay.service"} {
		if m.has(t, name) {
			t.Errorf("%s is left over", name)
		}
	}
}

// give puts a package where the manager finds it.
func (m machine) give(t *testing.T, file string) {
	t.Helper()
	if err := os.WriteFile(m.path("/root/package"), []byte(harness.ReadFile(t, file)), 0o644); err != nil {
		t.Fatal(err)
	}
}

const (
	nowhere = "http://127.0.0.1:9" // where no Graph is
	changed = "# changed here\n"
)

// configure does what an administrator does before the first start. Graph cannot be reached, so that
// messages stay in the queue.
func configure(t *testing.T, m machine, sim *harness.Sim) *harness.Relay {
	t.Helper()
	relay := harness.NewRelay(t, sim, harness.Replace("data_dir: ./data ", "data_dir: /var/lib/graphrelay "))
	relay.Write(t, harness.ReadFile(t, relay.Config), harness.Replace("graph: "+sim.URL, "graph: "+nowhere))
	for _, name := range []string{"relay.crt", "relay.key", "relay.yaml"} {
		m.write(t, filepath.Join("/etc/graphrelay", name), harness.ReadFile(t, filepath.Join(relay.Dir, name)))
	}
	if err := os.WriteFile(m.path(filter), []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	return relay
}
