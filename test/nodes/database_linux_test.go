package nodes

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"graphrelay/internal/testpostgres"
	"graphrelay/test/harness"
)

// TestDatabaseAway stops the database, kills it and fills its disk while mail flows. Clients are
// refused for now meanwhile, and at once; the nodes say that they are not ready, and can be stopped.
// They go on once the database is back, without a restart, and nothing that was accepted is lost.
func TestDatabaseAway(t *testing.T) {
	dir := smallDisk(t)
	c := newCluster(t, testpostgres.NewIn(t, dir, "max_wal_size=64MB", "min_wal_size=32MB"), nil)
	done := c.send()
	defer c.explain(t)
	defer c.outbox.Stop.Store(true)
	c.flows(t)
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		c.db.Stop(nil, signal)
		c.wantAway(t)
		last := c.nodes[len(c.nodes)-1]
		last.end(t, harness.Guard)
		c.startDatabase(t)
		last.Begin(t)
		c.ready(t, *patience)
		c.flows(t)
	}
	c.fillDisk(t, dir)
	c.ready(t, *patience)
	c.flows(t)
	for _, n := range c.nodes {
		n.wantRunning(t)
	}
	c.finish(t, done, *patience)
}

// flows waits until mail is accepted and sent.
func (c *cluster) flows(t *testing.T) {
	t.Helper()
	accepted, sent := c.outbox.AcceptedCount()+10, c.sim.Sends(t)+10
	harness.WaitFor(t, "mail to flow", func() bool { return c.outbox.AcceptedCount() >= accepted && c.sim.Sends(t) >= sent })
}

// wantAway wants each node to say that the database is away, and to answer clients so.
func (c *cluster) wantAway(t *testing.T) {
	t.Helper()
	for _, n := range c.nodes {
		within(t, *patience, n.name+" not to be ready", func() bool {
			status, _ := n.Get("/readyz")
			return status == http.StatusServiceUnavailable
		})
		start := time.Now()
		if answer := n.answer(t); !strings.HasPrefix(answer, "451 ") {
			t.Errorf("%s answers %q, want 451", n.name, answer)
		}
		if took := time.Since(start); took > time.Minute/2 {
			t.Errorf("%s has answered after %s", n.name, took)
		}
	}
}

// answer sends a message to the node itself, as the load balancer would, and returns the answer.
func (n *node) answer(t *testing.T) string {
	t.Helper()
	host, port, err := net.SplitHostPort(n.Address["devices"])
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Dial("tcp", n.Address["devices"])
	if err != nil {
		return err.Error()
	}
	defer tcp.Close()
	if _, err := fmt.Fprintf(tcp, "PROXY TCP4 127.0.0.70 %s 40000 %s\r\n", host, port); err != nil {
		return err.Error()
	}
	d, err := harness.NewDialog(tcp.(*net.TCPConn))
	if err != nil {
		return err.Error()
	}
	if err := d.Envelope(box(1), "to@example.com"); err != nil {
		return err.Error()
	}
	if answer := d.Answer("DATA"); !strings.HasPrefix(answer, "354") {
		return answer
	}
	return d.Answer("Subject: refused\r\n\r\ntext\r\n.")
}

// startDatabase starts the database again. What an earlier process has left may keep it from its
// port for a moment.
func (c *cluster) startDatabase(t *testing.T) {
	t.Helper()
	c.db.Start(t)
	target := net.JoinHostPort("127.0.0.1", strconv.Itoa(c.db.Port))
	c.line.target.Store(&target)
	for _, n := range c.nodes {
		n.line.target.Store(&target)
	}
}

// smallDisk returns a directory on a file system of its own, which is small.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := harness.ServerDir(t)
	mount := func(args ...string) error {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", args[0], err, out)
		}
		return nil
	}
	if err := mount(harness.NeedTool(t, "mount"), "-t", "tmpfs", "-o", "size=300m,mode=755", "tmpfs", dir); err != nil {
		harness.SkipUnlessCI(t, "%v", err)
	}
	t.Cleanup(func() {
		if err := mount("umount", dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fillDisk fills the disk of the database, until no node takes mail, and then makes room. The
// database may end of it, as it cannot write its log; it is started again then.
func (c *cluster) fillDisk(t *testing.T, dir string) {
	t.Helper()
	ballast := filepath.Join(dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	fill := func() {
		for size := 1 << 20; size >= 1<<10; {
			if _, err := f.Write(make([]byte, size)); err != nil {
				size /= 2
			}
		}
	}
	for _, n := range c.nodes {
		var answer string
		within(t, *patience, n.name+" to take no mail", func() bool {
			fill() // the database may have freed something
			answer = n.answer(t)
			return strings.HasPrefix(answer, "4")
		})
		t.Logf("disk full: %s answers %s", n.name, answer)
	}
	_ = f.Close()
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	for _, n := range c.nodes {
		within(t, *patience, n.name+" to be ready again", func() bool {
			if !c.db.Running() { // it may end while it recovers, too
				c.startDatabase(t)
			}
			status, _ := n.Get("/readyz")
			return status == http.StatusOK
		})
	}
}
