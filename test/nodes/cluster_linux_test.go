package nodes

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"graphrelay/internal/testpostgres"
	"graphrelay/test/harness"
)

// lease is that of the nodes. A transaction may take three tenths of it, which has to be enough on
// a busy machine.
const lease = 6 * time.Second

// title begins the subjects of all mail.
const title = "nodes "

const boxes = 8

func box(n int) string { return fmt.Sprintf("box-%d@contoso.test", n%boxes) }

// A node is one of the relays.
type node struct {
	*harness.Relay
	name string
	runs []*harness.Process
	line *line
	good string // its configuration
	tap  *harness.Tap
}

// A cluster is several relays on one database and behind one load balancer.
type cluster struct {
	db       *testpostgres.Server
	database string // its URL, for what is never cut off
	line     *line  // where that leads; nil: the database is not the test's to cut off
	sim      *harness.Sim
	nodes    []*node
	front    map[string]string // addresses of the load balancer by listener
	operator *harness.Relay    // for commands
	outbox   *harness.Outbox
	dialed   atomic.Int64
	// unheard: a node was ended after it had lost the database. It may not have come to take
	// back a message whose client was refused it, as the commit was in doubt.
	unheard bool
	frozen  int // how often a node was frozen
}

// newCluster starts three nodes and what they stand on. With clocks, a node's wall clock is wrong
// by the duration in its place.
func newCluster(t *testing.T, db *testpostgres.Server, clocks []time.Duration) *cluster {
	t.Helper()
	c := &cluster{db: db, front: map[string]string{}}
	u, err := url.Parse(db.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	c.line = newLine(t, u.Host)
	u.Host = c.line.address()
	c.database = u.String()
	c.start(t, clocks)
	return c
}

// start starts what stands on the database.
func (c *cluster) start(t *testing.T, clocks []time.Duration) {
	t.Helper()
	harness.NeedAddresses(t)
	haproxy := harness.NeedTool(t, "haproxy")
	c.sim = harness.StartSim(t, "--latency", "40ms")
	for n := range 3 {
		c.nodes = append(c.nodes, c.newNode(t, fmt.Sprintf("relay%d", n+1)))
	}
	c.operator = c.newRelay(t, "operator", c.database)
	c.balance(t, haproxy)
	for n, node := range c.nodes {
		if clocks != nil {
			node.tap = &harness.Tap{Dir: filepath.Join(node.Dir, "data"), Clock: true}
			node.tap.SetClock(clocks[n])
			node.Launch = node.tap.Start
		}
		node.Begin(t)
	}
	c.ready(t, *patience)
}

func (c *cluster) newNode(t *testing.T, name string) *node {
	t.Helper()
	if c.line == nil {
		n := &node{Relay: c.newRelay(t, name, c.database), name: name}
		n.good = harness.ReadFile(t, n.Config)
		return n
	}
	u, err := url.Parse(c.database)
	if err != nil {
		t.Fatal(err)
	}
	l := newLine(t, *c.line.target.Load())
	u.Host = l.address()
	n := &node{Relay: c.newRelay(t, name, u.String()), name: name, line: l}
	n.good = harness.ReadFile(t, n.Config)
	return n
}

// newRelay writes the configuration of a relay behind the load balancer, as docs/nodes.md has it.
func (c *cluster) newRelay(t *testing.T, name, database string) *harness.Relay {
	t.Helper()
	return harness.NewRelay(t, c.sim,
		harness.Replace("networks: [127.0.0.0/8]", "networks: [127.0.0.64/26]\n    proxy_networks: [127.0.0.1]"),
		harness.Replace("tls: implicit\n", "tls: implicit\n    proxy_networks: [127.0.0.1]\n"),
		harness.DeliveryKey("send_settle: 3s"), harness.DeliveryKey("retry_delays: [100ms, 300ms]"),
		harness.SharedQueue(database, name, lease))
}

// balance starts HAProxy, with the configuration of docs/nodes.md for other addresses.
func (c *cluster) balance(t *testing.T, program string) {
	t.Helper()
	head, sections := documented(t)
	config := head
	var ports []string // on which HAProxy shows whether the node takes mail
	for _, n := range c.nodes {
		at := fmt.Sprintf("127.0.0.1:%d", harness.FreePort(t))
		ports = append(ports, at[strings.LastIndexByte(at, ':')+1:])
		config += replaced(t, sections[0], "listen health", "listen health-"+n.name, ":9026", at, "127.0.0.1:9025", n.Address["admin"])
	}
	for i, of := range []struct{ listener, bind, port string }{{"devices", ":25\n", "2525"}, {"submissions", ":465\n", "4650"}} {
		c.front[of.listener] = fmt.Sprintf("127.0.0.1:%d", harness.FreePort(t))
		first, second := "  server relay1 192.0.2.11:"+of.port+"\n", "  server relay2 192.0.2.12:"+of.port+"\n"
		servers := ""
		for k, n := range c.nodes {
			servers += fmt.Sprintf("  server %s %s port %s\n", n.name, n.Address[of.listener], ports[k])
		}
		config += replaced(t, sections[i+1], of.bind, c.front[of.listener]+"\n", first, servers, second, "")
	}
	path := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	harness.StartProcess(t, program, "-db", "-f", path)
}

// documented returns the configuration of "/etc/haproxy/haproxy.cfg" in docs/nodes.md, up to the
// first section that listens, and these sections.
func documented(t *testing.T) (head string, sections []string) {
	t.Helper()
	_, text, ok := strings.Cut(harness.ReadFile(t, "../../docs/nodes.md"), "```conf\n# /etc/haproxy/haproxy.cfg\n")
	text, _, _ = strings.Cut(text, "```")
	parts := strings.Split(text, "\nlisten ")
	if !ok || len(parts) != 4 {
		t.Fatalf("docs/nodes.md has no configuration of HAProxy with three sections: %q", text)
	}
	for _, p := range parts[1:] {
		sections = append(sections, "\nlisten "+p+"\n")
	}
	return parts[0] + "\n", sections
}

// replaced replaces texts that occur once by others.
func replaced(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if strings.Count(text, pairs[i]) != 1 {
			t.Fatalf("%q has %q not once", text, pairs[i])
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return text
}

// dial connects to the load balancer as a client of one of several addresses, now and then with
// TLS and a password.
func (c *cluster) dial() (*harness.Dialog, error) {
	n := c.dialed.Add(1)
	if n%4 == 0 {
		r := &harness.Relay{Address: c.front}
		return r.Dial("submissions")
	}
	return harness.DialFrom(fmt.Sprintf("127.0.0.%d", 64+n%40), c.front["devices"])
}

// send begins to send mail through the load balancer, at a pace at which the relays keep up: of
// several mailboxes, some with files, some of which go by upload session. No mailbox sends many
// more than others, as a send in doubt is watched for as long as Exchange, with 30 messages of a
// mailbox in a minute, may carry it over. There are no more messages than the simulator keeps the
// contents of.
func (c *cluster) send() (done <-chan struct{}) {
	small := harness.File{Name: "small.bin", Type: "application/octet-stream", Content: harness.Noise("small", 20_000)}
	large := harness.File{Name: "large.bin", Type: "application/octet-stream", Content: harness.Noise("large", 3_400_000)}
	c.outbox = &harness.Outbox{
		Title: title, Patient: true, Connections: 8, Messages: 1200, Dial: c.dial,
		Make: func(n int) harness.Sample {
			time.Sleep(time.Duration(n*37%300) * time.Millisecond)
			subject := fmt.Sprintf("%s%06d", title, n)
			s := harness.Sample{From: box(n / 5), To: []string{fmt.Sprintf("to-%d@example.com", n%40)}, Subject: subject,
				Text: harness.WrappedText(harness.Noise(subject, 100<<(n%12)))}
			switch n % 16 {
			case 3, 8:
				s.Files = []harness.File{small, small}
			case 5, 13:
				s.Signed = true
			case 7:
				s.Files = []harness.File{small, large}
			}
			return s
		},
	}
	return c.outbox.Start()
}

// nodesCommand runs graphrelay nodes beside the cluster.
func (c *cluster) nodesCommand(t *testing.T, args ...string) harness.Result {
	t.Helper()
	return harness.Command(t, "", append([]string{"nodes", "--config", c.operator.Config}, args...)...)
}

// list returns the messages that are not sent; ok is false if the queue could not be read.
func (c *cluster) list(t *testing.T) (open []harness.Queued, ok bool) {
	t.Helper()
	got := c.operator.QueueCommand(t, "list", "--json", "--limit", "1000000")
	if got.Status != 0 {
		return nil, false
	}
	for line := range strings.Lines(got.Stdout) {
		var q harness.Queued
		if err := json.Unmarshal([]byte(line), &q); err != nil {
			t.Fatalf("queue list --json: %v in %q", err, line)
		}
		if q.State != "sent" {
			open = append(open, q)
		}
	}
	return open, true
}

// explain writes what a test that failed leaves behind.
func (c *cluster) explain(t *testing.T) {
	if !t.Failed() {
		return
	}
	t.Logf("%+v%s%s", c.nodesCommand(t), c.operator.QueueCommand(t, "lanes").Stdout, harness.Tail(c.operator.QueueCommand(t, "list").Stdout))
	if *logs == "" {
		return
	}
	for _, n := range c.nodes {
		var all strings.Builder
		for _, run := range n.runs {
			all.WriteString(run.Log.String())
		}
		if err := os.WriteFile(filepath.Join(*logs, n.name+".log"), []byte(all.String()), 0o600); err != nil {
			t.Error(err)
		}
	}
}

// ready waits until all nodes take mail.
func (c *cluster) ready(t *testing.T, patience time.Duration) {
	t.Helper()
	for _, n := range c.nodes {
		within(t, patience, n.name+" to be ready", func() bool {
			n.wantRunning(t)
			status, _ := n.Get("/readyz")
			return status == http.StatusOK
		})
	}
}

// settle waits until nothing is left to do.
func (c *cluster) settle(t *testing.T, patience time.Duration) {
	t.Helper()
	within(t, patience, "an empty queue", func() bool {
		open, ok := c.list(t)
		return ok && !slices.ContainsFunc(open, func(q harness.Queued) bool {
			return slices.Contains([]string{"queued", "delivering", "deferred"}, q.State)
		})
	})
}

// within is harness.WaitFor with a patience of its own.
func within(t *testing.T, patience time.Duration, what string, done func() bool) {
	t.Helper()
	for start := time.Now(); !done(); time.Sleep(200 * time.Millisecond) {
		if time.Since(start) > patience {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// wantRunning fails the test if a node has ended of its own.
func (n *node) wantRunning(t *testing.T) {
	t.Helper()
	if !n.Running() {
		t.Fatalf("%s: serve ended with status %d", n.name, n.Status())
	}
}

// Begin starts the node.
func (n *node) Begin(t *testing.T) {
	t.Helper()
	n.Relay.Begin(t)
	n.runs = append(n.runs, n.Process)
}

// end stops the node as a service manager does: it is killed if it takes too long.
func (n *node) end(t *testing.T, patience time.Duration) {
	t.Helper()
	n.Signal(syscall.SIGTERM)
	select {
	case <-n.Done:
		if status := n.Status(); status != 0 {
			t.Errorf("%s: serve ended with status %d after SIGTERM", n.name, status)
		}
	case <-time.After(patience):
		n.Kill(t)
	}
}
