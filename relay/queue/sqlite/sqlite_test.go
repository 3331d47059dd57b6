package sqlite

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"graphrelay/relay/queue"
	"graphrelay/relay/queue/queuetest"
)

func TestConformance(t *testing.T) {
	open := func(t *testing.T, dir string) *queue.Queue {
		s, err := Open(t.Context(), Options{Dir: dir, Exclusive: true})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	queuetest.Run(t, open)
	t.Run("move", func(t *testing.T) { queuetest.RunMove(t, open, open) })
}

// opened is a queue together with its storage.
type opened struct {
	*queue.Queue
	storage *storage
}

func open(t testing.TB, o Options) opened {
	t.Helper()
	q, s, err := openQueue(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	return opened{q, s}
}

var testEntry = queue.Entry{Envelope: queue.Envelope{From: "a@x.test", To: []string{"b@x.test"}}, Lane: queue.Lane{Connection: "c", Mailbox: "a@x.test"}}

func put(t *testing.T, s opened, size int) (string, error) {
	t.Helper()
	w, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(bytes.Repeat([]byte("x"), size)); err != nil {
		return w.ID(), errors.Join(err, w.Abort())
	}
	return w.ID(), w.Commit(t.Context(), testEntry)
}

func bodies(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, bodiesName))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestOneDaemonADirectory(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir, Exclusive: true})
	if _, err := Open(t.Context(), Options{Dir: dir, Exclusive: true}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Fatalf("a second daemon got %v", err)
	}
	id, err := put(t, s, 10)
	if err != nil {
		t.Fatal(err)
	}
	beside := open(t, Options{Dir: dir})
	if err := beside.Apply(t.Context(), id, queue.Hold, "test"); err != nil {
		t.Fatalf("an action beside the daemon: %v", err)
	}
	r, _, err := s.Get(t.Context(), id)
	if err != nil || r.State != queue.Held {
		t.Fatalf("the daemon sees %s, %v", r.State, err)
	}
}

// A directory may have any name.
func TestDirectoryName(t *testing.T) {
	for _, name := range []string{"a#b", "a?b", "a%20b", "a b"} {
		if runtime.GOOS == "windows" && strings.Contains(name, "?") {
			continue
		}
		dir := filepath.Join(t.TempDir(), name)
		open(t, Options{Dir: dir, Exclusive: true})
		if _, err := os.Stat(filepath.Join(dir, DatabaseName)); err != nil {
			t.Error(err)
		}
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir, Exclusive: true})
	if err := s.storage.writer.conn.run("PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	if _, err := Open(t.Context(), Options{Dir: dir, Exclusive: true}); err == nil || !strings.Contains(err.Error(), "newer graphrelay") {
		t.Fatalf("a newer schema gave %v", err)
	}
}

// A crash leaves files whose row was never committed; the next start removes them.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir, Exclusive: true})
	kept, err := put(t, s, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	_ = s.Close() // w is never committed
	stranger := filepath.Join(dir, bodiesName, "README")
	if err := os.WriteFile(stranger, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, Options{Dir: dir, Exclusive: true})
	if got := bodies(t, dir); len(got) != 2 || got[0] != kept && got[1] != kept {
		t.Fatalf("after the sweep there are %v, want README and %s", got, kept)
	}
}

// A full database refuses with ErrNoSpace, keeps what it has, and goes on when
// there is room.
func TestDatabaseFull(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Exclusive: true})
	kept, err := put(t, s, 50<<10)
	if err != nil {
		t.Fatal(err)
	}
	var pages int
	if err := s.storage.writer.conn.read("PRAGMA page_count", &pages); err != nil {
		t.Fatal(err)
	}
	limit := func(n int) {
		if err := s.storage.writer.conn.run("PRAGMA max_page_count = " + strconv.Itoa(n)); err != nil {
			t.Fatal(err)
		}
	}
	limit(pages + 2)
	id, err := put(t, s, 100<<10)
	if !errors.Is(err, queue.ErrNoSpace) {
		t.Fatalf("a full database gave %v", err)
	}
	if _, _, err := s.Get(t.Context(), id); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("a record remains: %v", err)
	}
	if err := s.Healthy(); err != nil {
		t.Errorf("a full disk is no broken one: %v", err)
	}
	limit(pages + 10000)
	if _, err := put(t, s, 100<<10); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if _, _, err := s.Get(t.Context(), kept); err != nil {
		t.Errorf("the message before: %v", err)
	}
}

