package durability

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"graphrelay/graph/simulator"
	"graphrelay/relay/queue"
	"graphrelay/relay/queue/sqlite"
	"graphrelay/test/harness"
)

var everyWrite = flag.Bool("every-write", false, "TestFaultyDisk lets each write fail, not only some of many alike")

// diskFault is a way in which a disk fails from one operation on.
type diskFault struct {
	name string
	// fits tells whether the fault can begin with this operation.
	fits func(harness.Operation) bool
	// judge is asked from the first operation on.
	judge func(o harness.Operation, first bool) harness.Verdict
	// end ends a relay that has seen the fault and is about to end by itself.
	end func(*harness.Relay, *testing.T)
}

func diskFaults() []diskFault {
	once := func(_ harness.Operation, first bool) harness.Verdict {
		if first {
			return harness.Verdict{Errno: unix.EIO}
		}
		return harness.Verdict{}
	}
	full := func(o harness.Operation, _ bool) harness.Verdict {
		if o.IsSync() {
			return harness.Verdict{}
		}
		return harness.Verdict{Errno: unix.ENOSPC}
	}
	notSync := func(o harness.Operation) bool { return !o.IsSync() }
	return []diskFault{
		{"one error", notSync, once, endsByItself},
		{"one sync fails", harness.Operation.IsSync, once, endsByItself},
		{"full", notSync, full, (*harness.Relay).Kill},
		{"full within a write", harness.Operation.IsWrite, func(o harness.Operation, first bool) harness.Verdict {
			if first {
				return harness.Verdict{Half: true}
			}
			return full(o, first)
		}, (*harness.Relay).Kill},
		{"every sync fails", harness.Operation.IsSync, func(o harness.Operation, _ bool) harness.Verdict {
			if o.IsSync() {
				return harness.Verdict{Errno: unix.EIO}
			}
			return harness.Verdict{}
		}, (*harness.Relay).Kill},
	}
}

// diskMail is what is sent to see a disk fail.
type diskMail struct {
	size     int // of a message
	messages int // that it takes at most until every operation was there
	counts   func() func(harness.Operation) bool
}

// faultyDisk is a relay whose disk fails when the test wants it, and what became of
// the mail that was sent to it.
type faultyDisk struct {
	*harness.Relay
	tap      *harness.Tap
	text     map[int]string    // of messages, by size
	sent     map[string]int    // size by subject
	accepted map[string]string // subject by queue ID
	stopped  int               // how often the relay ended
}

// TestFaultyDisk lets the operations on files fail that one accept makes, one after the
// other and in several ways: the message is refused for now, or accepted and kept, and later mail is taken,
// by another process where the relay ends because of the fault. Whatever is killed in between:
// in the end, what had a 250 is in the queue once, and nothing else is.
func TestFaultyDisk(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]diskMail{
		"small body": {10_000, 1, someWrites},
		"large body": {4_300_000, 1, someWrites},
		"checkpoint": {120_000, 36, aroundCheckpoint},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newFaultyDisk(t)
			for _, f := range diskFaults() {
				points := 0
				for d.fails(t, f, m.counts(), points+1, m) {
					points++
					d.laterMail(t, f.end)
				}
				if points == 0 {
					t.Errorf("%s: no operation could fail", f.name)
				}
				t.Logf("%s: at %d operations", f.name, points)
			}
			d.check(t)
			t.Logf("%d messages accepted, %d refused, the relay ended %d times", len(d.accepted), len(d.sent)-len(d.accepted), d.stopped)
		})
	}
}

// someWrites counts every operation but for most writes to a body and to the log.
func someWrites() func(harness.Operation) bool {
	body, log := 0, 0
	return func(o harness.Operation) bool {
		switch o.Call {
		case "write":
			body++
			return body%50 == 1 || *everyWrite
		case "pwrite64": // a frame's header, or its page
			log++
			return log%3 == 1 || *everyWrite
		}
		return true
	}
}

// aroundCheckpoint counts what a checkpoint does, and the start of the log anew in the
// commit after it. Most writes of pages are left out.
func aroundCheckpoint() func(harness.Operation) bool {
	pages, since := 0, 1000
	var last harness.Operation
	return func(o harness.Operation) bool {
		before := last
		last = o
		since++
		switch {
		case o.File == sqlite.DatabaseName && o.IsWrite():
			since = 0
			pages++
			return pages%600 == 1 || *everyWrite
		case o.File == sqlite.DatabaseName:
			since = 0
			return true
		}
		return o.IsSync() && before == o || since <= 2 // synced twice: for a commit, and for the checkpoint
	}
}

