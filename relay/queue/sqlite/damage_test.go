package sqlite

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/queue"
)

// damaged has a text that says so and what to do.
func damaged(err error) bool {
	return err != nil && strings.Contains(err.Error(), "damaged") && strings.Contains(err.Error(), "restore")
}

// A damaged database is not taken for a good one, nor for a new one.
func TestDamagedDatabase(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"cut off":        func(b []byte) []byte { return b[:len(b)/2] },
		"cut in a page":  func(b []byte) []byte { return b[:len(b)/2+100] },
		"a page of zero": func(b []byte) []byte { clear(b[8192:12288]); return b },
		"noise":          func(b []byte) []byte { copy(b[16384:], strings.Repeat("noise", 2000)); return b },
		"no header":      func(b []byte) []byte { copy(b, "not a database at all"); return b },
		"nothing":        func([]byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, Options{Dir: dir, Exclusive: true})
			for range 20 {
				if _, err := put(t, s, 20<<10); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, DatabaseName)
			var size int
			change(t, path, func(b []byte) []byte { b = damage(b); size = len(b); return b })
			for range 2 {
				if _, err := Open(t.Context(), Options{Dir: dir, Exclusive: true}); !damaged(err) && !errors.Is(err, errEmpty) {
					t.Errorf("got %v", err)
				}
			}
			if st, err := os.Stat(path); err != nil || int(st.Size()) != size {
				t.Errorf("the database has %d bytes instead of %d: %v", st.Size(), size, err)
			}
		})
	}
}

// What belongs to a database is not taken for the beginning of a new one.
func TestMissingDatabase(t *testing.T) {
	for name, size := range map[string]int{"bodies": 1 << 20, "log": 100} {
		t.Run(name, func(t *testing.T) {
			s := open(t, Options{Dir: t.TempDir(), Exclusive: true})
			if _, err := put(t, s, size); err != nil {
				t.Fatal(err)
			}
			dir := killed(t, s)
			removeFile(t, filepath.Join(dir, DatabaseName))
			if size > inlineBody {
				removeFile(t, filepath.Join(dir, walName))
			}
			before := bodies(t, dir)
			if _, err := Open(t.Context(), Options{Dir: dir, Exclusive: true}); !errors.Is(err, errEmpty) {
				t.Errorf("got %v", err)
			}
			if after := bodies(t, dir); len(after) != len(before) {
				t.Errorf("the bodies %v became %v", before, after)
			}
		})
	}
}

// killed is the store's directory as it is if its process is killed now.
func killed(t *testing.T, s opened) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(s.storage.dir)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A log that lost what was committed is refused, and stays as it is; any other end of
// it is what a crash leaves.
func TestDamagedLog(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Exclusive: true})
	const messages = 20
	var young []byte // an index
	for i := range messages {
		if _, err := put(t, s, 20<<10); err != nil {
			t.Fatal(err)
		}
		if i == messages/2 {
			young = read(t, filepath.Join(s.storage.dir, shmName))
		}
	}
	garbage := func(b []byte) []byte { return append(b, b[4096:9000]...) }
	indexOf := func(b []byte) func([]byte) []byte { return func([]byte) []byte { return b } }
	for name, tt := range map[string]struct {
		log, index func([]byte) []byte
		lost       bool
	}{
		"whole":             {nil, nil, false},
		"cut off":           {func(b []byte) []byte { return b[:len(b)/2] }, nil, true},
		"last byte missing": {func(b []byte) []byte { return b[:len(b)-1] }, nil, true},
		"nothing":           {func([]byte) []byte { return nil }, nil, true},
		"bit in the header": {func(b []byte) []byte { b[17] ^= 1; return b }, nil, true},
		"bit in a page":     {flip(50), nil, true},
		"unfinished commit": {garbage, nil, false},
		"older index":       {garbage, indexOf(young), false},
		"index of zero":     {garbage, func(b []byte) []byte { clear(b); return b }, false},
		"cut index":         {garbage, func(b []byte) []byte { return b[:50] }, false},
		"bit in the index":  {garbage, func(b []byte) []byte { b[18] ^= 1; return b }, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := killed(t, s)
			log, index := filepath.Join(dir, walName), filepath.Join(dir, shmName)
			if tt.log != nil {
				change(t, log, tt.log)
			}
			if tt.index != nil {
				change(t, index, tt.index)
			}
			if tt.lost {
				for _, exclusive := range []bool{true, false, true} { // no refusal makes it pass
					if _, err := Open(t.Context(), Options{Dir: dir, Exclusive: exclusive}); !errors.Is(err, errLog) {
						t.Fatalf("got %v", err)
					}
				}
				removeFile(t, index) // as the text says
			}
			s := open(t, Options{Dir: dir, Exclusive: true})
			st, err := s.Stats(t.Context())
			if n := st.Messages[queue.Queued]; err != nil || n == messages == tt.lost {
				t.Errorf("%d messages, %v", n, err)
			}
		})
	}
	t.Run("missing", func(t *testing.T) {
		dir := killed(t, s)
		removeFile(t, filepath.Join(dir, walName))
		if _, err := Open(t.Context(), Options{Dir: dir, Exclusive: true}); !errors.Is(err, errLog) {
			t.Errorf("got %v", err)
		}
	})
}

