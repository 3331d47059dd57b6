package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"graphrelay/relay/queue"
)

// inlineBody is the size in bytes up to which a body is a row; above it, a file is faster.
const inlineBody = 128 << 10

// syncEvery bounds, in bytes, what one flush of a large body has to write, so that small
// messages beside it do not wait for it.
const syncEvery = 4 << 20

const (
	bodyNone = iota
	bodyRow
	bodyFile
)

// syncer is a directory whose new entries can be made durable.
type syncer interface {
	Sync() error
	Close() error
}

// file and fileSystem are what the storage needs of the disk beside the database.
type file interface {
	io.Writer
	Sync() error
	Close() error
}

type fileSystem interface {
	Create(path string) (file, error)
	OpenDir(path string) (syncer, error)
	Free(path string) (free, size int64, err error) // bytes that we may still write, and of the file system
}

type osFiles struct{}

func (osFiles) Create(path string) (file, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

// OpenDir opens a directory once for all syncs: there may be no descriptor for it later.
// Windows has no such sync and needs none: NTFS journals its metadata.
func (osFiles) OpenDir(path string) (syncer, error) { return openDir(path) }

func (osFiles) Free(path string) (free, size int64, err error) { return freeSpace(path) }

func (s *storage) bodyPath(id string) string {
	return filepath.Join(s.dir, bodiesName, id)
}

// spool implements queue.Content: it holds one body while it arrives, in memory up to
// inlineBody, then in its file.
type spool struct {
	s        *storage
	id       string
	mem      *bytes.Buffer // nil: nothing, or no longer
	f        file
	size     int64
	sum      uint32 // CRC-32C of what was written
	unsynced int
}

// memory keeps the buffers of bodies for the next ones: each holds a whole small message.
var memory = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// free gives back what the body has in memory. Nothing reads or writes it any more.
func (b *spool) free() {
	if b.mem != nil {
		b.mem.Reset()
		memory.Put(b.mem)
		b.mem = nil
	}
}

// bytes returns what is in memory, never nil.
func (b *spool) bytes() []byte {
	if b.mem == nil || b.mem.Len() == 0 {
		return []byte{} // nil would be NULL
	}
	return b.mem.Bytes()
}

// NewContent implements queue.Contents.
func (s *storage) NewContent(id string) queue.Content { return &spool{s: s, id: id} }

// ContentOf implements queue.Contents. The body is a row whatever its size: a file could
// not be undone.
func (s *storage) ContentOf(id string, body []byte) queue.Content {
	b := &spool{s: s, id: id, size: int64(len(body)), sum: crc32.Checksum(body, queue.Castagnoli), mem: memory.Get().(*bytes.Buffer)}
	b.mem.Write(body)
	return b
}

// Space implements queue.Contents.
func (s *storage) Space() (free, size int64, err error) { return s.files.Free(s.dir) }

func (b *spool) Size() int64 { return b.size }

func (b *spool) kind() int {
	if b.f != nil {
		return bodyFile
	}
	return bodyRow
}

func (b *spool) Write(p []byte) (int, error) {
	b.size += int64(len(p))
	b.sum = crc32.Update(b.sum, queue.Castagnoli, p)
	if b.f == nil && len(b.bytes())+len(p) <= inlineBody {
		if b.mem == nil {
			b.mem = memory.Get().(*bytes.Buffer)
		}
		return b.mem.Write(p)
	}
	if err := b.spill(); err != nil {
		return 0, err
	}
	return b.writeFile(p)
}

// spill moves what is in memory to the file.
func (b *spool) spill() error {
	if b.f != nil {
		return nil
	}
	f, err := b.s.files.Create(b.s.bodyPath(b.id))
	if err != nil {
		return diskError(err)
	}
	b.f = f
	if text := b.bytes(); len(text) > 0 {
		_, err = b.writeFile(text)
	}
	b.free()
	return err
}

func (b *spool) writeFile(p []byte) (int, error) {
	n, err := b.f.Write(p)
	b.unsynced += n
	if err == nil && b.unsynced >= syncEvery {
		b.unsynced = 0
		return n, b.s.synced(b.f.Sync())
	}
	return n, diskError(err)
}

// View implements queue.Content.
func (b *spool) View(do func(io.ReaderAt) error) error {
	if b.f == nil {
		return do(bytes.NewReader(b.bytes()))
	}
	f, err := os.Open(b.s.bodyPath(b.id))
	if err != nil {
		return diskError(err)
	}
	defer f.Close()
	return do(f)
}

// Sync makes the file and its name durable; it does nothing for a body in memory.
func (b *spool) Sync() error {
	if b.f == nil {
		return nil
	}
	err := b.s.synced(b.f.Sync())
	if err == nil {
		err = diskError(b.f.Close())
	}
	if err == nil {
		err = b.s.synced(b.s.bodies.Sync())
	}
	return err
}

// Discard implements queue.Content.
func (b *spool) Discard() error {
	b.free()
	if b.f == nil {
		return nil
	}
	_ = b.f.Close() // it may be closed already
	return os.Remove(b.s.bodyPath(b.id))
}

// diskError returns ErrNoSpace for a full disk, ErrResources for a lack of descriptors, and
// ErrDisk for any other fault.
func diskError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return fmt.Errorf("%w: %w", queue.ErrResources, err)
	case diskFull(err):
		return fmt.Errorf("%w: %w", queue.ErrNoSpace, err)
	}
	return fmt.Errorf("%w: %w", queue.ErrDisk, err)
}

// synced takes the result of a sync, and nothing else. It ends intake after a sync that failed:
// the kernel has discarded what it could not write, perhaps of other files too, and the next
// sync would succeed. A full disk is known to affect this file alone, which is removed.
func (s *storage) synced(err error) error {
	err = diskError(err)
	if errors.Is(err, queue.ErrDisk) {
		return s.fail(err)
	}
	return err
}

// removeFiles removes the files of bodies that their messages no longer have. What
// remains is swept at the next start.
func (s *storage) removeFiles(ids []string) {
	for _, id := range ids {
		_ = os.Remove(s.bodyPath(id))
	}
}

// sweepBodies removes the files whose message was never committed, or is gone.
func (s *storage) sweepBodies(ctx context.Context) error {
	dir := filepath.Join(s.dir, bodiesName)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		var kind int
		err := s.read.QueryRowContext(ctx, "SELECT body FROM message WHERE id=?", e.Name()).Scan(&kind)
		if err != nil && !errors.Is(notFound(err), queue.ErrNotFound) {
			return err
		}
		if kind != bodyFile && queue.ValidID(e.Name()) {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
