package nodes

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"graphrelay/internal/testpostgres"
	"graphrelay/test/harness"
)

// TestRestore makes a backup of the database while mail comes in and goes out, and restores it into
// another one after everything was sent. Nothing is sent twice there, and what comes afterwards is
// sent.
func TestRestore(t *testing.T) {
	server := testpostgres.New(t, "fsync=off")
	c := &cluster{front: map[string]string{}, database: server.Database(t), sim: harness.StartSim(t)}
	u := &upgrade{cluster: c, old: c.directNode(t, "one"), next: c.directNode(t, "two")}
	c.nodes, c.operator = []*node{u.old, u.next}, u.old.Relay
	defer c.explain(t)
	u.old.start(t)
	u.next.start(t)
	u.flows(t, u.old, u.next)
	u.settle(t, *patience)

	slow := u.operator.QueueCommand(t, "pause", "contoso/"+box(0), "contoso/"+box(1)) // whose mail waits in the backup
	if slow.Status != 0 {
		t.Fatal(slow.Stderr)
	}
	var load sync.WaitGroup
	before := u.sent
	u.send(t, 3*boxes)
	load.Go(func() { u.send(t, 5*boxes) })
	dump := filepath.Join(t.TempDir(), "backup")
	run(t, testpostgres.Program(t, "pg_dump"), "--format=custom", "--file="+dump, c.database)
	load.Wait()
	if t.Failed() {
		return
	}
	u.operator.ResumeAll(t)
	within(t, *patience, "all mail to be sent", func() bool { return u.sim.Sends(t) >= u.sent })
	u.settle(t, *patience)
	u.old.Stop(t)
	u.next.Kill(t)

	c.database = server.Database(t)
	run(t, testpostgres.Program(t, "pg_restore"), "--no-owner", "--dbname="+c.database, dump)
	var waiting int
	c.query(t, "SELECT count(*) FROM message WHERE state <> 'sent'", &waiting)
	if waiting < 6 || waiting > u.sent-before {
		t.Fatalf("%d messages wait in the backup", waiting)
	}
	again := c.directNode(t, "one")
	c.nodes, c.operator = []*node{again}, again.Relay
	within(t, *patience, "the leases in the backup to end", func() bool {
		got := again.QueueCommand(t, "restored")
		if got.Status != 0 && !strings.Contains(got.Stderr, "a relay works on the queue") {
			t.Fatal(got.Stderr)
		}
		return got.Status == 0 && got.Stdout == fmt.Sprintf("restored %d messages\n", waiting)
	})
	u.operator.ResumeAll(t)
	again.start(t)
	u.settle(t, *patience)
	if open, _ := c.list(t); len(open) > 0 {
		t.Errorf("these were not found to have been sent: %+v", open)
	}
	u.flows(t, again)
	u.settle(t, *patience)
	u.check(t)
}

// send sends some messages by the nodes in turn.
func (u *upgrade) send(t *testing.T, messages int) {
	for n := range messages {
		by := u.nodes[n%len(u.nodes)]
		s := harness.Sample{From: box(n), To: []string{"to@example.com"}, Subject: fmt.Sprintf("%s%06d", title, u.sent), Text: "x", Signed: n%3 == 0}
		if answer := by.SendOne(t, s); !strings.HasPrefix(answer, "250 ") {
			t.Errorf("%s answers %q", by.name, answer)
			return
		}
		u.sent++
	}
}

func run(t *testing.T, program string, args ...string) {
	t.Helper()
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", program, err, out)
	}
}