// One operation that fails does not fail those that share its commit.
func TestNeighboursSurvive(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Exclusive: true})
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			id := queue.NewID(time.Now())
			if i%5 == 0 {
				id = "duplicate" // only the first of them can be inserted
			}
			err := s.storage.Update(t.Context(), func(tx queue.Tx) error {
				f, err := tx.Flow(testEntry.Lane, "sender", "client")
				if err != nil {
					return err
				}
				r := queue.Record{ID: id, Entry: testEntry, Status: queue.Status{State: queue.Queued, HasContent: true}}
				return tx.Insert(r, f.Lane, s.storage.ContentOf(id, nil))
			})
			if err != nil && i%5 != 0 {
				t.Errorf("message %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	st, err := s.Stats(t.Context())
	if err != nil || st.Messages[queue.Queued] != 41 {
		t.Fatalf("%d messages are queued, want 41; %v", st.Messages[queue.Queued], err)
	}
}

// A refusal leaves nothing of its operation, also where it comes after a change, and
// costs those that share its commit nothing.
func TestRefusalLeavesNothing(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Exclusive: true})
	id, err := put(t, s, 10)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			err := s.storage.Update(t.Context(), func(tx queue.Tx) error {
				if err := tx.AddEvents(id, queue.Event{What: strconv.Itoa(i)}); err != nil || i%5 != 0 {
					return err
				}
				return queue.ErrState
			})
			if errors.Is(err, queue.ErrState) != (i%5 == 0) {
				t.Errorf("operation %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	_, events, err := s.Get(t.Context(), id)
	if err != nil || len(events) != 40 {
		t.Errorf("%d events, want 40; %v", len(events), err)
	}
}

func TestClosed(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Exclusive: true})
	w, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	if err := w.Commit(t.Context(), testEntry); !errors.Is(err, queue.ErrClosed) {
		t.Fatalf("a commit after Close gave %v", err)
	}
}

// A backlog gives its pages back once it is sent.
func TestSpaceComesBack(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Exclusive: true})
	pages := func(pragma string) (n int) {
		t.Helper()
		if err := s.storage.writer.conn.read("PRAGMA "+pragma, &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for range 20 {
		if _, err := put(t, s, 100<<10); err != nil {
			t.Fatal(err)
		}
	}
	before := pages("page_count")
	tasks, _, err := s.Claim(t.Context(), queue.Claim{Node: "n", Max: 20, PerLane: 20})
	if err != nil || len(tasks) != 20 {
		t.Fatalf("claimed %d, %v", len(tasks), err)
	}
	for _, task := range tasks {
		if err := s.Finish(t.Context(), task.Ref, queue.Outcome{State: queue.Sent}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Renew(t.Context(), queue.Renewal{Node: queue.Node{ID: "n", Name: "n"}, Lease: time.Minute}); err != nil {
		t.Fatal(err)
	}
	if after := pages("page_count"); after > before/4 || pages("freelist_count") > before/4 {
		t.Errorf("%d pages with the backlog, %d after it, %d of them free", before, after, pages("freelist_count"))
	}
}

// setClock is a queue.Source that a test sets.
type setClock struct {
	wall    time.Time
	elapsed time.Duration
}

func (c *setClock) Wall() time.Time        { return c.wall }
func (c *setClock) Elapsed() time.Duration { return c.elapsed }

// The queue's time goes on over a restart from where the last renewal of a lease left it,
// whatever the wall clock shows then.
func TestTimeGoesOn(t *testing.T) {
	dir := t.TempDir()
	clock := &setClock{wall: time.Now()}
	s := open(t, Options{Dir: dir, Exclusive: true, Source: clock})
	start := s.Now()
	clock.elapsed = time.Hour // and the wall clock was set back meanwhile
	if _, err := s.Renew(t.Context(), queue.Renewal{Node: queue.Node{ID: "n", Name: "n"}, Lease: time.Minute}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, ahead := range []time.Duration{0, -365 * 24 * time.Hour, 365 * 24 * time.Hour} {
		s := open(t, Options{Dir: dir, Exclusive: true, Source: &setClock{wall: clock.wall.Add(ahead)}})
		if now := s.Now(); now.Before(start.Add(time.Hour)) || now.After(start.Add(time.Hour+queue.MaxStopped)) {
			t.Errorf("with a wall clock %v ahead, an hour after %s it is %s", ahead, start, now)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
