package delivery_test

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"graphrelay/graph"
	"graphrelay/graph/entra"
	"graphrelay/graph/simulator"
	"graphrelay/internal/testlog"
	"graphrelay/mime"
	"graphrelay/relay/delivery"
	"graphrelay/relay/delivery/graphmail"
	"graphrelay/relay/queue"
	"graphrelay/relay/queue/postgres"
	"graphrelay/relay/queue/sqlite"
)

const (
	anna   = "anna@contoso.test"
	secret = "s3cret~value"

	nullSender = "<>"            // for submit, which fills in a sender where there is none
	guard      = 4 * time.Minute // of every wait; none is expected to take a tenth of it
)

// rig is a real queue, a real client and a simulated Graph.
type rig struct {
	t     *testing.T
	sim   *simulator.Simulator
	front http.HandlerFunc // in front of the simulator; may be replaced before a run
	dir   string
	// database is the URL of the queue's; "" for a queue in dir.
	database string
	store    *queue.Queue
	cfg      delivery.Config
	out      graphmail.Config // Clients, GiveUpAfter, Log and Metrics are set by run
	outlet   delivery.Outlet  // nil: Graph's
	clock    clock
	clients  map[string]*graph.Client
	budgets  graph.Budgets // of the next connection
	timeout  time.Duration // of the next connection's requests
	log      *testlog.Buffer
	url      string
	metrics  *prometheus.Registry // of the latest run
}

func newRig(t *testing.T, o simulator.Options) *rig {
	t.Helper()
	return newRigOn(t, "", o)
}

// newRigOn is newRig with a queue in a database, unless that is "".
func newRigOn(t *testing.T, database string, o simulator.Options) *rig {
	t.Helper()
	t.Parallel()
	o.RequireContract = true
	usual := o.SendDelay == 0
	if usual {
		o.SendDelay = 30 * time.Millisecond
	}
	if o.Apps == nil {
		o.Apps = []simulator.App{{Secret: secret}}
	}
	r := &rig{t: t, sim: simulator.New(o), dir: t.TempDir(), database: database, clients: map[string]*graph.Client{}, timeout: guard, log: &testlog.Buffer{}}
	if usual { // an item that leaves within the watch does so on however busy a machine
		r.clock.stops = func() bool { return r.sim.UnderWay() > 0 }
	}
	r.front = r.sim.ServeHTTP
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { r.front(dated{w, &r.clock}, req) }))
	r.url = srv.URL
	r.connect("main", secret)
	r.cfg = delivery.Config{
		Node: queue.Node{ID: "test", Name: "test"}, Host: "relay.test", Concurrency: 16, PerLane: 4, RetryDelays: []time.Duration{20 * time.Millisecond},
		GiveUpAfter: time.Hour, MIME: mime.DefaultLimits(), SweepEvery: 200 * time.Millisecond,
	}
	r.out = graphmail.Config{Host: "relay.test", SendSettle: time.Second, MIME: mime.DefaultLimits(), XHeaders: []string{"auto"}}
	if err := os.WriteFile(filepath.Join(r.dir, sqlite.DatabaseName), emptyQueue(), 0o600); err != nil {
		t.Fatal(err)
	}
	r.open()
	t.Cleanup(func() {
		r.sim.Close()
		srv.Close()
		_ = r.store.Close()
		r.checkContract()
		r.checkCalls()
	})
	return r
}

// connect adds a connection with its own client.
func (r *rig) connect(name, secret string) {
	app := entra.App{Tenant: "contoso", ClientID: "app-" + name, LoginURL: r.url, GraphURL: r.url}
	c := graph.New(graph.Config{Tenant: app.Tenant, ClientID: app.ClientID, SignIn: entra.ClientSecret{App: app, Secret: secret}, GraphURL: r.url,
		UserAgent: "graphrelay/test", Concurrency: 4, Timeout: r.timeout, Budgets: r.budgets})
	r.clients[name] = c
	r.t.Cleanup(c.Close)
}