func newFaultyDisk(t *testing.T) *faultyDisk {
	t.Helper()
	sim := harness.ReleasedSim(t)
	d := &faultyDisk{
		Relay: harness.ReleasedRelay(t, sim), tap: &harness.Tap{},
		text: map[int]string{}, sent: map[string]int{}, accepted: map[string]string{},
	}
	d.tap.Dir = filepath.Join(d.Dir, "data")
	d.Launch = d.tap.Start
	d.Start(t)
	d.PauseAll(t) // everything stays in the queue
	return d
}

// fails sends up to so many messages, until the n-th operation that counts, and that the
// fault can begin with, has failed; it tells whether there was one.
func (d *faultyDisk) fails(t *testing.T, f diskFault, counts func(harness.Operation) bool, n int, m diskMail) bool {
	t.Helper()
	var at harness.Operation
	var failed atomic.Bool
	left := n
	d.tap.Set(func(o harness.Operation) harness.Verdict {
		if failed.Load() {
			return f.judge(o, false)
		}
		if counted := counts(o); !counted || !f.fits(o) {
			return harness.Verdict{}
		}
		if left--; left > 0 {
			return harness.Verdict{}
		}
		at = o
		failed.Store(true)
		return f.judge(o, true)
	})
	var answer string
	for i, last := 0, false; i < m.messages && !last; i++ {
		last = failed.Load() // another one, if the disk has failed and the message was taken nevertheless
		answer = d.mail(t, m.size)
		if last && strings.HasPrefix(answer, "421 ") {
			answer = "250 " // that one came too late: the relay is ending
		}
		last = last || !strings.HasPrefix(answer, "250 ")
	}
	d.tap.Set(nil)
	if !failed.Load() {
		if !strings.HasPrefix(answer, "250 ") {
			t.Errorf("without a fault: %q", answer)
		}
		return false
	}
	want := "451 4.3.0 "
	if strings.HasPrefix(f.name, "full") {
		want = "452 4.3.1 "
	}
	if !strings.HasPrefix(answer, "250 ") && !strings.HasPrefix(answer, want) {
		t.Errorf("%s at %s, number %d: %q, want %s", f.name, at, n, answer, want)
	}
	if at.IsSync() && !strings.HasPrefix(answer, "250 ") {
		if status, _ := d.Get("/readyz"); status == http.StatusOK {
			t.Errorf("%s at %s, number %d: intake goes on", f.name, at, n)
		}
	}
	return true
}

// mail sends one message and returns the answer, 421 if the relay is not there.
func (d *faultyDisk) mail(t *testing.T, size int) string {
	t.Helper()
	subject := fmt.Sprintf("disk %04d", len(d.sent))
	d.sent[subject] = size
	client, err := d.Dial("devices")
	if err != nil {
		return "421 " + err.Error()
	}
	defer client.Close()
	if err := client.Envelope("crm@contoso.test", "anna@example.com"); err != nil {
		return refusal(t, err)
	}
	if _, err := client.Ask(354, "DATA"); err != nil {
		t.Fatal(err)
	}
	answer, err := client.Ask(250, "%s.", d.content(subject)) // no line begins with a dot
	if err != nil {
		return refusal(t, err)
	}
	id, _ := strings.CutPrefix(answer, "2.0.0 queued as ")
	d.accepted[id] = subject
	return "250 " + answer
}

// content is what is sent with a subject.
func (d *faultyDisk) content(subject string) string {
	size := d.sent[subject]
	if d.text[size] == "" {
		d.text[size] = harness.Wrapped(harness.Noise("disk", size*3/4))
	}
	return "From: crm@contoso.test\r\nTo: anna@example.com\r\nSubject: " + subject + "\r\n\r\n" + d.text[size]
}

// refusal is the answer that says no.
func refusal(t *testing.T, err error) string {
	t.Helper()
	var r *textproto.Error
	if !errors.As(err, &r) {
		t.Fatalf("no answer: %v", err)
	}
	return fmt.Sprintf("%d %s", r.Code, r.Msg)
}

