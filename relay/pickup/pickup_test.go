package pickup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
	"graphrelay/relay/smtpd"
)

// fakeQueue is a queue that remembers what was submitted.
type fakeQueue struct {
	mu       sync.Mutex
	messages map[string]message // by ID
	calls    int
	refused  int    // files that were not submitted
	refuse   error  // before anything is claimed
	fail     error  // after the claim
	crash    func() // once a message is in the queue; nil: nothing happens
	closed   error  // of the question whether a message is there
}

type message struct {
	from, to, text string
}

func (q *fakeQueue) submit(m smtpd.Submission) (string, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.calls++
	if q.refuse != nil {
		return "", q.refuse
	}
	id := queue.NewID(time.Now())
	if err := m.Claim(id); err != nil {
		return "", err
	}
	text, err := io.ReadAll(m.Message)
	if err == nil {
		err = q.fail
	}
	if err != nil {
		return "", err
	}
	q.messages[id] = message{m.From, strings.Join(m.To, " "), string(text)}
	if q.crash != nil {
		q.crash()
	}
	return id, nil
}

func (q *fakeQueue) refusedFile(netip.Addr, string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.refused++
}

func (q *fakeQueue) queued(_ context.Context, id string) (bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	_, ok := q.messages[id]
	return ok, q.closed
}

// world is a folder with a watcher and its queue.
type world struct {
	*testing.T
	*Watcher
	dir   string
	queue *fakeQueue
	log   strings.Builder
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "pickup")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // t.TempDir insists, and Wine cannot
	w := &world{T: t, dir: dir, queue: &fakeQueue{messages: map[string]message{}}}
	w.restart()
	t.Cleanup(func() { w.Watcher.close() })
	return w
}

// restart goes on with a new process.
func (w *world) restart() {
	if w.Watcher != nil {
		w.Watcher.close()
	}
	w.Watcher = New(Config{Folder: w.dir, HeaderBytes: 4096, Submit: w.queue.submit, Refuse: w.queue.refusedFile, Queued: w.queue.queued, Log: slog.New(slog.NewTextHandler(&w.log, nil))})
}

func (w *world) drop(name, text string) {
	w.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
}

func (w *world) mustLook() {
	w.Helper()
	if _, err := w.look(w.Context()); err != nil {
		w.Fatal(err)
	}
}