func (r *rig) open() {
	r.t.Helper()
	var err error
	if r.database == "" {
		r.store, err = sqlite.Open(r.t.Context(), sqlite.Options{Dir: r.dir, Exclusive: true, Source: &r.clock})
	} else {
		r.cfg.Node.ID = r.cfg.Node.Name + "/" + crand.Text() // as each process has one of its own
		r.store, err = postgres.Open(r.t.Context(), postgres.Options{URL: r.database, Dir: r.dir, Node: r.cfg.Node.Name, Source: &r.clock, Timeout: guard})
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// reopen opens the queue as a new process does after the old one died.
func (r *rig) reopen() {
	r.t.Helper()
	if err := r.store.Close(); err != nil {
		r.t.Fatal(err)
	}
	r.open()
}

// checkContract checks that no request broke the contract and that no secret was logged.
func (r *rig) checkContract() {
	r.t.Helper()
	for _, v := range r.sim.Violations() {
		r.t.Errorf("contract: %s %s: %s", v.Operation, v.Path, v.Text)
	}
	for _, s := range []string{"authtoken", secret, "Bearer "} {
		if strings.Contains(r.log.String(), s) {
			r.t.Errorf("the log holds %q", s)
		}
	}
}

// submit queues a message as it would be accepted for this mailbox.
func (r *rig) submit(raw string, e queue.Entry) string {
	r.t.Helper()
	if e.Lane == (queue.Lane{}) {
		e.Lane = queue.Lane{Connection: "main", Mailbox: anna}
	}
	switch e.Envelope.From {
	case "":
		e.Envelope.From = e.Lane.Mailbox
	case nullSender:
		e.Envelope.From = ""
	}
	if e.From == "" {
		e.From = e.Lane.Mailbox
	}
	head, _, _ := strings.Cut(raw, "\r\n\r\n")
	e.MessageID = mime.ReadHeader([]byte(head+"\r\n\r\n"), mime.DefaultLimits()).MessageID()
	w, err := r.store.Create(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := w.Write([]byte(raw)); err != nil {
		r.t.Fatal(err)
	}
	if err := w.Commit(r.t.Context(), e); err != nil {
		r.t.Fatal(err)
	}
	return w.ID()
}

func (r *rig) to(mailbox string, recipients ...string) queue.Entry {
	return queue.Entry{Lane: queue.Lane{Connection: "main", Mailbox: mailbox}, Envelope: queue.Envelope{To: recipients}}
}

// start runs a deliverer on work, which is the store's own if nil; stop ends it
// and waits for it.
func (r *rig) start(work delivery.Queue) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := r.run(ctx, work, guard)
	return sync.OnceFunc(func() {
		r.t.Helper()
		cancel()
		r.ended(done)
	})
}

func (r *rig) clientOf(lane queue.Lane) (*graph.Client, error) {
	if c := r.clients[lane.Connection]; c != nil {
		return c, nil
	}
	return nil, errors.New("no connection " + lane.Connection)
}

func (r *rig) run(ctx context.Context, work delivery.Queue, drain time.Duration) <-chan struct{} {
	if work == nil {
		work = r.store
	}
	log := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r.metrics = prometheus.NewRegistry()
	r.out.Clients, r.out.GiveUpAfter, r.out.Log, r.out.Metrics = r.clientOf, r.cfg.GiveUpAfter, log, graphmail.NewMetrics(r.metrics)
	outlet := r.outlet
	if outlet == nil {
		outlet = graphmail.New(r.out)
	}
	d := delivery.New(r.cfg, work, outlet, delivery.NewMetrics(r.metrics), log)
	done := make(chan struct{})
	go func() {
		d.Run(ctx, drain)
		close(done)
	}()
	return done
}

func (r *rig) ended(done <-chan struct{}) {
	r.t.Helper()
	select {
	case <-done:
	case <-time.After(2 * guard):
		r.t.Fatal("the deliverer does not stop")
	}
}

// await waits until the message is in one of these states.
func (r *rig) await(id string, states ...queue.State) queue.Record {
	r.t.Helper()
	var rec queue.Record
	ok := r.eventually(func() bool {
		rec = r.get(id)
		return slices.Contains(append(states, queue.Sent, queue.Failed, queue.Held), rec.State)
	})
	if !ok || !slices.Contains(states, rec.State) {
		r.t.Fatalf("%s is %s, %s: %s; want %v\n%s", id, rec.State, rec.Reason, rec.Detail, states, r.history(id))
	}
	return rec
}

func (r *rig) eventually(ok func() bool) bool {
	for start := time.Now(); !ok(); time.Sleep(min(5*time.Millisecond+time.Since(start)/10, 100*time.Millisecond)) {
		if time.Since(start) > guard {
			return false
		}
	}
	return true
}

func (r *rig) get(id string) queue.Record {
	r.t.Helper()
	rec, _, err := r.store.Get(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return rec
}

// history returns what an operator is shown, which has no upload URL.
func (r *rig) history(id string) string {
	r.t.Helper()
	rec, events, err := r.store.Get(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	lines := []string{rec.Detail}
	for _, e := range events {
		lines = append(lines, e.What+": "+e.Detail)
	}
	text := strings.Join(lines, "\n")
	if n := len(lines); n > 40 {
		text = strings.Join(append(lines[:20:20], append([]string{"..."}, lines[n-20:]...)...), "\n")
	}
	if strings.Contains(text, "authtoken") || strings.Contains(text, secret) {
		r.t.Errorf("a secret is in the history:\n%s", text)
	}
	return text
}

// deliveries are the sends that carry this queue ID, or as MIME carry none and are
// of its mailbox and Message-ID.
func (r *rig) deliveries(id string) (found []simulator.Delivery) {
	rec := r.get(id)
	for _, d := range r.sim.Ledger() {
		if d.QueueID == id || d.QueueID == "" && d.Mailbox == rec.Lane.Mailbox && d.InternetMessageID == rec.MessageID {
			found = append(found, d)
		}
	}
	return found
}

// sentOnce waits for the message to be sent and returns what was, once.
func (r *rig) sentOnce(id string) simulator.Delivery {
	r.t.Helper()
	r.await(id, queue.Sent)
	found := r.deliveries(id)
	if len(found) != 1 {
		r.t.Fatalf("%s was sent %d times\n%s", id, len(found), r.history(id))
	}
	r.history(id)
	return found[0]
}

// noDrafts: what is sent has left Drafts, and nothing was forgotten there.
func (r *rig) noDrafts() {
	r.t.Helper()
	if !r.eventually(func() bool { return len(r.sim.Drafts()) == 0 }) {
		for _, m := range r.sim.Drafts() {
			r.t.Errorf("left in Drafts of %s: %q with %d attachments, submitted %v", m.Mailbox, m.Subject, len(m.Attachments), m.Submitted)
		}
	}
}

// message returns the item that was sent.
func (r *rig) message(d simulator.Delivery) simulator.Message {
	r.t.Helper()
	for _, m := range r.sim.Messages(d.Mailbox) {
		if m.ID == d.MessageID {
			return m
		}
	}
	r.t.Fatalf("no message %s", d.MessageID)
	return simulator.Message{}
}

func (r *rig) fault(f simulator.Fault) int {
	r.t.Helper()
	id, err := r.sim.AddFault(f)
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

// keepItems makes every removal of an item fail.
func (r *rig) keepItems() {
	r.t.Helper()
	for _, op := range []simulator.Operation{simulator.OpDelete, simulator.OpPermanentDelete} {
		r.fault(simulator.Fault{Operation: op, Status: 500})
	}
}

// deletes returns how often the relay has asked for the removal of an item.
func (r *rig) deletes() int {
	calls := r.sim.Stats().Calls
	return calls[simulator.OpDelete] + calls[simulator.OpPermanentDelete]
}

func (r *rig) acted(fault int) int {
	for _, f := range r.sim.Faults() {
		if f.ID == fault {
			return f.Acted
		}
	}
	return 0
}

// again is a request that comes once more, or late: its own body has been read.
func again(req *http.Request, body []byte) *http.Request {
	clone := req.Clone(context.WithoutCancel(req.Context()))
	clone.Body = io.NopCloser(bytes.NewReader(body))
	return clone
}

func bodyOf(req *http.Request) []byte {
	body, _ := io.ReadAll(req.Body)
	return body
}

// attached is a file of a message.
type attached struct {
	name, kind, cid string
	inline          bool
	data            []byte
}

// compose builds a message: body is HTML if it starts with a tag.
func compose(header, body string, files ...attached) string {
	var b strings.Builder
	kind := "text/plain"
	if strings.HasPrefix(body, "<") {
		kind = "text/html"
	}
	b.WriteString(strings.ReplaceAll(strings.TrimSpace(header), "\n", "\r\n"))
	b.WriteString("\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=BB\r\n\r\n")
	fmt.Fprintf(&b, "--BB\r\nContent-Type: %s; charset=utf-8\r\n\r\n%s\r\n", kind, body)
	for _, f := range files {
		fmt.Fprintf(&b, "--BB\r\nContent-Type: %s\r\nContent-Transfer-Encoding: base64\r\n", f.kind)
		disposition := "attachment"
		if f.inline {
			disposition = "inline"
		}
		if f.cid != "" {
			fmt.Fprintf(&b, "Content-ID: <%s>\r\n", f.cid)
		}
		fmt.Fprintf(&b, "Content-Disposition: %s; filename=\"%s\"\r\n\r\n", disposition, f.name)
		text := base64.StdEncoding.EncodeToString(f.data)
		for len(text) > 0 {
			n := min(76, len(text))
			b.WriteString(text[:n] + "\r\n")
			text = text[n:]
		}
	}
	b.WriteString("--BB--\r\n")
	return b.String()
}

func header(subject string) string {
	return "From: Anna <" + anna + ">\nTo: bob@example.org\nSubject: " + subject + "\nMessage-ID: <" + subject + "@client.test>\n"
}

// random is size bytes that repeat nowhere.
func random(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(size), byte(size >> 8), byte(size >> 16)}).Read(b)
	return b
}