// laterMail wants mail to be taken, by another process if this one ends because of the fault.
func (d *faultyDisk) laterMail(t *testing.T, end func(*harness.Relay, *testing.T)) {
	t.Helper()
	var answer string
	for range 2 { // the fault may show only now
		if status, _ := d.Get("/readyz"); status != http.StatusOK {
			d.stopped++
			end(d.Relay, t)
			d.Start(t)
		}
		if answer = d.mail(t, 1000); strings.HasPrefix(answer, "250 ") {
			return
		}
	}
	t.Fatalf("later mail: %q", answer)
}

// endsByItself waits until the relay has ended as after a fault: a service manager then starts
// it again.
func endsByItself(r *harness.Relay, t *testing.T) {
	t.Helper()
	if !r.Ends() {
		t.Fatal("serve goes on although its disk failed")
	}
	if r.Status() != 1 {
		t.Fatalf("serve ended with status %d", r.Status())
	}
	if log := r.Log.String(); !strings.Contains(log, queue.ErrBroken.Error()) {
		t.Errorf("the log does not say why:\n%s", harness.Tail(log))
	}
}

// TestBrokenDiskEndsRelay has syncs fail while mail comes in and goes out. Each time the relay
// ends and is started again, as a service manager does. What had a 250 is sent once.
func TestBrokenDiskEndsRelay(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	sim.Fault(t, simulator.Fault{Operation: simulator.OpSend, Latency: 100 * time.Millisecond})
	relay := harness.NewRelay(t, sim)
	tap := &harness.Tap{Dir: filepath.Join(relay.Dir, "data")}
	relay.Launch = tap.Start
	relay.Start(t)
	o := &harness.Outbox{
		Dial:        func() (*harness.Dialog, error) { return relay.Dial("devices") },
		Connections: 4, Messages: 1 << 20, Make: harness.TenKilobytes("broken"), Patient: true,
	}
	done := o.Start()
	const log = sqlite.DatabaseName + "-wal"
	for n := range 6 {
		before := sim.Sends(t)
		harness.WaitFor(t, "mail to flow", func() bool { return sim.Sends(t) >= before+5 })
		var written, failed atomic.Bool
		tap.Set(func(op harness.Operation) harness.Verdict {
			if op.IsWrite() && op.File == log {
				written.Store(true)
			}
			// Of a single sync, the one of a commit fails, which comes after writes to the log: the
			// relay goes on after one of a checkpoint.
			if op.IsSync() && (n%2 == 1 || op.File == log && written.Swap(false) && failed.CompareAndSwap(false, true)) {
				return harness.Verdict{Errno: unix.EIO}
			}
			return harness.Verdict{}
		})
		endsByItself(relay, t)
		relay.Start(t)
	}
	o.Stop.Store(true)
	<-done
	relay.Settled(t)
	o.Check(t, sim)
	if n := o.AcceptedCount(); n < 30 {
		t.Errorf("only %d messages were accepted", n)
	}
}

// check kills the relay and compares the queue, as the next start finds it, with the
// answers.
func (d *faultyDisk) check(t *testing.T) {
	t.Helper()
	d.Kill(t)
	store, err := sqlite.Open(t.Context(), sqlite.Options{Dir: d.tap.Dir, Exclusive: true})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	records, err := store.List(t.Context(), queue.Filter{Limit: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, r := range records {
		found[r.ID] = true
		subject, accepted := d.accepted[r.ID]
		if !accepted || r.Subject != subject {
			t.Errorf("%s is in the queue, but had no 250: %q", r.ID, r.Subject)
			continue
		}
		if got := storedContent(t, store, r); got != d.content(subject) {
			t.Errorf("%q is stored with %d bytes that are not those that were sent", subject, len(got))
		}
	}
	for id, subject := range d.accepted {
		if !found[id] {
			t.Errorf("%s had a 250 and is gone: %q", id, subject)
		}
	}
	bodies, err := os.ReadDir(filepath.Join(d.tap.Dir, "bodies"))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bodies {
		if !found[b.Name()] {
			t.Errorf("a body was left behind: %s", b.Name())
		}
	}
}

// storedContent is the message without what the relay has put in front of it.
func storedContent(t *testing.T, store queue.Inspector, r queue.Record) string {
	t.Helper()
	body, err := store.Open(t.Context(), r.ID)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer body.Close()
	content, err := io.ReadAll(io.NewSectionReader(body, r.Trace, body.Size()-r.Trace))
	if err != nil {
		t.Error(err)
	}
	return string(content)
}
