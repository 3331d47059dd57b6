package harness

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"graphrelay/graph/simulator"
)

// Outbox sends many messages over several connections. Like a mail client, it sends each
// message again until the server answers 250. Each attempt has a subject of its own.
type Outbox struct {
	Dial        func() (*Dialog, error)
	Connections int
	Messages    int
	Make        func(n int) Sample
	Fresh       bool // each message has a connection of its own
	Patient     bool // a message that is refused for now is sent again, over another connection
	// Title, if it is set, begins the subject of all messages. Others that were sent, such as
	// bounces, do not concern the outbox.
	Title string

	next     atomic.Int64
	Stop     atomic.Bool
	mu       sync.Mutex
	accepted map[string]string // digests of messages that had a 250, by subject
	Doubtful map[string]string // of those whose connection broke before an answer
	refused  []error
	putOff   map[string]string // digests of those that a Patient outbox sends again
}

// TenKilobytes returns a maker of messages of about 10 KB, from 32 mailboxes in turn.
func TenKilobytes(title string) func(n int) Sample {
	return func(n int) Sample {
		subject := fmt.Sprintf("%s %04d", title, n)
		return Sample{
			From: fmt.Sprintf("load-%d@contoso.test", n%32), To: []string{fmt.Sprintf("to-%d@example.com", n)},
			Subject: subject, Text: WrappedText(Noise(subject, 5200)),
		}
	}
}

// WrappedText returns text in short lines that stands for the content.
func WrappedText(content []byte) string {
	return strings.ReplaceAll(Wrapped([]byte(base64.StdEncoding.EncodeToString(content))), "\r\n", "\n")
}

// Start sends in the background. The channel is closed when every message was accepted.
func (o *Outbox) Start() <-chan struct{} {
	o.accepted, o.Doubtful, o.putOff = map[string]string{}, map[string]string{}, map[string]string{}
	var wg sync.WaitGroup
	for range o.Connections {
		wg.Go(o.work)
	}
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	return done
}

// work sends over one connection, and opens it again when it breaks.
func (o *Outbox) work() {
	var d *Dialog
	for n := int(o.next.Add(1)); n <= o.Messages && !o.Stop.Load(); n = int(o.next.Add(1)) {
		for try := 1; !o.Stop.Load() && !o.attempt(&d, n, try); try++ {
		}
		if o.Fresh {
			quit(d)
			d = nil
		}
	}
	quit(d)
}

func quit(d *Dialog) {
	if d != nil {
		_ = d.PrintfLine("QUIT")
		_ = d.Close()
	}
}

// attempt sends message n once, and reports whether it is done with it.
func (o *Outbox) attempt(d **Dialog, n, try int) bool {
	if *d == nil {
		fresh, err := o.Dial()
		if err != nil {
			time.Sleep(20 * time.Millisecond) // the server is down
			return false
		}
		*d = fresh
	}
	s := o.Make(n)
	if try > 1 {
		s.Subject += fmt.Sprintf(" try %d", try)
	}
	_, err := (*d).send(s.From, s.Recipients(), strings.NewReader(s.Compose(RFC2231Name)))
	var refusal *textproto.Error
	if errors.As(err, &refusal) && refusal.Code < 500 && o.Patient {
		o.mu.Lock()
		o.putOff[s.Subject] = s.digest()
		o.mu.Unlock()
		_ = (*d).Close()
		*d = nil
		time.Sleep(50 * time.Millisecond)
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case err == nil:
		o.accepted[s.Subject] = s.digest()
		return true
	case errors.As(err, &refusal):
		o.refused = append(o.refused, err)
		return true
	}
	o.Doubtful[s.Subject] = s.digest()
	_ = (*d).Close()
	*d = nil
	return false
}

// Allow has CheckSends take it that messages that were refused for now may have been sent, like
// those without an answer. It returns how many were.
func (o *Outbox) Allow(t *testing.T, sim *Sim) (sent int) {
	t.Helper()
	for _, d := range sim.Ledger(t) {
		if digest, ok := o.putOff[d.Subject]; ok {
			o.Doubtful[d.Subject] = digest
			sent++
		}
	}
	return sent
}

// PutOff returns the number of times that a message was refused for now.
func (o *Outbox) PutOff() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.putOff)
}

// Refused returns the final refusals.
func (o *Outbox) Refused() []error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.refused)
}

