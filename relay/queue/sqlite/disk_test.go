package sqlite

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"testing"

	"graphrelay/relay/queue"
)

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

func (f *faultyFiles) OpenDir(path string) (syncer, error) {
	real, err := f.osFiles.OpenDir(path)
	return &faultyDir{real, f}, err
}

type faultyDir struct {
	syncer
	f *faultyFiles
}

func (d *faultyDir) Sync() error {
	d.f.mu.Lock()
	defer d.f.mu.Unlock()
	if d.f.dirs != nil {
		return d.f.dirs
	}
	return d.syncer.Sync()
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
			var reported []error
			s := open(t, Options{Dir: dir, Exclusive: true, files: files, Broken: func(err error) { reported = append(reported, err) }})
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
			if tt.ends != (len(reported) == 1 && errors.Is(reported[0], queue.ErrBroken)) || !tt.ends && len(reported) > 0 {
				t.Errorf("reported as broken: %v", reported)
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

func TestFreeSpaceFloor(t *testing.T) {
	files := &faultyFiles{free: 1000}
	s := open(t, Options{Dir: t.TempDir(), Exclusive: true, files: files})
	if err := s.CheckCapacity(t.Context(), 1000, queue.Limits{}, queue.Origin{}); err != nil {
		t.Errorf("without a floor: %v", err)
	}
	if err := s.CheckCapacity(t.Context(), 0, queue.Limits{FreeSpace: 1 << 40}, queue.Origin{}); err != nil {
		t.Errorf("with a floor that the disk cannot have: %v", err)
	}
	for size, want := range map[int64]error{900: nil, 901: queue.ErrNoSpace} {
		if err := s.CheckCapacity(t.Context(), size, queue.Limits{FreeSpace: 100}, queue.Origin{}); !errors.Is(err, want) {
			t.Errorf("%d bytes with 1,000 free, 100 of them to stay: %v", size, err)
		}
	}
	if _, err := put(t, s, 600); err != nil {
		t.Fatal(err)
	}
	if err := s.CheckCapacity(t.Context(), 500, queue.Limits{FreeSpace: 100}, queue.Origin{}); !errors.Is(err, queue.ErrNoSpace) {
		t.Errorf("what was taken since the last count does not count: %v", err)
	}
}
