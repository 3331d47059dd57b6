package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/gofrs/flock"
	sqlite3 "modernc.org/sqlite/lib"

	"graphrelay/relay/queue"
)

const (
	bodiesName  = "bodies"
	lockName    = "lock"
	reserveName = "reserve"
)

// inUse is what the lock file holds once the directory has a queue.
const inUse = "graphrelay queue\n"

// lockDir locks the directory: by a file, as earlier versions do, and by itself, since the
// file may be removed.
func (s *storage) lockDir() error {
	path := filepath.Join(s.dir, lockName)
	lock := flock.New(path, flock.SetPermissions(0o600))
	ok, err := lock.TryLock()
	if ok {
		s.locks = append(s.locks, lock.Unlock)
		var unlock func() error
		if unlock, ok, err = lockDirectory(s.dir); ok {
			s.locks = append(s.locks, unlock)
		}
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", s.dir, err)
	}
	if !ok {
		return fmt.Errorf("%s is in use by another graphrelay; stop that one or choose another data_dir", s.dir)
	}
	return nil
}

// wasInUse reports whether the directory had a queue before.
func (s *storage) wasInUse() bool {
	st, err := os.Stat(filepath.Join(s.dir, lockName))
	return err == nil && st.Size() > 0
}

// markInUse lets later starts know that the directory has a queue. Without the mark, an
// empty database is taken for that of a first start.
func (s *storage) markInUse() error {
	if s.wasInUse() {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(s.dir, lockName), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(inUse)
	return errors.Join(err, f.Sync(), f.Close())
}

// keepOthersOut makes the files unreadable for other users, whatever the mode of the
// directory. SQLite creates them as the umask says, and its log and index with the mode of
// the database. Where modes cannot be changed, the relay warns of the directory.
func (s *storage) keepOthersOut() error {
	f, err := os.OpenFile(filepath.Join(s.dir, DatabaseName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	for _, name := range []string{DatabaseName, walName, shmName, lockName} {
		if st, err := os.Stat(filepath.Join(s.dir, name)); err == nil && st.Mode().Perm()&0o077 != 0 {
			_ = os.Chmod(filepath.Join(s.dir, name), 0o600)
		}
	}
	if st, err := os.Stat(filepath.Join(s.dir, bodiesName)); err == nil && st.Mode().Perm()&0o077 != 0 {
		_ = os.Chmod(filepath.Join(s.dir, bodiesName), 0o700)
	}
	return nil
}

// maxReserve is the size in bytes of the file that keeps room for a start on a full disk,
// where the disk is not small.
const maxReserve = 4 << 20

// openWithReserve opens the database. SQLite needs some room for its index and its log: on a
// full disk the reserve is given up for it, so that delivery can free space.
func (s *storage) openWithReserve(ctx context.Context) error {
	err := s.openDatabase(ctx)
	if err != nil && s.locks != nil && noRoom(err) && s.dropReserve() {
		if err = s.closeDatabase(); err == nil {
			err = s.openDatabase(ctx)
		}
		if err == nil {
			s.shrinkLog()
		}
	}
	if err == nil && s.locks != nil {
		err = s.markInUse()
		s.makeReserve()
	}
	return err
}

// noRoom reports whether SQLite failed for lack of space or inodes.
func noRoom(err error) bool {
	code := resultCode(err)
	switch code {
	case sqlite3.SQLITE_OK:
		return diskFull(err)
	case sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_SHMOPEN, sqlite3.SQLITE_IOERR_WRITE:
		return true
	}
	return code&0xff == sqlite3.SQLITE_FULL || code&0xff == sqlite3.SQLITE_CANTOPEN
}

// dropReserve reports whether there was a reserve to give up.
func (s *storage) dropReserve() bool { return os.Remove(filepath.Join(s.dir, reserveName)) == nil }

// shrinkLog moves the log into the database and gives its space back, as far as there is room.
// The log takes up to about maxReserve before SQLite does that itself.
func (s *storage) shrinkLog() {
	_ = s.writer.conn.run("PRAGMA wal_checkpoint(TRUNCATE)")
}

// makeReserve makes the reserve if there is room for four of it. Without one the queue works
// all the same.
func (s *storage) makeReserve() {
	free, size, err := s.files.Free(s.dir)
	reserve := min(maxReserve, size/8)
	path := filepath.Join(s.dir, reserveName)
	if _, there := os.Stat(path); err != nil || there == nil || free < 4*reserve {
		return
	}
	if err := writeZeros(path, reserve); err != nil {
		_ = os.Remove(path)
	}
}

// writeZeros creates a file of n bytes, which take up space.
func writeZeros(path string, n int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	zeros := make([]byte, 64<<10)
	for ; n > 0 && err == nil; n -= int64(len(zeros)) {
		_, err = f.Write(zeros[:min(n, int64(len(zeros)))])
	}
	return errors.Join(err, f.Close())
}

// presence is which files of the queue were found by their names.
type presence map[string]os.FileInfo

// look finds the files that the queue has open.
func (s *storage) look() (presence, error) {
	p := presence{}
	if runtime.GOOS == "windows" { // which keeps open files from being removed
		return p, nil
	}
	for _, name := range []string{DatabaseName, walName, shmName, bodiesName} {
		st, err := os.Stat(filepath.Join(s.dir, name))
		if err != nil {
			return nil, err
		}
		p[name] = st
	}
	return p, nil
}

// missing returns an error if a file that the queue has open is no longer found by its name:
// what is written to it would be lost at the end of the process.
func (s *storage) missing() error {
	for name, was := range s.own {
		if is, err := os.Stat(filepath.Join(s.dir, name)); err != nil || !os.SameFile(was, is) {
			return fmt.Errorf("%w: %s was removed or replaced while the relay runs; no mail is taken until it is restarted", queue.ErrDisk, name)
		}
	}
	return nil
}

// lookEvery is how often Healthy looks whether the files are still there. It is asked for each
// message, and a commit looks itself.
const lookEvery = time.Second

// looked is the result of the last look.
type looked struct {
	mu  sync.Mutex
	at  time.Time
	err error
}

// error returns what look returned last, or lets it look again.
func (l *looked) error(look func() error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.at) >= lookEvery {
		l.at, l.err = now, look()
	}
	return l.err
}