// Nothing is lost with a log whose content has been moved to the database.
func TestMovedLog(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Exclusive: true})
	if _, err := put(t, s, 100); err != nil {
		t.Fatal(err)
	}
	if err := s.storage.writer.conn.run("PRAGMA wal_checkpoint"); err != nil {
		t.Fatal(err)
	}
	dir := killed(t, s)
	change(t, filepath.Join(dir, walName), func(b []byte) []byte { return b[:len(b)/2] })
	s = open(t, Options{Dir: dir, Exclusive: true})
	if st, err := s.Stats(t.Context()); err != nil || st.Messages[queue.Queued] != 1 {
		t.Errorf("%v, %v", st.Messages, err)
	}
}

// After a power cut the index may be of a log that was moved to the database since.
func TestLogNewerThanIndex(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Exclusive: true})
	fill := func(n int) {
		for range n {
			if _, err := put(t, s, 100<<10); err != nil {
				t.Fatal(err)
			}
		}
	}
	fill(20)
	index := read(t, filepath.Join(s.storage.dir, shmName))
	fill(30) // a checkpoint is after 1000 frames, of which a message takes 30
	dir := killed(t, s)
	change(t, filepath.Join(dir, walName), func(b []byte) []byte {
		if bytes.Equal(b[16:24], index[32:40]) {
			t.Fatal("the log was not begun anew")
		}
		return b
	})
	if err := os.WriteFile(filepath.Join(dir, shmName), index, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, Options{Dir: dir, Exclusive: true})
	if st, err := s.Stats(t.Context()); err != nil || st.Messages[queue.Queued] != 50 {
		t.Errorf("%v, %v", st.Messages, err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A page of a body that is damaged on the disk is found at the start while there is
// time for it, and else costs that message alone.
func TestDamagedBodyPage(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir, Exclusive: true})
	var ids []string
	for range 3 {
		id, err := put(t, s, 50<<10)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	_ = s.Close()
	change(t, filepath.Join(dir, DatabaseName), func(b []byte) []byte {
		// The last page is one of the last body: its first bytes name the next page.
		copy(b[len(b)-3*4096:], "\xff\xff\xff\xff")
		return b
	})
	if _, err := Open(t.Context(), Options{Dir: dir, Exclusive: true}); !damaged(err) {
		t.Fatalf("a start gave %v", err)
	}
	s = open(t, Options{Dir: dir})
	if err := s.storage.checkDatabase(t.Context(), 0, time.Minute); err != nil {
		t.Fatalf("the records alone: %v", err)
	}
	for i, id := range ids {
		if err := checkContent(t, s, id); errors.Is(err, queue.ErrDamaged) != (i == 2) || i != 2 && err != nil {
			t.Errorf("message %d: %v", i, err)
		}
	}
	if _, err := put(t, s, 100); err != nil {
		t.Errorf("later mail: %v", err)
	}
}

// An index that lacks records is found: by the start if there is time for it, and else beside
// the delivery, which it ends.
func TestDamagedIndex(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir, Exclusive: true})
	if _, err := put(t, s, 100); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{ // the index keeps what it holds, and means something else
		"PRAGMA writable_schema = ON",
		"UPDATE sqlite_schema SET sql = 'CREATE INDEX message_lane ON message(lane, state, size)' WHERE name = 'message_lane'",
		"PRAGMA writable_schema = OFF",
	} {
		if err := s.storage.writer.conn.run(statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Dir: dir, Exclusive: true}); !damaged(err) {
		t.Errorf("a start gave %v", err)
	}
	s = open(t, Options{Dir: dir})
	s.storage.failAfter(s.storage.checkIndexes())
	s.storage.checks.Wait()
	if err := s.storage.checkTables(t.Context(), "quick_check"); err != nil {
		t.Errorf("the records alone: %v", err)
	}
	if err := s.Healthy(); !damaged(err) || !errors.Is(err, queue.ErrBroken) {
		t.Errorf("the relay goes on: %v", err)
	}
}
