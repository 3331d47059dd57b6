//go:build unix

package sqlite

import (
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"graphrelay/relay/queue"
)

const descriptorsDir = "GRAPHRELAY_TEST_DESCRIPTORS"

// A lack of descriptors refuses what needs one, and is over when there are some again. The
// limit is that of a process, so that the test runs in one of its own.
func TestNoDescriptors(t *testing.T) {
	if dir := os.Getenv(descriptorsDir); dir != "" {
		withoutDescriptors(t, dir)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestNoDescriptors$", "-test.v")
	cmd.Env = append(os.Environ(), descriptorsDir+"="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func withoutDescriptors(t *testing.T, dir string) {
	s := open(t, Options{Dir: dir, Exclusive: true})
	if _, err := put(t, s, 1<<20); err != nil { // what is opened once is open
		t.Fatal(err)
	}
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	for free := range 4 {
		next, err := os.Open(dir) // the lowest number that is free
		if err != nil {
			t.Fatal(err)
		}
		limit := syscall.Rlimit{Cur: uint64(next.Fd()) + uint64(free), Max: before.Max}
		_ = next.Close()
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
		_, large := put(t, s, 1<<20)
		_, small := put(t, s, 10)
		tasks, _, claim := s.Claim(t.Context(), queue.Claim{Node: "n", Max: 100, PerLane: 100})
		for _, task := range tasks {
			claim = errors.Join(claim, s.Finish(t.Context(), task.Ref, queue.Outcome{State: queue.Deferred, Due: s.Now().Add(time.Hour)}))
		}
		readers := s.takeReaders(t)
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Fatal(err)
		}
		if readers != nil {
			t.Errorf("with %d free, the readers of the database got %v", free, readers)
		}
		if large != nil && (!errors.Is(large, syscall.EMFILE) || !errors.Is(large, queue.ErrResources) || errors.Is(large, queue.ErrDisk)) || (large == nil) != (free > 0) {
			t.Errorf("with %d free, a large message got %v", free, large)
		}
		if small != nil || claim != nil || len(tasks) == 0 {
			t.Errorf("with %d free, a small message got %v, claims of %d %v", free, small, len(tasks), claim)
		}
		w, err := s.Create(t.Context())
		if err == nil {
			_, err = w.Write(make([]byte, 1<<20))
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil { // the last one was its file's
			t.Fatal(err)
		}
		if free == 0 {
			err = w.Commit(t.Context(), testEntry)
		}
		if again := errors.Join(syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before), w.Abort()); err != nil || again != nil {
			t.Errorf("a body that had been written: %v, %v", err, again)
		}
		if err := s.Healthy(); err != nil {
			t.Errorf("with %d free, the queue stopped: %v", free, err)
		}
		if _, err := put(t, s, 1<<20); err != nil {
			t.Errorf("after %d were free: %v", free, err)
		}
	}
}

// A body that is a pipe is damaged: a read of it would never return.
func TestBodyIsAPipe(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Exclusive: true})
	id, err := put(t, s, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	removeFile(t, s.storage.bodyPath(id))
	if err := syscall.Mkfifo(s.storage.bodyPath(id), 0o600); err != nil {
		t.Skip(err)
	}
	if _, err := s.Open(t.Context(), id); !errors.Is(err, queue.ErrDamaged) {
		t.Errorf("got %v", err)
	}
}

// takeReaders takes all connections of readers at a time, as delivery and health checks may.
func (s opened) takeReaders(t *testing.T) error {
	for db, n := range map[*sql.DB]int{s.storage.read: readers, s.storage.work: workers} {
		for range n {
			c, err := db.Conn(t.Context())
			if err != nil {
				return err
			}
			defer c.Close()
			var n int
			if err := c.QueryRowContext(t.Context(), "SELECT count(*) FROM message").Scan(&n); err != nil {
				return err
			}
		}
	}
	return nil
}
