package nodes

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

// check compares what was sent with what was accepted, once the queue is empty.
func (c *cluster) check(t *testing.T, patience time.Duration) {
	t.Helper()
	open, ok := c.list(t)
	if !ok {
		t.Fatal("the queue cannot be read")
	}
	for _, q := range open {
		t.Errorf("%q is %s, for the reason %q: %s", q.Subject, q.State, q.Reason, q.Detail)
	}
	if c.unheard {
		t.Logf("%d messages were refused and yet sent: their nodes were ended before they could take them back", c.outbox.Allow(t, c.sim))
	}
	c.outbox.CheckSends(t, c.sim, nil)
	for _, err := range c.outbox.Refused() {
		t.Errorf("refused for good: %v", err)
	}
	// A node that is frozen between its look at the lease and its request makes that request when
	// it goes on, whoever has the lane then (docs/queue.md).
	most, limit := 0, 4+c.frozen
	for mailbox, n := range harness.View[simulator.Stats](t, c.sim, "stats").MaxConcurrency {
		if most = max(most, n); n > limit {
			t.Errorf("%d requests for %s at a time, want at most %d", n, mailbox, limit)
		}
	}
	t.Logf("at most %d requests at a time for a mailbox", most)
	c.noDrafts(t, patience)
	left := ""
	for start := time.Now(); time.Since(start) < patience; time.Sleep(200 * time.Millisecond) {
		if left = c.left(t, leftRunning); left == "" {
			return
		}
	}
	t.Errorf("there are left:%s\ncontents: %s", left, c.contents(t))
}

// noDrafts waits until no drafts are left. If some are, it writes what became of their messages.
func (c *cluster) noDrafts(t *testing.T, patience time.Duration) {
	t.Helper()
	var drafts []simulator.Message
	for start := time.Now(); time.Since(start) < patience; time.Sleep(200 * time.Millisecond) {
		if drafts = c.sim.Drafts(t); len(drafts) == 0 {
			return
		}
	}
	for _, d := range drafts {
		t.Errorf("a draft is left behind: %q of %s, made at %v, from MIME: %t\n%s", d.Subject, d.Mailbox, d.Created, d.MIME != nil,
			c.history(t, d.Subject))
	}
}

// history returns what the queue knows of the messages with the subject.
func (c *cluster) history(t *testing.T, subject string) (history string) {
	t.Helper()
	for line := range strings.Lines(c.operator.QueueCommand(t, "list", "--json", "--state", "all", "--subject", subject).Stdout) {
		var q harness.Queued
		if err := json.Unmarshal([]byte(line), &q); err != nil {
			t.Fatalf("queue list --json: %v in %q", err, line)
		}
		history += c.operator.QueueCommand(t, "show", q.ID).Stdout
	}
	return history
}

// checkStopped stops all nodes: then nothing is anybody's.
func (c *cluster) checkStopped(t *testing.T) {
	t.Helper()
	for _, n := range c.nodes {
		n.end(t, harness.Guard)
	}
	if left := c.left(t, leftStopped); left != "" {
		t.Errorf("after all nodes have stopped there are left:%s", left)
	}
}

// What is counted in the database, and must come to be 0 while the nodes run, and once they have
// stopped.
var (
	leftRunning = map[string]string{
		"claims":                      "message WHERE state = 'delivering' OR owner <> ''",
		"messages without a decision": "message WHERE state <> 'sent'",
		"arriving messages":           "arriving",
		"contents":                    "body WHERE id NOT IN (SELECT id FROM upload WHERE at > 0)", // the others wait an hour for their message
		"lanes without messages":      "lane WHERE id NOT IN (SELECT lane FROM message)",
	}
	leftStopped = map[string]string{
		"lanes of nodes": "lane WHERE owner <> ''",
		"nodes":          "node",
	}
)

func (c *cluster) left(t *testing.T, what map[string]string) (left string) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), c.database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	for name, from := range what {
		var n int
		if err := db.QueryRow(t.Context(), "SELECT count(*) FROM "+from).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			left += fmt.Sprintf(" %d %s", n, name)
		}
	}
	return left
}

// contents lists the contents in the database, with what else it has of them.
func (c *cluster) contents(t *testing.T) string {
	t.Helper()
	db, err := pgx.Connect(t.Context(), c.database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	var list string
	const query = `SELECT coalesce(string_agg(c, ', '), '') FROM (SELECT format('%s of %s rows (upload at %s, message %s %s)', b.id, count(*), max(u.at), max(m.state), bool_or(m.body)) c
		FROM body b LEFT JOIN upload u ON u.id = b.id LEFT JOIN message m ON m.id = b.id GROUP BY b.id) list`
	if err := db.QueryRow(t.Context(), query).Scan(&list); err != nil {
		t.Fatal(err)
	}
	return list
}

// finish stops the clients and waits until what they have sent is delivered.
func (c *cluster) finish(t *testing.T, done <-chan struct{}, patience time.Duration) {
	t.Helper()
	c.outbox.Stop.Store(true)
	<-done
	c.ready(t, patience)
	c.settle(t, patience)
	c.check(t, patience)
	var sent []string
	for _, n := range c.nodes {
		sent = append(sent, fmt.Sprintf("%s %.0f", n.name, n.Metric(t, `graphrelay_messages_delivered_total{`)))
	}
	t.Logf("%d accepted, %d had no answer, %d sent, since their starts by %s", c.outbox.AcceptedCount(), len(c.outbox.Doubtful), c.sim.Sends(t), strings.Join(sent, ", "))
	c.checkStopped(t)
}
