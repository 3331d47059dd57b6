package sqlite

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/queue"
)

// Others cannot read the files, also where the directory lets them in.
func TestOthersReadNothing(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no modes")
	}
	fresh := filepath.Join(t.TempDir(), "a", "b")
	used := t.TempDir()
	_ = open(t, Options{Dir: used, Exclusive: true}).Close()
	for _, name := range []string{DatabaseName, bodiesName, lockName} {
		if err := os.Chmod(filepath.Join(used, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(used, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{fresh, used} {
		s := open(t, Options{Dir: dir, Exclusive: true})
		for _, size := range []int{10, 1 << 20} {
			if _, err := put(t, s, size); err != nil {
				t.Fatal(err)
			}
		}
		n := 0
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || path == used {
				return err
			}
			n++
			info, err := e.Info()
			if err == nil && info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s has mode %s", path, info.Mode())
			}
			return err
		})
		if err != nil || n < 6 {
			t.Errorf("looked at %d files; %v", n, err)
		}
	}
}

// A first start that was killed leaves an empty database, which is none that lost its mail.
func TestKilledFirstStart(t *testing.T) {
	empty := func(name string, size int) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(dir, name), make([]byte, size), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, tt := range map[string]struct {
		left []func(t *testing.T, dir string)
		lost bool
	}{
		"nothing else":      {nil, false},
		"an empty log":      {[]func(*testing.T, string){empty(walName, 0)}, false},
		"a log's header":    {[]func(*testing.T, string){empty(walName, logHeader)}, false},
		"an index":          {[]func(*testing.T, string){empty(walName, 0), empty(shmName, 32<<10)}, false},
		"a lock":            {[]func(*testing.T, string){empty(lockName, 0)}, false},
		"a journal":         {[]func(*testing.T, string){empty(DatabaseName+"-journal", 0)}, false},
		"a log with frames": {[]func(*testing.T, string){empty(walName, 4152)}, true},
		"a body":            {[]func(*testing.T, string){empty(filepath.Join(bodiesName, "0123456789abcdef"), 1)}, true},
		"a lock of a queue": {[]func(*testing.T, string){empty(lockName, len(inUse))}, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, bodiesName), 0o700); err != nil {
				t.Fatal(err)
			}
			empty(DatabaseName, 0)(t, dir)
			for _, make := range tt.left {
				make(t, dir)
			}
			if tt.lost {
				if _, err := Open(t.Context(), Options{Dir: dir, Exclusive: true}); !errors.Is(err, errEmpty) {
					t.Errorf("got %v", err)
				}
				return
			}
			if _, err := Open(t.Context(), Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "start the relay once") {
				t.Errorf("a command beside it got %v", err)
			}
			s := open(t, Options{Dir: dir, Exclusive: true})
			if _, err := put(t, s, 10); err != nil {
				t.Error(err)
			}
		})
	}
}

// No mail is taken into files that nobody will find again; what is there is delivered.
func TestFilesRemovedUnderIt(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows keeps open files from being removed")
	}
	for _, name := range []string{DatabaseName, walName, shmName, bodiesName, "."} {
		for _, replaced := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "data")
				s := open(t, Options{Dir: dir, Exclusive: true})
				id, err := put(t, s, 10)
				if err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(dir, name)
				if err := os.Rename(path, filepath.Join(dir, "..", "moved")); err != nil {
					t.Fatal(err)
				}
				if replaced {
					if err := os.Mkdir(path, 0o700); err != nil {
						t.Fatal(err)
					}
				}
				for range 1000 { // it looks each second
					if err = s.Healthy(); err != nil {
						break
					}
					time.Sleep(10 * time.Millisecond)
				}
				if !errors.Is(err, queue.ErrDisk) {
					t.Errorf("it is healthy: %v", err)
				}
				w := &writer{s}
				if err := w.put(t); !errors.Is(err, queue.ErrDisk) {
					t.Errorf("a message was taken: %v", err)
				}
				tasks, _, err := s.Claim(t.Context(), queue.Claim{Node: "n", Max: 10, PerLane: 10})
				if err != nil || len(tasks) != 1 || tasks[0].ID != id {
					t.Fatalf("claimed %v, %v", tasks, err)
				}
				if err := s.Finish(t.Context(), tasks[0].Ref, queue.Outcome{State: queue.Sent}); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// writer puts a message whose session had begun before the files went.
type writer struct{ s opened }

func (w *writer) put(t *testing.T) error {
	return w.s.storage.Update(t.Context(), func(tx queue.Tx) error {
		f, err := tx.Flow(testEntry.Lane, "sender", "client")
		if err != nil {
			return err
		}
		r := queue.Record{ID: "0123456789abcdef", Entry: testEntry, Status: queue.Status{State: queue.Queued, HasContent: true}}
		return tx.Insert(r, f.Lane, w.s.storage.ContentOf(r.ID, []byte("x")))
	})
}

// A second relay does not start on a directory whose lock file was removed.
func TestLockFileRemoved(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows keeps open files from being removed")
	}
	dir := t.TempDir()
	s := open(t, Options{Dir: dir, Exclusive: true})
	removeFile(t, filepath.Join(dir, lockName))
	if _, err := Open(t.Context(), Options{Dir: dir, Exclusive: true}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Fatalf("a second daemon got %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, Options{Dir: dir, Exclusive: true})
}