// AcceptedCount returns the number of messages that were accepted so far.
func (o *Outbox) AcceptedCount() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.accepted)
}

// Await waits until all messages were accepted.
func (o *Outbox) Await(t *testing.T, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(Guard):
		o.Stop.Store(true)
		t.Fatalf("only %d of %d messages were accepted", o.AcceptedCount(), o.Messages)
	}
	for _, err := range o.refused {
		t.Errorf("refused: %v", err)
	}
	if len(o.accepted) != o.Messages {
		t.Errorf("%d messages were accepted, want %d", len(o.accepted), o.Messages)
	}
}

// Check compares the simulator's mailboxes with the answers. A message with a 250 must
// have been sent once, one without an answer at most once. There must be no other message
// and no draft, apart from an owner's own items; see WantUntouched.
func (o *Outbox) Check(t *testing.T, sim *Sim) {
	t.Helper()
	o.CheckSends(t, sim, nil)
	for _, m := range sim.Drafts(t) {
		t.Errorf("a draft was left behind: %q", m.Subject)
	}
}

// CheckSends is Check without the drafts. Messages that are held, by their subjects, may not
// have been sent.
func (o *Outbox) CheckSends(t *testing.T, sim *Sim, held map[string]bool) {
	t.Helper()
	sim.moved(t)
	times := map[string]int{}
	for _, d := range sim.Ledger(t) {
		times[d.Subject]++
	}
	for _, subject := range slices.Sorted(maps.Keys(o.accepted)) {
		if n := times[subject]; n != 1 && !(n == 0 && held[subject]) {
			t.Errorf("%q was sent %d times, want once", subject, n)
		}
	}
	for subject := range o.Doubtful {
		if times[subject] > 1 {
			t.Errorf("%q, which had no answer, was sent %d times", subject, times[subject])
		}
	}
	for _, m := range sim.Messages(t, "") {
		if m.Planted || m.Folder != simulator.SentItems || !strings.HasPrefix(m.Subject, o.Title) {
			continue
		}
		want, known := o.accepted[m.Subject]
		if !known {
			want, known = o.Doubtful[m.Subject]
		}
		if !known {
			t.Errorf("%q was sent, and nobody had asked for it", m.Subject)
		} else if got := digestOf(m); got != want {
			t.Errorf("%q: got %s, want %s", m.Subject, got, want)
		}
	}
}

// digest returns a text that is equal for messages of equal content.
func (s Sample) digest() string {
	parts := []string{s.From, strings.Join(s.Recipients(), " "), SHA256Hex([]byte(Lines(s.Text)))}
	for _, f := range s.Files {
		parts = append(parts, f.Name, SHA256Hex(f.Content))
	}
	if s.Signed {
		parts = append(parts, "", SHA256Hex([]byte(signature)))
	}
	return strings.Join(parts, "|")
}

func digestOf(m simulator.Message) string {
	to := slices.Concat(addresses(m.To), addresses(m.Cc), addresses(m.Bcc))
	parts := []string{m.From.Address, strings.Join(to, " "), SHA256Hex([]byte(Lines(m.Body.Content)))}
	for _, a := range m.Attachments {
		parts = append(parts, a.Name, a.SHA256)
	}
	return strings.Join(parts, "|")
}

// Settled waits until the relay has nothing left to do. No message may have failed or be
// held.
func (r *Relay) Settled(t *testing.T) {
	t.Helper()
	r.Idle(t)
	if n := r.Open(t, "failed") + r.Open(t, "held"); n != 0 {
		t.Errorf("%v messages failed or are held: %+v", n, r.Queue(t))
	}
}

// Idle waits until the relay has nothing left to do.
func (r *Relay) Idle(t *testing.T) {
	t.Helper()
	WaitFor(t, "an empty queue", func() bool {
		// One read for all states: between two reads a message may change its state.
		status, text := r.Get("/metrics")
		return status == 200 && sumOf(t, text, openSeries("queued"))+sumOf(t, text, openSeries("delivering"))+sumOf(t, text, openSeries("deferred")) == 0
	})
}

func (r *Relay) Open(t *testing.T, state string) float64 {
	t.Helper()
	return r.Metric(t, openSeries(state))
}

func openSeries(state string) string { return `graphrelay_queue_messages{state="` + state + `"}` }
