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
	"syscall"
	"testing"
	"time"

	"graphrelay/relay/queue"
	"graphrelay/relay/queue/queuetest"
)

func TestConformance(t *testing.T) {
	queuetest.Run(t, func(t *testing.T, dir string) *queue.Queue {
		s, err := Open(t.Context(), Options{Dir: dir, Exclusive: true})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
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
		t.Fatalf("steering beside the daemon: %v", err)
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
	if _, err := s.storage.writer.conn.ExecContext(t.Context(), "PRAGMA user_version = 99"); err != nil {
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

// faultyFiles fails as a full or broken disk does.
type faultyFiles struct {
	osFiles
	mu     sync.Mutex
	writes error // after the first byte
	syncs  error
	dirs   error
	free   int64 // bytes; 0: what there is
}

func (f *faultyFiles) Create(path string) (file, error) {
	real, err := f.osFiles.Create(path)
	return &faultyFile{real, f}, err
}

func (f *faultyFiles) SyncDir(path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dirs != nil {
		return f.dirs
	}
	return f.osFiles.SyncDir(path)
}

func (f *faultyFiles) Free(path string) (free, size int64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.free > 0 {
		return f.free, 10_000, nil
	}
	return f.osFiles.Free(path)
}

type faultyFile struct {
	file
	f *faultyFiles
}

func (f *faultyFile) Write(p []byte) (int, error) {
	f.f.mu.Lock()
	defer f.f.mu.Unlock()
	if f.f.writes != nil {
		n, _ := f.file.Write(p[:1])
		return n, f.f.writes
	}
	return f.file.Write(p)
}

func (f *faultyFile) Sync() error {
	f.f.mu.Lock()
	defer f.f.mu.Unlock()
	if f.f.syncs != nil {
		return f.f.syncs
	}
	return f.file.Sync()
}

func TestDiskFaults(t *testing.T) {
	full := &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
	broken := &os.PathError{Op: "sync", Path: "x", Err: syscall.EIO}
	tests := []struct {
		name string
		set  func(*faultyFiles)
		want error
		ends bool // intake, until the queue is opened again
	}{
		{"write, full", func(f *faultyFiles) { f.writes = full }, queue.ErrNoSpace, false},
		{"write, broken", func(f *faultyFiles) { f.writes = broken }, queue.ErrDisk, false},
		{"sync, full", func(f *faultyFiles) { f.syncs = full }, queue.ErrNoSpace, false},
		{"sync, broken", func(f *faultyFiles) { f.syncs = broken }, queue.ErrDisk, true},
		{"directory sync, broken", func(f *faultyFiles) { f.dirs = broken }, queue.ErrDisk, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir, files := t.TempDir(), &faultyFiles{}
			s := open(t, Options{Dir: dir, Exclusive: true, files: files})
			tt.set(files)
			id, err := put(t, s, 5<<20)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v", err)
			}
			if _, _, err := s.Get(t.Context(), id); !errors.Is(err, queue.ErrNotFound) {
				t.Errorf("a record remains: %v", err)
			}
			if got := bodies(t, dir); len(got) != 0 {
				t.Errorf("files remain: %v", got)
			}
			files.writes, files.syncs, files.dirs = nil, nil, nil
			if err := s.Healthy(); errors.Is(err, queue.ErrDisk) != tt.ends {
				t.Errorf("afterwards: %v", err)
			}
			if tt.ends {
				if _, err := s.Create(t.Context()); !errors.Is(err, queue.ErrDisk) {
					t.Errorf("intake goes on: %v", err)
				}
				_ = s.Close()
				s = open(t, Options{Dir: dir, Exclusive: true})
			}
			if _, err := put(t, s, 5<<20); err != nil {
				t.Errorf("once the disk is well again: %v", err)
			}
		})
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
	if err := s.storage.writer.conn.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	limit := func(n int) {
		if _, err := s.storage.writer.conn.ExecContext(t.Context(), "PRAGMA max_page_count = "+strconv.Itoa(n)); err != nil {
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

func BenchmarkAccept(b *testing.B) {
	s, err := Open(b.Context(), Options{Dir: b.TempDir(), Exclusive: true})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	body := bytes.Repeat([]byte("x"), 10<<10)
	b.SetBytes(int64(len(body)))
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			w, err := s.Create(b.Context())
			if err == nil {
				_, err = w.Write(body)
			}
			if err == nil {
				err = w.Commit(b.Context(), testEntry)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

func TestFreeSpaceFloor(t *testing.T) {
	files := &faultyFiles{free: 1000}
	s := open(t, Options{Dir: t.TempDir(), Exclusive: true, files: files})
	if err := s.CheckCapacity(t.Context(), 1000, queue.Limits{}); err != nil {
		t.Errorf("without a floor: %v", err)
	}
	if err := s.CheckCapacity(t.Context(), 0, queue.Limits{FreeSpace: 1 << 40}); err != nil {
		t.Errorf("with a floor that the disk cannot have: %v", err)
	}
	for size, want := range map[int64]error{900: nil, 901: queue.ErrNoSpace} {
		if err := s.CheckCapacity(t.Context(), size, queue.Limits{FreeSpace: 100}); !errors.Is(err, want) {
			t.Errorf("%d bytes with 1,000 free, 100 of them to stay: %v", size, err)
		}
	}
	if _, err := put(t, s, 600); err != nil {
		t.Fatal(err)
	}
	if err := s.CheckCapacity(t.Context(), 500, queue.Limits{FreeSpace: 100}); !errors.Is(err, queue.ErrNoSpace) {
		t.Errorf("what was taken since the last count does not count: %v", err)
	}
}

// A backlog gives its pages back once it is sent.
func TestSpaceComesBack(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Exclusive: true})
	pages := func(pragma string) (n int) {
		t.Helper()
		if err := s.storage.writer.conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&n); err != nil {
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
	if _, err := s.Renew(t.Context(), "n", time.Minute); err != nil {
		t.Fatal(err)
	}
	if after := pages("page_count"); after > before/4 || pages("freelist_count") > before/4 {
		t.Errorf("%d pages with the backlog, %d after it, %d of them free", before, after, pages("freelist_count"))
	}
}

// BenchmarkClaim measures a claim and its end with so many messages waiting.
func BenchmarkClaim(b *testing.B) {
	for _, waiting := range []int{100, 100_000} {
		b.Run(strconv.Itoa(waiting), func(b *testing.B) {
			s, err := Open(b.Context(), Options{Dir: b.TempDir(), Exclusive: true})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			fill(b, s, waiting)
			for b.Loop() {
				tasks, _, err := s.Claim(b.Context(), queue.Claim{Node: "n", Max: 1, PerLane: 4})
				if err != nil || len(tasks) != 1 {
					b.Fatalf("claimed %d, %v", len(tasks), err)
				}
				if err := s.Finish(b.Context(), tasks[0].Ref, queue.Outcome{State: queue.Queued}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// fill queues messages in fifty lanes.
func fill(b *testing.B, s *queue.Queue, messages int) {
	b.Helper()
	var wg sync.WaitGroup
	for p := range 64 {
		wg.Go(func() {
			for i := p; i < messages; i += 64 {
				w, err := s.Create(b.Context())
				if err == nil {
					_, err = w.Write([]byte("x"))
				}
				e := testEntry
				e.Lane.Mailbox = strconv.Itoa(i % 50)
				if err == nil {
					err = w.Commit(b.Context(), e)
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
