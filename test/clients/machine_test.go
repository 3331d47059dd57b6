package clients

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

// unpackedServers is where .ci/install leaves the mail servers that are not installed.
const unpackedServers = "/opt/graphrelay-test"

// machine is a host with a mail server. Commands that run on it find the server's package
// in /usr and /etc, and the test's files in /etc and /var.
type machine struct {
	dir    string // holds etc and var
	server string // the package, unpacked
}

// newMachine returns a machine. Accounts are the system users that the server's package
// creates.
func newMachine(t *testing.T, server string, accounts ...string) *machine {
	t.Helper()
	m := &machine{dir: harness.ServerDir(t), server: filepath.Join(unpackedServers, server)}
	if _, err := os.Stat(m.server); err != nil {
		harness.SkipUnlessCI(t, "%s is not there; .ci/install unpacks it", m.server)
	}
	for _, dir := range []string{"etc", "var/run", "var/spool", "var/tmp"} {
		m.mkdir(t, dir)
	}
	for _, file := range []string{"/etc/passwd", "/etc/group"} {
		own, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for _, name := range accounts { // the first line of a name is the one that counts
			fmt.Fprintf(&text, "%s:x:%d:", name, accountID)
			if file == "/etc/passwd" {
				fmt.Fprintf(&text, "%d::/nonexistent:/usr/sbin/nologin", accountID)
			}
			text.WriteByte('\n')
		}
		m.write(t, file, text.String()+string(own))
	}
	m.write(t, "/etc/mailname", webHost+"\n")
	if out, err := m.command("true").CombinedOutput(); err != nil {
		harness.SkipUnlessCI(t, "needs root, and mounts: %v %s", err, out)
	}
	return m
}

// accountID is the user and group ID of a machine's mail server. Nothing else uses it.
const accountID = 65501

func (m *machine) mkdir(t *testing.T, name string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(m.dir, name), 0o755); err != nil {
		t.Fatal(err)
	}
}

// write writes a file of the machine.
func (m *machine) write(t *testing.T, path, text string) {
	t.Helper()
	m.mkdir(t, filepath.Dir(path))
	if err := os.WriteFile(filepath.Join(m.dir, path), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// command returns a command that runs on the machine: in a mount namespace of its own,
// which ends with the command.
func (m *machine) command(name string, args ...string) *exec.Cmd {
	const enter = `echo ` + webHost + ` > /proc/sys/kernel/hostname
mount -t overlay -o lowerdir="$1/etc:$2/etc:/etc" overlay /etc
mount -t overlay -o lowerdir="$2/usr:/usr" overlay /usr
mount --bind "$1/var" /var
shift 2
exec "$@"`
	return exec.Command("unshare", append([]string{"--mount", "--uts", "sh", "-ec", enter, "sh", m.dir, m.server, name}, args...)...)
}

// run runs a command on the machine and waits for its end.
func (m *machine) run(t *testing.T, stdin, name string, args ...string) {
	t.Helper()
	cmd := m.command(name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, harness.Tail(string(out)))
	}
}

// trust makes the relay's certificate the machine's only authority.
func (m *machine) trust(t *testing.T, relay *harness.Relay) {
	t.Helper()
	authority, err := os.ReadFile(filepath.Join(relay.Dir, "relay.crt"))
	if err != nil {
		t.Fatal(err)
	}
	m.write(t, "/etc/ssl/certs/ca-certificates.crt", string(authority))
}
