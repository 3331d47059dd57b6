package nodes

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/oauth2"

	"graphrelay/graph/simulator"
	"graphrelay/internal/testpostgres"
	"graphrelay/relay/config"
	"graphrelay/relay/mailboxes"
	"graphrelay/test/harness"
)

// Two nodes of which only one has the credential for a lane.
const (
	visitor       = "aaaaaaaa-1111-2222-3333-444444444444@contoso.test"
	visitorSecret = "secret-of-a"
	anna          = "anna@contoso.test"
)

// pair starts two nodes with a connection, and listeners on which clients wait for the delivery
// or do not.
func pair(t *testing.T, o simulator.Options, listener, connection string) (c *cluster, has, lacks *node) {
	t.Helper()
	o.SendDelay = -1
	c = &cluster{front: map[string]string{}, database: testpostgres.New(t, "fsync=off").Database(t), sim: harness.ServeSim(t, o)}
	for _, name := range []string{"has", "lacks"} {
		n := c.directNode(t, name)
		n.Write(t, fmt.Sprintf(`
hostname: relay.test
data_dir: %s
listeners:
  - {name: devices, address: "%s", %s}
  - {name: waiting, address: "%s", wait_for_delivery: 4m, %[3]s}
connections: [{%[5]s, endpoints: {login: %[6]q, graph: %[6]q}}]
mailboxes: {token_key: "EHq8pkIS0zXBqH2rUY1iHwxpV9Ejh5XzWzA2lfoXd3M="}
queue: {url: %[7]q, node: %[8]s, lease: %[9]s}
delivery: {retry_delays: [100ms, 300ms], send_settle: 3s}
admin: {address: "%[10]s"}
`, filepath.Join(n.Dir, "data"), n.Address["devices"], listener, n.Address["submission"], connection, c.sim.URL, c.database, name, lease, n.Address["admin"]))
		n.Address["waiting"] = n.Address["submission"]
		c.nodes = append(c.nodes, n)
	}
	has, lacks = c.nodes[0], c.nodes[1]
	c.operator = lacks.Relay
	return c, has, lacks
}

// connect connects a mailbox on a node, as its owner does in a browser.
func (n *node) connect(t *testing.T, mailbox string) {
	t.Helper()
	cfg, err := config.Load(n.Config)
	if err != nil {
		t.Fatal(err)
	}
	k, err := mailboxes.OpenConnector(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	const redirect = "http://localhost:9025/connect/callback"
	s, err := k.Begin("", mailbox, false)
	if err != nil {
		t.Fatal(err)
	}
	verifier := oauth2.GenerateVerifier()
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	reply, err := browser.PostForm(s.AuthURL(redirect, "s", verifier), url.Values{"account": {mailbox}, "accept": {"1"}})
	if err != nil {
		t.Fatal(err)
	}
	_ = reply.Body.Close()
	back, err := reply.Location()
	if err != nil {
		t.Fatal(reply.Status, err)
	}
	if err := s.Exchange(t.Context(), redirect, back.Query().Get("code"), verifier); err != nil {
		t.Fatal(err)
	}
}

// submit sends a message from anna to a listener, with a password if there is one, and returns the
// answer.
func (n *node) submit(t *testing.T, listener, password, subject string) string {
	t.Helper()
	d, err := n.DialOnly(listener)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if password != "" {
		if answer := d.Answer("AUTH PLAIN %s", harness.PlainResponse(visitor, password)); !strings.HasPrefix(answer, "235") {
			t.Fatalf("%s answers the sign-in with %q", n.name, answer)
		}
	}
	if err := d.Envelope(anna, "to@example.com"); err != nil {
		return strings.ReplaceAll(err.Error(), "\"", "")
	}
	if answer := d.Answer("DATA"); !strings.HasPrefix(answer, "354") {
		t.Fatalf("%s answers DATA with %q", n.name, answer)
	}
	return d.Answer("From: %s\r\nTo: to@example.com\r\nSubject: %s\r\n\r\ntext\r\n.", anna, subject)
}

// accepted wants a message to be accepted.
func (n *node) accepted(t *testing.T, listener, password, subject string) {
	t.Helper()
	if answer := n.submit(t, listener, password, subject); !strings.HasPrefix(answer, "250 ") {
		t.Fatalf("%s answers %q with %q", n.name, subject, answer)
	}
}

// wantDelivered wants the node to have delivered so many messages since its start.
func (n *node) wantDelivered(t *testing.T, want float64) {
	t.Helper()
	var got float64
	within(t, *patience, fmt.Sprintf("%s to have delivered %v", n.name, want), func() bool {
		got = n.Metric(t, "graphrelay_messages_delivered_total")
		return got >= want
	})
	if got != want {
		t.Errorf("%s has delivered %v messages, want %v", n.name, got, want)
	}
}

// dieAtSend kills a node that has asked for the send of a message, and has no answer.
func (c *cluster) dieAtSend(t *testing.T, n *node, submit func()) {
	t.Helper()
	c.sim.Fault(t, simulator.Fault{Operation: simulator.OpSend, Count: 1, After: true, Hang: 10 * time.Minute})
	before := c.sim.Sends(t)
	submit()
	within(t, *patience, "the send", func() bool { return c.sim.Sends(t) > before })
	n.Kill(t)
	c.sim.ClearFaults(t)
}

// lanes returns how many lanes nodes have.
func (c *cluster) owned(t *testing.T) (n int) {
	t.Helper()
	c.query(t, "SELECT count(*) FROM lane WHERE owner <> ''", &n)
	return n
}

func (c *cluster) query(t *testing.T, sql string, to ...any) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), c.database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	if err := db.QueryRow(t.Context(), sql).Scan(to...); err != nil {
		t.Fatal(err)
	}
}

