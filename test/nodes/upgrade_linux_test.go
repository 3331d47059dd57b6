package nodes

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"graphrelay/internal/testpostgres"
	"graphrelay/test/harness"
)

// upgrade is two relays on one queue, of which one is to become one of the next version.
type upgrade struct {
	*cluster
	old, next *node
	sent      int
}

// newUpgrade starts the relay of the version before. The other one runs a program that has one
// more migration; if it is to be alone, those of the version before cannot use the schema.
func newUpgrade(t *testing.T, alone bool) *upgrade {
	t.Helper()
	c := &cluster{front: map[string]string{}, database: testpostgres.New(t, "fsync=off").Database(t), sim: harness.StartSim(t)}
	u := &upgrade{cluster: c, old: c.directNode(t, "old"), next: c.directNode(t, "next")}
	c.operator = u.old.Relay
	u.old.start(t)
	compatible := c.schema(t)
	if alone {
		compatible++
	}
	u.next.Use(harness.BuildWith(t, "graphrelay/relay/queue/postgres.further",
		fmt.Sprintf("-- compatible: %d\nALTER TABLE message ADD COLUMN further BIGINT NOT NULL DEFAULT 7; CREATE TABLE further (id BIGINT PRIMARY KEY)", compatible)))
	return u
}

// schema returns the number of the database's schema.
func (c *cluster) schema(t *testing.T) (version int) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), c.database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	if err := db.QueryRow(t.Context(), "SELECT version FROM graphrelay_schema").Scan(&version); err != nil {
		t.Fatal(err)
	}
	return version
}

// directNode returns a node that clients connect to without a load balancer.
func (c *cluster) directNode(t *testing.T, name string, more ...harness.Edit) *node {
	t.Helper()
	return &node{name: name, Relay: harness.NewRelay(t, c.sim, append(more,
		harness.DeliveryKey("send_settle: 5s"), harness.DeliveryKey("retry_delays: [100ms, 300ms]"), harness.SharedQueue(c.database, name, lease))...)}
}

// start starts the node and waits until it takes mail.
func (n *node) start(t *testing.T) {
	t.Helper()
	n.Begin(t)
	within(t, *patience, n.name+" to be ready", func() bool {
		n.wantRunning(t)
		status, _ := n.Get("/readyz")
		return status == http.StatusOK
	})
}

// refused starts the node, and wants it to end and to say why.
func (n *node) refused(t *testing.T, why string) {
	t.Helper()
	n.Begin(t)
	if !n.Ends() || n.Status() == 0 || !strings.Contains(n.Log.String(), why) {
		t.Fatalf("%s did not refuse to start with %q:\n%s", n.name, why, harness.Tail(n.Log.String()))
	}
}

// flows sends mail by the nodes until each of them has delivered some more.
func (u *upgrade) flows(t *testing.T, nodes ...*node) {
	t.Helper()
	delivered := func(n *node) float64 { return n.Metric(t, "graphrelay_messages_delivered_total") }
	before := map[*node]float64{}
	for _, n := range nodes {
		before[n] = delivered(n)
	}
	within(t, *patience, "each node to deliver", func() bool {
		done := true
		for _, by := range nodes {
			for n := range boxes {
				s := harness.Sample{From: box(n), To: []string{"to@example.com"}, Subject: fmt.Sprintf("%s%06d", title, u.sent), Text: "x"}
				if answer := by.SendOne(t, s); !strings.HasPrefix(answer, "250 ") {
					t.Fatalf("%s answers %q", by.name, answer)
				}
				u.sent++
			}
			done = done && delivered(by) > before[by]
		}
		return done
	})
}

// check waits until all mail was sent, and wants each message once.
func (u *upgrade) check(t *testing.T) {
	t.Helper()
	within(t, *patience, "all mail to be sent", func() bool { return u.sim.Sends(t) >= u.sent })
	times := map[string]int{}
	for _, d := range u.sim.Ledger(t) {
		times[d.Subject]++
	}
	for n := range u.sent {
		if subject := fmt.Sprintf("%s%06d", title, n); times[subject] != 1 {
			t.Errorf("%q was sent %d times", subject, times[subject])
		}
	}
}

// TestRollingUpgrade has a node of the next version bring the database to its schema, which only
// adds something, while a node of the version before accepts and delivers. That one goes on, and
// may be started again.
func TestRollingUpgrade(t *testing.T) {
	u := newUpgrade(t, false)
	u.flows(t, u.old)
	before := u.schema(t)
	u.next.start(t)
	if after := u.schema(t); after != before+1 {
		t.Fatalf("the database went from schema %d to %d", before, after)
	}
	u.flows(t, u.old, u.next)
	u.old.Kill(t)
	u.flows(t, u.next)
	u.old.start(t)
	if text := u.old.Log.String(); !strings.Contains(text, "the schema of a newer graphrelay") {
		t.Errorf("the node of the version before does not say at its start that the queue is newer:\n%s", harness.Tail(text))
	}
	u.flows(t, u.old, u.next)
	u.old.Stop(t)
	u.flows(t, u.next)
	u.settle(t, *patience)
	u.check(t)
}

// TestUpgradeAlone has a node of the next version need a schema that the version before cannot use.
// It does not start while a node of that version is at work, which goes on; and one of that version
// does not start afterwards.
func TestUpgradeAlone(t *testing.T) {
	u := newUpgrade(t, true)
	u.flows(t, u.old)
	u.next.refused(t, "old is at work")
	u.flows(t, u.old)
	u.old.Stop(t)
	u.next.start(t)
	u.flows(t, u.next)
	u.old.refused(t, "newer graphrelay")
	if got := u.operator.QueueCommand(t, "list"); got.Status == 0 || !strings.Contains(got.Stderr, "newer graphrelay") {
		t.Errorf("a command of the version before ends with status %d and says %q", got.Status, got.Stderr)
	}
	u.check(t)
}
