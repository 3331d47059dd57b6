package reports

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"graphrelay/graph"
	"graphrelay/internal/testlog"
	"graphrelay/relay/bounce"
	"graphrelay/relay/queue"
	"graphrelay/relay/queue/sqlite"
)

var (
	scanner    = queue.Lane{Connection: "contoso", Mailbox: "scanner@contoso.test"}
	postmaster = queue.Lane{Connection: "contoso", Mailbox: "postmaster@contoso.test"}
)

// box is a mailbox whose items a test sets.
type box struct {
	mu    sync.Mutex
	items []graph.Received
	raw   map[string]string
	err   error            // of Inbox
	bad   map[string]error // of Content, by id
	looks int
	reads int
	since time.Time // of the last look
}

func (b *box) Inbox(_ context.Context, since time.Time, limit int) (graph.Inbox, graph.Reply, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.looks++
	b.since = since
	in := graph.Inbox{}
	for _, i := range b.items {
		if !i.At.Before(since) {
			in.Items = append(in.Items, i)
		}
	}
	slices.SortStableFunc(in.Items, func(x, y graph.Received) int { return y.At.Compare(x.At) })
	if len(in.Items) > limit {
		in.Items, in.Cut = in.Items[:limit], true
	}
	return in, graph.Reply{}, b.err
}

func (b *box) Content(_ context.Context, id string, limit int) ([]byte, graph.Reply, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reads++
	raw := b.raw[id]
	return []byte(raw[:min(limit, len(raw))]), graph.Reply{}, b.bad[id]
}

// receive adds an item that has just come, and returns its id.
func (b *box) receive(raw string) string { return b.receiveAt(time.Now(), raw) }

func (b *box) receiveAt(at time.Time, raw string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	id := fmt.Sprintf("AAk%d=", len(b.items))
	b.items = append(b.items, graph.Received{ID: id, At: at, Class: "REPORT.IPM.Note.NDR"})
	if b.raw == nil {
		b.raw = map[string]string{}
	}
	b.raw[id] = raw
	return id
}

// bench is a queue and a watcher of its mailboxes.
type bench struct {
	*testing.T
	dir     string
	store   *queue.Queue
	boxes   map[queue.Lane]*box
	metrics *Metrics
	reg     *prometheus.Registry
	log     testlog.Buffer
	w       *Watcher
}

func newBench(t *testing.T) *bench {
	b := &bench{T: t, dir: t.TempDir(), boxes: map[queue.Lane]*box{scanner: {}}, reg: prometheus.NewRegistry()}
	b.metrics = NewMetrics(b.reg)
	b.open()
	t.Cleanup(func() { _ = b.store.Close() })
	return b
}

func (b *bench) open() {
	b.Helper()
	var err error
	b.store, err = sqlite.Open(b.Context(), sqlite.Options{Dir: b.dir, Exclusive: true})
	b.ok(err)
	b.w = New(Config{
		Interval: 5 * time.Minute,
		Watched:  func(_ context.Context, l queue.Lane) bool { return b.boxes[l] != nil },
		Mailbox:  func(_ context.Context, l queue.Lane) (Mailbox, error) { return b.boxes[l], nil },
		Notifier: bounce.Notifier{Host: "relay.test", Postmaster: postmaster},
	}, b.store, b.metrics, slog.New(slog.NewTextHandler(&b.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
}

// restart opens the queue anew, with a watcher that knows nothing.
func (b *bench) restart() {
	b.Helper()
	b.ok(b.store.Close())
	b.open()
}

func (b *bench) ok(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// queued puts a message into a lane.
func (b *bench) queued(l queue.Lane, messageID string, to ...string) string {
	b.Helper()
	w, err := b.store.Create(b.Context())
	b.ok(err)
	_, err = w.Write([]byte("x"))
	b.ok(err)
	b.ok(w.Commit(b.Context(), queue.Entry{Lane: l, MessageID: messageID, Subject: "s", Client: "127.0.0.1",
		Envelope: queue.Envelope{From: "anna@contoso.test", To: to}}))
	return w.ID()
}

// sent has a message sent.
func (b *bench) sent(l queue.Lane, messageID string, to ...string) string {
	b.Helper()
	id := b.queued(l, messageID, to...)
	b.deliver(id)
	return id
}

func (b *bench) deliver(id string) {
	b.Helper()
	tasks, _, err := b.store.Claim(b.Context(), queue.Claim{Node: "n", Max: 100, PerLane: 100})
	b.ok(err)
	for _, task := range tasks {
		o := queue.Outcome{State: queue.Queued}
		if task.ID == id {
			o.State = queue.Sent
		}
		b.ok(b.store.Finish(b.Context(), task.Ref, o))
	}
}

// look has the watcher look into all mailboxes now.
func (b *bench) look() {
	b.Helper()
	for _, x := range b.w.lanes {
		x.next = time.Time{}
	}
	b.ok(b.w.round(b.Context()))
}

func (b *bench) get(id string) queue.Record {
	b.Helper()
	r, _, err := b.store.Get(b.Context(), id)
	b.ok(err)
	return r
}

// told returns the notifications that were queued, and how many there are.
func (b *bench) told() (bodies []string) {
	b.Helper()
	list, err := b.store.List(b.Context(), queue.Filter{Lane: postmaster.String()})
	b.ok(err)
	for _, r := range list {
		body, err := b.store.Open(b.Context(), r.ID)
		b.ok(err)
		raw := make([]byte, body.Size())
		_, err = body.ReadAt(raw, 0)
		b.ok(err)
		b.ok(body.Close())
		bodies = append(bodies, string(raw))
	}
	return bodies
}

// wantReturned checks for which recipients a message has come back, with their codes, and how
// many notifications there are in all.
func (b *bench) wantReturned(id string, told int, want ...string) {
	b.Helper()
	r := b.get(id)
	var got []string
	for _, x := range r.Returns {
		got = append(got, strings.TrimSpace(x.Recipient+" "+x.Code))
	}
	state := queue.Sent
	if len(want) > 0 {
		state = queue.Returned
	}
	if r.State != state || !slices.Equal(got, want) || len(b.told()) != told {
		b.Errorf("%s is %s for %q, with %d notifications; want %q and %d\n%s", id, r.State, got, len(b.told()), want, told, b.log.String())
	}
}

// counted returns the counts of the metric by code.
func (b *bench) counted() map[string]float64 {
	b.Helper()
	families, err := b.reg.Gather()
	b.ok(err)
	codes := map[string]float64{}
	for _, m := range families[0].GetMetric() {
		codes[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue() // the labels are sorted
	}
	return codes
}

// ndr is a non-delivery report about a message, as Exchange writes it.
func ndr(messageID string, failed ...string) string {
	var b bytes.Buffer
	b.WriteString("From: Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@contoso.test>\r\nTo: scanner@contoso.test\r\nSubject: Unzustellbar: s\r\n" +
		"Auto-Submitted: auto-replied\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n" +
		"--b\r\nContent-Type: text/plain\r\n\r\nNot delivered.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns;x.prod.outlook.com\r\n\r\n")
	for _, f := range failed {
		address, code, _ := strings.Cut(f, " ")
		fmt.Fprintf(&b, "Final-Recipient: rfc822;%s\r\nAction: failed\r\nStatus: %s\r\nDiagnostic-Code: smtp;550 %s refused\r\n\r\n", address, code, code)
	}
	fmt.Fprintf(&b, "--b\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: %s\r\nSubject: s\r\n\r\ntext\r\n--b--\r\n", messageID)
	return b.String()
}
