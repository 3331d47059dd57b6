package main_test

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

// outbox sends many messages over several connections, as a client does that
// tries again until each of its messages has its 250. Each try has a subject of
// its own.
type outbox struct {
	dial        func() (*dialog, error)
	connections int
	messages    int
	make        func(n int) sample
	fresh       bool // each message has a connection of its own

	next     atomic.Int64
	stop     atomic.Bool
	mu       sync.Mutex
	accepted map[string]string // digests of messages that had a 250, by subject
	doubtful map[string]string // of those whose connection broke before an answer
	refused  []error
}

// tenKilobytes is a message of some 10 KB, from one of 32 mailboxes.
func tenKilobytes(title string) func(n int) sample {
	return func(n int) sample {
		subject := fmt.Sprintf("%s %04d", title, n)
		return sample{
			From: fmt.Sprintf("load-%d@contoso.test", n%32), To: []string{fmt.Sprintf("to-%d@example.com", n)},
			Subject: subject, Text: wrappedText(noise(subject, 5200)),
		}
	}
}

func wrappedText(content []byte) string {
	return strings.ReplaceAll(wrapped([]byte(base64.StdEncoding.EncodeToString(content))), "\r\n", "\n")
}

// start sends in the background; the channel is closed when all have their 250.
func (o *outbox) start() <-chan struct{} {
	o.accepted, o.doubtful = map[string]string{}, map[string]string{}
	var wg sync.WaitGroup
	for range o.connections {
		wg.Go(o.work)
	}
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	return done
}

// work is one connection, opened again when it breaks.
func (o *outbox) work() {
	var d *dialog
	for n := int(o.next.Add(1)); n <= o.messages; n = int(o.next.Add(1)) {
		for try := 1; !o.stop.Load() && !o.attempt(&d, n, try); try++ {
		}
		if o.fresh {
			quit(d)
			d = nil
		}
	}
	quit(d)
}

func quit(d *dialog) {
	if d != nil {
		_ = d.PrintfLine("QUIT")
		_ = d.Close()
	}
}

// attempt tells whether message n needs no other try.
func (o *outbox) attempt(d **dialog, n, try int) bool {
	if *d == nil {
		fresh, err := o.dial()
		if err != nil {
			time.Sleep(20 * time.Millisecond) // the server is down
			return false
		}
		*d = fresh
	}
	s := o.make(n)
	if try > 1 {
		s.Subject += fmt.Sprintf(" try %d", try)
	}
	_, err := (*d).send(s.From, s.recipients(), strings.NewReader(s.compose(rfc2231Name)))
	o.mu.Lock()
	defer o.mu.Unlock()
	var refusal *textproto.Error
	switch {
	case err == nil:
		o.accepted[s.Subject] = s.digest()
		return true
	case errors.As(err, &refusal):
		o.refused = append(o.refused, err)
		return true
	}
	o.doubtful[s.Subject] = s.digest()
	_ = (*d).Close()
	*d = nil
	return false
}

func (o *outbox) acceptedCount() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.accepted)
}

// await waits until all messages have their 250.
func (o *outbox) await(t *testing.T, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(guard):
		o.stop.Store(true)
		t.Fatalf("only %d of %d messages were accepted", o.acceptedCount(), o.messages)
	}
	for _, err := range o.refused {
		t.Errorf("refused: %v", err)
	}
	if len(o.accepted) != o.messages {
		t.Errorf("%d messages were accepted, want %d", len(o.accepted), o.messages)
	}
}

// check wants in the simulator what was accepted exactly once, what is doubtful
// at most once, nothing else, and no draft.
func (o *outbox) check(t *testing.T, sim *simProcess) {
	t.Helper()
	sim.moved(t)
	times := map[string]int{}
	for _, d := range sim.ledger(t) {
		times[d.Subject]++
	}
	for _, subject := range slices.Sorted(maps.Keys(o.accepted)) {
		if times[subject] != 1 {
			t.Errorf("%q was sent %d times, want once", subject, times[subject])
		}
	}
	for subject := range o.doubtful {
		if times[subject] > 1 {
			t.Errorf("%q, which had no answer, was sent %d times", subject, times[subject])
		}
	}
	for _, m := range sim.messages(t, "") {
		if m.Folder == simulator.Drafts {
			t.Errorf("a draft was left behind: %q", m.Subject)
		}
		want, known := o.accepted[m.Subject]
		if !known {
			want, known = o.doubtful[m.Subject]
		}
		if !known {
			t.Errorf("%q was sent, and nobody had asked for it", m.Subject)
		} else if got := digestOf(m); got != want {
			t.Errorf("%q: got %s, want %s", m.Subject, got, want)
		}
	}
}

// digest stands for all of a message's content.
func (s sample) digest() string {
	parts := []string{s.From, strings.Join(s.recipients(), " "), sha256Hex([]byte(lines(s.Text)))}
	for _, f := range s.Files {
		parts = append(parts, f.Name, sha256Hex(f.content))
	}
	return strings.Join(parts, "|")
}

func digestOf(m simulator.Message) string {
	to := slices.Concat(addresses(m.To), addresses(m.Cc), addresses(m.Bcc))
	parts := []string{m.From.Address, strings.Join(to, " "), sha256Hex([]byte(lines(m.Body.Content)))}
	for _, a := range m.Attachments {
		parts = append(parts, a.Name, a.SHA256)
	}
	return strings.Join(parts, "|")
}

// settled waits until the relay has nothing more to do, and wants no failure.
func (r *relayProcess) settled(t *testing.T) {
	t.Helper()
	waitFor(t, "an empty queue", func() bool {
		// In one look: between two, a message may go from one state to another.
		status, text := r.get("/metrics")
		return status == 200 && sumOf(t, text, openSeries("queued"))+sumOf(t, text, openSeries("delivering"))+sumOf(t, text, openSeries("deferred")) == 0
	})
	if n := r.open(t, "failed") + r.open(t, "held"); n != 0 {
		t.Errorf("%v messages failed or are held: %+v", n, r.queue(t))
	}
}

func (r *relayProcess) open(t *testing.T, state string) float64 {
	t.Helper()
	return r.metric(t, openSeries(state))
}

func openSeries(state string) string { return `graphrelay_queue_messages{state="` + state + `"}` }
