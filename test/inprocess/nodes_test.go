package inprocess

import (
	"net/http"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/internal/testlog"
	"graphrelay/internal/testpostgres"
	"graphrelay/relay/config"
	"graphrelay/relay/queue"
)

// startNodes starts relays that share a queue.
func startNodes(t *testing.T, o simulator.Options, change ...func(*config.Config)) (nodes []*rig) {
	t.Helper()
	server := testpostgres.New(t)
	database := server.Database(t)
	o.RequireContract, o.SendDelay = true, -1
	sim, url := Simulate(t, o)
	for n, f := range change {
		cfg := Settings(t, t.TempDir(), url, "")
		cfg.Queue.URL, cfg.Queue.Node = config.NewSecret(database), string(rune('a'+n))
		cfg.Listeners[0].Wait = config.Duration(guardTime)
		f(cfg)
		r := &rig{T: t, sim: sim, url: url, cfg: cfg, log: &testlog.Buffer{}}
		r.relay = Run(t, cfg, r.log)
		nodes = append(nodes, r)
	}
	return nodes
}

// A client that waits learns of a refusal from the node that it is connected to, whichever
// delivers. Then no bounce follows.
func TestNodesWait(t *testing.T) {
	same := func(*config.Config) {}
	nodes := startNodes(t, simulator.Options{}, same, same)
	if !until(func() bool { return nodes[0].relay.Store.Drain(t.Context(), "a", true) == nil }) {
		t.Fatal("the node has not begun")
	}
	if !until(func() bool { return strings.Contains(nodes[0].log.String(), "whether this node takes work") }) {
		t.Fatal("the node does not drain")
	}
	accepting := nodes[0]
	if answer, _ := accepting.answer("From: a@contoso.test\r\nTo: b@example.test\r\n\r\ntext\r\n"); !strings.HasPrefix(answer, "250 ") {
		t.Errorf("a message that is sent is answered %q", answer)
	}
	if _, err := accepting.sim.AddFault(simulator.Fault{Operation: simulator.OpCreate, Status: http.StatusBadRequest, Code: "ErrorInvalidRecipients"}); err != nil {
		t.Fatal(err)
	}
	if answer, took := accepting.answer("From: a@contoso.test\r\nTo: b@example.test\r\n\r\ntext\r\n"); !strings.HasPrefix(answer, "550 5.1.3 ") || took >= guardTime {
		t.Errorf("a message that is refused is answered %q after %v", answer, took)
	}
	list, err := accepting.relay.Store.List(t.Context(), queue.Filter{})
	if err != nil || len(list) != 2 || list[0].State != queue.Sent || list[1].State != queue.Failed || list[1].HasContent {
		t.Errorf("the queue has %+v, error %v", list, err)
	}
	if list, err := accepting.relay.Store.Nodes(t.Context()); err != nil || len(list) != 2 || list[0].Lanes != 0 {
		t.Errorf("the accepting node has taken the lane: %+v, error %v", list, err)
	}
}

// What a client has sent by one node counts at the other, and nodes that are not configured alike
// say so.
func TestNodesCount(t *testing.T) {
	limited := func(c *config.Config) {
		c.Rates.Sender.Recipients = 3
		c.Listeners[0].Wait = 0
	}
	nodes := startNodes(t, simulator.Options{}, limited, func(c *config.Config) {
		limited(c)
		c.Delivery.MailboxPace = 1000
	})
	for range 3 {
		if err := nodes[0].relay.Send("127.0.0.1:0", "one"); err != nil {
			t.Fatal(err)
		}
	}
	refused := func() bool {
		c := nodes[1].transaction()
		defer c.Close()
		nodes[1].ask(c, 250, "MAIL FROM:<a@contoso.test>")
		if err := c.PrintfLine("RCPT TO:<b@example.test>"); err != nil {
			t.Fatal(err)
		}
		line, err := c.ReadLine()
		if err != nil {
			t.Fatal(err)
		}
		return strings.HasPrefix(line, "450 4.7.1 Too many recipients")
	}
	if !until(refused) {
		t.Error("the other node still takes mail of the sender")
	}
	for _, n := range nodes {
		if !until(func() bool { return strings.Contains(n.relay.Get(t, "/readyz"), "configurations that differ") }) {
			t.Error("a node does not say that it is not configured as the other")
		}
		if n := strings.Count(n.log.String(), "configurations that differ"); n != 1 {
			t.Errorf("the log says so %d times", n)
		}
	}
}
