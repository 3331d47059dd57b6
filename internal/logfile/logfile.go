// Package logfile writes a log to a file that it rotates, for systems without a journal.
//
// A File never makes its writer fail: mail must not stop because the log cannot be written. Lines
// that the file does not take go to a fallback, which is told why at most once an hour. Lines are not
// synced to the disk.
package logfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"graphrelay/internal/private"
)

const (
	// mode keeps a log, which has addresses in it, from other users of the machine.
	mode = 0o600
	// retryEvery is how long a File waits after a fault until it opens or rotates its file again.
	retryEvery = 5 * time.Second
	// sayEvery is how often the fallback is told why it gets lines.
	sayEvery = time.Hour
	// pruneEvery is how often old files are looked for, beside at each rotation.
	pruneEvery = time.Hour
	// lockSuffix is added to the path for the file that keeps other processes out. It is not the
	// log itself: Windows would let nobody read that.
	lockSuffix = ".lock"
)

// ErrInUse means that another process writes the file.
var ErrInUse = errors.New("another process writes this log file; give each relay a file of its own")

// Rotation bounds the files.
type Rotation struct {
	Size  int64         // in bytes, of a file; at this size a new one is begun
	Files int           // that are kept beside the one that is written
	Age   time.Duration // of what they hold, at most
}

// File is a log file. Each Write is a line or more, and is never divided among two files. A File
// is safe for concurrent use.
type File struct {
	path     string
	fallback io.Writer
	lock     *flock.Flock
	now      func() time.Time
	rename   func(from, to string) error

	mu       sync.Mutex
	rotation Rotation
	file     *os.File // nil if it cannot be opened, and after Close
	size     int64
	torn     bool // the file ends within a line
	closed   bool
	said     time.Time // when the fallback was told of a fault
	retry    time.Time // not before: open or rotate after a fault
	pruned   time.Time
}

// Open opens the file, and creates it and its folder if need be, both for this user alone. It
// returns ErrInUse if another process writes it. Lines that cannot be written go to fallback.
func Open(path string, r Rotation, fallback io.Writer) (*File, error) {
	f := &File{path: path, rotation: r, fallback: fallback, now: time.Now, rename: os.Rename}
	if err := private.MkdirAll(filepath.Dir(path)); err != nil {
		return nil, err
	}
	f.lock = flock.New(path+lockSuffix, flock.SetPermissions(mode))
	locked, err := f.lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if !locked {
		return nil, fmt.Errorf("%s: %w", path, ErrInUse)
	}
	if err := f.open(); err != nil {
		return nil, errors.Join(err, f.lock.Close())
	}
	f.prune()
	return f, nil
}

// Path returns the path of the file.
func (f *File) Path() string { return f.path }

// SetRotation changes the bounds.
func (f *File) SetRotation(r Rotation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rotation = r
}

// Reopen opens the file again by its name, which another program, such as logrotate, may have
// given to a new file. After an error the File goes on with what it has open.
func (f *File) Reopen() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return os.ErrClosed
	}
	before := f.file
	if err := f.open(); err != nil {
		return err
	}
	if before != nil {
		_ = before.Close()
	}
	f.prune()
	return nil
}

// Close closes the file. What is written later goes to the fallback.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	var err error
	if f.file != nil {
		err = f.file.Close()
		f.file = nil
	}
	return errors.Join(err, f.lock.Close())
}

// open opens the file by its name. Only a regular file is taken: to open a pipe could wait for
// ever.
func (f *File) open() error {
	if info, err := os.Stat(f.path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", f.path)
	}
	if file, err := private.Create(f.path); err == nil { // else it is there, or what follows tells why not
		_ = file.Close()
	}
	file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, mode)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	f.file, f.size, f.torn = file, info.Size(), false
	return nil
}

// Write implements io.Writer. It never fails.
func (f *File) Write(line []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.write(line); err != nil {
		if now := f.now(); !f.closed && (f.said.IsZero() || now.Sub(f.said) >= sayEvery) {
			f.said = now
			fmt.Fprintf(f.fallback, "graphrelay: cannot write the log file %s: %v; what it does not take is written here\n", f.path, err)
		}
		_, _ = f.fallback.Write(line)
	}
	return len(line), nil
}

// errWaiting means that a fault is too fresh to try again.
var errWaiting = errors.New("it could not be opened a moment ago")

func (f *File) write(line []byte) error {
	if f.closed {
		return os.ErrClosed
	}
	if err := f.ready(int64(len(line))); err != nil {
		return err
	}
	if f.torn {
		if _, err := f.file.Write([]byte{'\n'}); err != nil {
			return err
		}
		f.torn = false
		f.size++
	}
	n, err := f.file.Write(line)
	f.size += int64(n)
	f.torn = err != nil && (n > 0 || f.torn)
	if f.now().Sub(f.pruned) >= pruneEvery {
		f.prune()
	}
	return err
}

// ready opens the file if it is not open, and rotates it if it has no room for more bytes. If it
// cannot be rotated now, it grows.
func (f *File) ready(more int64) error {
	now := f.now()
	if f.file == nil {
		if now.Before(f.retry) {
			return errWaiting
		}
		if err := f.open(); err != nil {
			f.retry = now.Add(retryEvery)
			return err
		}
	}
	if f.size == 0 || f.size+more <= f.rotation.Size || now.Before(f.retry) {
		return nil
	}
	if info, err := f.file.Stat(); err == nil && info.Size() < f.size { // another program cut it
		f.size = info.Size()
		return f.ready(more)
	}
	return f.rotate(now)
}

// rotate gives the file the name of a finished one and begins a new one. Windows renames no file
// that is open. What has another file under its name by now was rotated by another program.
func (f *File) rotate(now time.Time) error {
	mine, err := f.file.Stat()
	if err != nil {
		return err
	}
	_ = f.file.Close()
	f.file = nil
	if named, err := os.Stat(f.path); err == nil && os.SameFile(mine, named) {
		if err := f.rename(f.path, f.finishedName(now)); err != nil { // somebody has it open, on Windows
			f.retry = now.Add(retryEvery)
		}
	}
	if err := f.open(); err != nil {
		f.retry = now.Add(retryEvery)
		return err
	}
	f.prune()
	return nil
}