// files returns what a folder has in it, without the lock, and of work and badmail without the IDs.
func (w *world) files(folder string) string {
	w.Helper()
	entries, err := os.ReadDir(filepath.Join(w.dir, folder))
	if err != nil {
		w.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if _, name := split(e.Name()); name != lockName && name != workName && name != badName {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// want compares what the folders have.
func (w *world) want(folder, work, bad string) {
	w.Helper()
	if f, k, b := w.files("."), w.files(workName), w.files(badName); f != folder || k != work || b != bad {
		w.Errorf("the folder has %q, work %q, badmail %q; want %q, %q, %q\n%s", f, k, b, folder, work, bad, w.log.String())
	}
}

// again makes the files in work due.
func (w *world) again() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name := range w.later {
		w.later[name] = time.Time{}
	}
}

const plain = "From: a@x.test\r\nTo: b@x.test\r\n\r\nbody\r\n"

func TestEnvelope(t *testing.T) {
	for text, want := range map[string]message{
		plain: {"a@x.test", "b@x.test", plain},
		"x-sender: <s@x.test>\r\nX-Receiver: b@x.test\r\nx-receiver: hidden@x.test\r\n" + plain:                                                              {"s@x.test", "b@x.test hidden@x.test", plain},
		"X-Sender: <>\nX-Receiver: b@x.test, c@x.test\nFrom: a@x.test\nTo: d@x.test\n\nbody\n":                                                               {"", "b@x.test c@x.test", "From: a@x.test\r\nTo: d@x.test\r\n\r\nbody\n"},
		"From: =?utf-8?q?e=40evil.test=2C?= <a@x.test>\nTo: =?utf-8?q?e=40evil.test=2C?= <b@x.test>\nCc: c@x.test\nBcc: d@x.test\n\nX-Sender: in the body\n": {"a@x.test", "b@x.test c@x.test d@x.test", "From: =?utf-8?q?e=40evil.test=2C?= <a@x.test>\r\nTo: =?utf-8?q?e=40evil.test=2C?= <b@x.test>\r\nCc: c@x.test\r\nBcc: d@x.test\r\n\r\nX-Sender: in the body\n"},
	} {
		w := newWorld(t)
		w.drop("m.eml", text)
		w.mustLook()
		w.want("", "", "")
		for _, got := range w.queue.messages {
			if got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		if len(w.queue.messages) != 1 {
			t.Errorf("%q: %d messages", text, len(w.queue.messages))
		}
	}
}

func TestBad(t *testing.T) {
	for text, want := range map[string]string{
		"Subject: x\r\n\r\n":                              "no recipient",
		"To: b@x.test\r\n\r\n":                            "no sender",
		"From: a@x.test\r\nTo: b@x.test, broken@\r\n\r\n": "To: ",
		"X-Receiver: b@x.test c@x.test\r\n" + plain:       "X-Receiver: ",
		"X-Sender: a@x.test, b@x.test\r\n" + plain:        "one address",
		"": "no recipient",
		"X: " + strings.Repeat("x", 5000) + "\r\n" + plain: "limits.header_size",
		"X: " + strings.Repeat("x", 9000) + "\r\n" + plain: "limits.header_size",
	} {
		w := newWorld(t)
		w.drop("Bad file.EML", text)
		w.mustLook()
		w.want("", "", "Bad file.EML Bad file.EML.txt")
		reason, _ := filepath.Glob(filepath.Join(w.dir, badName, "*.txt"))
		if got, err := os.ReadFile(reason[0]); err != nil || !strings.Contains(string(got), want) {
			t.Errorf("%.40q: %q, %v; want %q", text, got, err, want)
		}
		if w.queue.calls > 0 || w.queue.refused != 1 {
			t.Errorf("%.40q was submitted, or not counted: %+v", text, w.queue)
		}
	}
	w := newWorld(t)
	w.queue.refuse = &smtpd.Refusal{Code: 550, Enhanced: [3]int{5, 7, 1}, Reason: reason.Sender, Text: "No mailbox sends for you"}
	w.drop("m.eml", plain)
	w.mustLook()
	w.want("", "", "m.eml m.eml.txt")
	if w.queue.refused > 0 {
		t.Error("a refusal is counted twice")
	}
	if !strings.Contains(w.log.String(), "No mailbox sends") {
		t.Errorf("the log is silent: %s", w.log.String())
	}
}

// TestIgnored drops what is no message, or not yet.
func TestIgnored(t *testing.T) {
	w := newWorld(t)
	w.drop("m.tmp", plain)
	w.drop("m.eml.part", plain)
	w.drop("noext", plain)
	if err := os.MkdirAll(filepath.Join(w.dir, "folder.eml"), 0o700); err != nil {
		t.Fatal(err)
	}
	w.mustLook()
	w.want("folder.eml m.eml.part m.tmp noext", "", "")
}

// TestIncomplete writes a file slowly: it is taken once it has been seen unchanged for a while.
func TestIncomplete(t *testing.T) {
	w := newWorld(t)
	w.Watcher.cfg.Settle = time.Hour
	passes := func() {
		for name, s := range w.seen {
			s.at = s.at.Add(-time.Hour)
			w.seen[name] = s
		}
	}
	w.drop("m.eml", "From: a@x.test\r\n")
	w.mustLook()
	w.drop("m.eml", plain[:len(plain)-6])
	passes()
	w.mustLook()
	w.want("m.eml", "", "")
	before := w.seen["m.eml"].modified
	w.drop("m.eml", strings.Replace(plain[:len(plain)-6], "b@", "c@", 1)) // of the same size
	if err := os.Chtimes(filepath.Join(w.dir, "m.eml"), time.Time{}, before.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	passes()
	w.mustLook()
	w.want("m.eml", "", "")
	passes()
	w.mustLook()
	w.want("", "", "")
	if len(w.queue.messages) != 1 {
		t.Errorf("%d messages", len(w.queue.messages))
	}
}

// TestLater has the relay refuse a file for now: it stays, and is tried again.
func TestLater(t *testing.T) {
	w := newWorld(t)
	full := &smtpd.Refusal{Code: 452, Enhanced: [3]int{4, 3, 1}, Reason: reason.Full, Text: "The relay's queue is full"}
	w.queue.fail = full
	w.drop("m.eml", plain)
	w.mustLook()
	w.want("", "m.eml", "")
	w.drop("m.eml", plain) // another file of the same name
	w.queue.fail, w.queue.refuse = nil, full
	w.mustLook()
	w.want("", "m.eml m.eml", "")
	if n := w.Notices(); len(n) != 1 || !strings.Contains(n[0], "2 files wait") || !strings.Contains(n[0], "queue is full") {
		t.Errorf("notices %q", n)
	}
	w.queue.refuse = nil
	calls := w.queue.calls
	w.mustLook()
	if w.queue.calls != calls {
		t.Error("a file is tried again at once")
	}
	w.queue.closed = errors.New("away")
	w.again()
	w.mustLook()
	w.want("", "m.eml m.eml", "")
	w.queue.closed = nil
	w.again()
	w.mustLook()
	w.want("", "", "")
	if len(w.queue.messages) != 2 || len(w.Notices()) > 0 {
		t.Errorf("%d messages, notices %q", len(w.queue.messages), w.Notices())
	}
}

// TestCrash ends the process at each step of taking a file.
func TestCrash(t *testing.T) {
	type step struct {
		name  string
		crash func(w *world)
	}
	for _, s := range []step{
		{"claimed", func(w *world) {
			w.drop("m.eml", plain)
			if err := w.open(); err != nil {
				w.Fatal(err)
			}
			if names, err := w.claim(w.Context()); err != nil || len(names) != 1 {
				w.Fatal(names, err)
			}
		}},
		{"with the queue ID", func(w *world) {
			w.drop("m.eml", plain)
			w.queue.fail = errors.New("crash")
			w.mustLook()
			w.queue.fail = nil
		}},
		{"queued", func(w *world) {
			w.drop("m.eml", plain)
			w.queue.crash = func() { panic("crash") }
			w.mustLook()
			w.queue.crash = nil
			w.want("", "m.eml", "")
		}},
	} {
		t.Run(s.name, func(t *testing.T) {
			w := newWorld(t)
			s.crash(w)
			w.restart()
			w.mustLook()
			w.want("", "", "")
			if len(w.queue.messages) != 1 {
				t.Errorf("%d messages are queued", len(w.queue.messages))
			}
		})
	}
	t.Run("with the reason", func(t *testing.T) {
		w := newWorld(t)
		if err := w.open(); err != nil {
			t.Fatal(err)
		}
		name := newName("m.eml")
		w.drop(inWork(name), plain)
		w.drop(reasonOf(name), "why\n")
		w.mustLook()
		w.want("", "", "m.eml m.eml.txt")
		if w.queue.calls > 0 {
			t.Error("a bad file was submitted")
		}
	})
}

// TestOneAtATime has two relays use one folder.
func TestOneAtATime(t *testing.T) {
	w := newWorld(t)
	w.mustLook()
	other := New(w.Watcher.cfg)
	if _, err := other.look(t.Context()); !errors.Is(err, errLocked) {
		t.Errorf("got %v", err)
	}
	w.Watcher.close()
	if _, err := other.look(t.Context()); err != nil {
		t.Error(err)
	}
	other.close()
}

// TestFolder takes the folder away and gives it back.
func TestFolder(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a folder that is in use cannot be moved there")
	}
	w := newWorld(t)
	w.mustLook()
	moved := w.dir + "-moved"
	if err := os.Rename(w.dir, moved); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_, err := w.look(t.Context())
		w.note(err)
	}
	if n := w.Notices(); len(n) != 1 || !strings.Contains(n[0], w.dir) || strings.Count(w.log.String(), "no mail is picked up") != 1 {
		t.Errorf("notices %q, log %s", n, w.log.String())
	}
	if err := os.Rename(moved, w.dir); err != nil {
		t.Fatal(err)
	}
	w.drop("m.eml", plain)
	_, err := w.look(t.Context())
	w.note(err)
	w.want("", "", "")
	if len(w.Notices()) > 0 {
		t.Errorf("notices %q", w.Notices())
	}
}

// TestMany drops more files than are taken at a time.
func TestMany(t *testing.T) {
	w := newWorld(t)
	const files = maxFiles + 50
	for i := range files {
		w.drop(fmt.Sprintf("%d.eml", i), plain)
	}
	more, err := w.look(t.Context())
	if err != nil || !more || len(w.queue.messages) != maxFiles {
		t.Fatalf("%v, %v, %d messages", more, err, len(w.queue.messages))
	}
	if more, err = w.look(t.Context()); err != nil || more || len(w.queue.messages) != files {
		t.Fatalf("%v, %v, %d messages", more, err, len(w.queue.messages))
	}
	w.want("", "", "")
}

// TestStuck has files that could not be moved for a while, as those of others in a folder that is not
// the relay's: they are told, keep back no others, and are tried again.
func TestStuck(t *testing.T) {
	w := newWorld(t)
	w.cfg.Settle = time.Hour
	for i := range maxFiles {
		w.drop(fmt.Sprintf("%d.eml", i), plain)
	}
	w.mustLook()
	back := func(change func(*sighting)) {
		for name, s := range w.seen {
			change(&s)
			w.seen[name] = s
		}
	}
	w.cfg.Settle = 0
	for name := range maps.Clone(w.seen) {
		w.failed(name, os.ErrPermission)
	}
	w.countStuck()
	if n := w.Notices(); len(n) > 0 {
		t.Errorf("at once there are notices %q", n)
	}
	back(func(s *sighting) { s.failed = s.failed.Add(-stuckAfter) })
	w.failed("0.eml", os.ErrPermission)
	w.drop("good.eml", plain)
	w.mustLook()
	if len(w.queue.messages) != 1 {
		t.Errorf("%d messages, want that of the file that can be moved", len(w.queue.messages))
	}
	if n := w.Notices(); len(n) != 1 || !strings.Contains(n[0], "cannot be taken: 1000") || !strings.Contains(n[0], "permission") {
		t.Errorf("notices %q", n)
	}
	back(func(s *sighting) { s.tried = s.tried.Add(-stuckAfter) })
	w.mustLook()
	if len(w.queue.messages) != maxFiles+1 || len(w.Notices()) > 0 {
		t.Errorf("%d messages, notices %q", len(w.queue.messages), w.Notices())
	}
	if got := strings.Count(w.log.String(), "cannot be moved out"); got != 1 {
		t.Errorf("it is logged %d times", got)
	}
}

func TestNames(t *testing.T) {
	id := queue.NewID(time.Now())
	long := strings.Repeat("ü", 150) + ".eml"
	name := nameWith(id, long)
	gotID, got := split(name)
	if len(name) > 255 || gotID != id || !strings.HasSuffix(long, got) || !strings.HasPrefix(got, "ü") {
		t.Errorf("%q: %q %q", name, gotID, got)
	}
	if id, got := split("no-id.eml"); id != "" || got != "no-id.eml" {
		t.Errorf("%q %q", id, got)
	}
}
