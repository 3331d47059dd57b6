package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Postfix is an instance of Postfix with its own configuration and queue.
type Postfix struct{ Dir, Address string }

// StartPostfix starts an instance that relays to relayhost. Settings are lines of main.cf
// that override the others.
func StartPostfix(t *testing.T, relayhost string, settings ...string) *Postfix {
	t.Helper()
	program := NeedTool(t, "postfix")
	if os.Geteuid() != 0 {
		SkipUnlessCI(t, "Postfix needs root")
	}
	dir := ServerDir(t)
	p := &Postfix{Dir: dir, Address: fmt.Sprintf("127.0.0.1:%d", FreePort(t))}
	host, port, _ := strings.Cut(relayhost, ":")
	p.write(t, "main.cf", `compatibility_level = 3.6
queue_directory = `+dir+`/queue
data_directory = `+dir+`/data
maillog_file = `+dir+`/mail.log
maillog_file_prefixes = `+dir+`
myhostname = postfix.contoso.test
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
mydestination =
alias_maps =
alias_database =
smtp_connection_cache_destinations = `+host+`
smtp_connection_cache_on_demand = yes
`)
	Tool(t, "", "postconf", append([]string{"-c", dir, "-e", "relayhost = [" + host + "]:" + port}, settings...)...)
	p.write(t, "master.cf", p.Address+` inet n - n - - smtpd
pickup     unix       n - n 60  1 pickup
cleanup    unix       n - n -   0 cleanup
qmgr       unix       n - n 300 1 qmgr
tlsmgr     unix       - - n 300 1 tlsmgr
rewrite    unix       - - n -   - trivial-rewrite
bounce     unix       - - n -   0 bounce
defer      unix       - - n -   0 bounce
trace      unix       - - n -   0 bounce
verify     unix       - - n -   1 verify
proxymap   unix       - - n -   - proxymap
smtp       unix       - - n -  10 smtp
error      unix       - - n -   - error
retry      unix       - - n -   - error
anvil      unix       - - n -   1 anvil
scache     unix       - - n -   1 scache
postlog    unix-dgram n - n -   1 postlogd
`)
	for _, d := range []string{"queue", "data"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	Tool(t, "", "chown", "postfix", filepath.Join(dir, "data"))
	Tool(t, "", program, "-c", dir, "start")
	t.Cleanup(func() {
		Tool(t, "", program, "-c", dir, "stop")
		if t.Failed() {
			t.Logf("log of Postfix:\n%s", Tail(p.Log(t)))
		}
	})
	return p
}

// ProcessorTime returns the processor time that all processes of the instance have used.
func (p *Postfix) ProcessorTime(t *testing.T) time.Duration {
	t.Helper()
	var master int
	if _, err := fmt.Sscan(ReadFile(t, filepath.Join(p.Dir, "queue", "pid", "master.pid")), &master); err != nil {
		t.Fatal(err)
	}
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var sum time.Duration
	for _, dir := range all {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			t.Fatal(err)
		}
		used, parent, err := processorTime(pid)
		if err == nil && (pid == master || parent == master) { // one that has just ended counts with the master
			sum += used
		}
	}
	return sum
}

func (p *Postfix) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.Dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (p *Postfix) Log(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(p.Dir, "mail.log"))
	if err != nil {
		t.Error(err)
	}
	return string(b)
}