// is reports whether the messages that are not sent are in these states, for these reasons.
func (c *cluster) is(t *testing.T, want ...string) bool {
	t.Helper()
	open, ok := c.list(t)
	var got []string
	for _, q := range open {
		got = append(got, strings.TrimSpace(q.State+" "+q.Reason))
	}
	return ok && strings.Join(got, ", ") == strings.Join(want, ", ")
}

// wantOnce wants each of these to have been sent once, and nothing else.
func (c *cluster) wantOnce(t *testing.T, subjects ...string) {
	t.Helper()
	var got []string
	for _, d := range c.sim.Ledger(t) {
		got = append(got, d.Subject)
	}
	if strings.Join(got, ", ") != strings.Join(subjects, ", ") {
		t.Errorf("sent were %q, want %q", got, subjects)
	}
}

// TestConnectedElsewhere sends from a mailbox that was connected on one node through the other
// one. The first one delivers. When it dies, the mail waits for ten minutes, is then held, and goes
// on when the node is back, which finds out what it had sent.
func TestConnectedElsewhere(t *testing.T) {
	c, has, lacks := pair(t, simulator.Options{}, "auth: none, networks: [127.0.0.0/8]",
		"name: owners, sign_in: delegated, tenant: contoso.test, client_id: 22222222-2222-2222-2222-222222222222, domains: [contoso.test]")
	defer c.explain(t)
	has.connect(t, anna)
	lacks.start(t)
	if answer := lacks.submit(t, "waiting", "", "too early"); !strings.HasPrefix(answer, "550 5.7.1 ") {
		t.Errorf("mail of a mailbox that is connected nowhere is answered %q", answer)
	}
	has.start(t)
	within(t, *patience, "mail to be accepted", func() bool { return strings.HasPrefix(lacks.submit(t, "waiting", "", "one"), "250 ") })
	c.wantOnce(t, "one")
	has.wantDelivered(t, 1)
	c.sim.Fault(t, simulator.Fault{Operation: simulator.OpCreate, Count: 1, Status: http.StatusBadRequest, Code: "ErrorInvalidRecipients"})
	if answer := lacks.submit(t, "waiting", "", "refused"); !strings.HasPrefix(answer, "550 5.1.3 ") {
		t.Errorf("a refusal of the other node comes as %q", answer)
	}
	if !c.is(t, "failed invalid_recipients") {
		t.Errorf("after the refusal the queue has %+v", lacks.Queue(t))
	}

	c.dieAtSend(t, has, func() { lacks.accepted(t, "devices", "", "two") })
	within(t, *patience, "the lane to be nobody's", func() bool { return c.owned(t) == 0 })
	if !c.is(t, "failed invalid_recipients", "queued") {
		t.Errorf("after the death of its node the queue has %+v", lacks.Queue(t))
	}
	var jumped time.Time
	within(t, *patience, "the message to be held", func() bool {
		if time.Since(jumped) > lease { // the node has seen since when the lane is nobody's
			var now int64 // ten minutes and more go by
			c.query(t, "WITH leases AS (UPDATE node SET lease = lease + 660000000) UPDATE clock SET queue = queue + 660000000 RETURNING queue", &now)
			jumped = time.Now()
		}
		return c.is(t, "failed invalid_recipients", "held not_connected")
	})
	has.start(t)
	within(t, *patience, "the message to go on", func() bool { return c.is(t, "failed invalid_recipients") })
	c.wantOnce(t, "one", "two")
	has.wantDelivered(t, 1)
	lacks.wantDelivered(t, 0)
}

// TestSignedInElsewhere has a client that brings its own credential sign in on one node, which dies
// while it delivers. The other one leaves the mail until the client signs in there, and finds out
// what was sent.
func TestSignedInElsewhere(t *testing.T) {
	app, _, _ := strings.Cut(visitor, "@")
	c, has, lacks := pair(t, simulator.Options{Apps: []simulator.App{{Tenant: "contoso.test", ClientID: app, Secret: visitorSecret}}},
		"auth: required, pass_through: visitors", "name: visitors, sign_in: pass_through")
	defer c.explain(t)
	lacks.start(t)
	has.start(t)
	has.accepted(t, "waiting", visitorSecret, "one")
	has.wantDelivered(t, 1)
	c.dieAtSend(t, has, func() { has.accepted(t, "devices", visitorSecret, "two") })
	within(t, *patience, "the lane to be nobody's", func() bool { return c.owned(t) == 0 })
	if !c.is(t, "queued") {
		t.Errorf("after the death of its node the queue has %+v", lacks.Queue(t))
	}
	lacks.wantDelivered(t, 0)
	lacks.accepted(t, "waiting", visitorSecret, "three")
	c.settle(t, *patience)
	c.wantOnce(t, "one", "two", "three")
	lacks.wantDelivered(t, 2)
}
