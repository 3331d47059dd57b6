package postgres

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/jackc/pgx/v5"

	"graphrelay/relay/queue"
)

const (
	// inlineBody is the size in bytes up to which a content stays in memory while it arrives,
	// and is inserted in the transaction of its message.
	inlineBody = 128 << 10
	chunkSize  = 64 << 10 // of a row
	// uploadChunks is how many rows of a large content are written in a transaction, so that
	// small messages beside it do not wait for it.
	uploadChunks = 16
)

// content implements queue.Content: it holds one message while it arrives, in memory up to
// inlineBody, then in a temporary file. No connection to the database is held meanwhile. A
// content of the relay's own stays in memory, since it has to be part of the transaction.
type content struct {
	s        *storage
	id       string
	own      bool
	mem      bytes.Buffer
	file     *tempFile
	size     int64
	sum      uint32 // CRC-32C of what was written
	uploaded int    // rows that Sync has written
}

// NewContent implements queue.Contents.
func (s *storage) NewContent(id string) queue.Content { return &content{s: s, id: id} }

// ContentOf implements queue.Contents.
func (s *storage) ContentOf(id string, body []byte) queue.Content {
	c := &content{s: s, id: id, own: true, size: int64(len(body)), sum: crc32.Checksum(body, queue.Castagnoli)}
	c.mem.Write(body)
	return c
}

// Space implements queue.Contents. The database cannot be asked how much space its disk has,
// and what is free on this machine's disk limits only the messages under way: there as here, a
// full disk shows when something is written.
func (s *storage) Space() (free, size int64, err error) { return unlimited, unlimited, nil }

const unlimited = 1 << 60

func (c *content) Size() int64 { return c.size }

// Write implements io.Writer.
func (c *content) Write(p []byte) (int, error) {
	c.size += int64(len(p))
	c.sum = crc32.Update(c.sum, queue.Castagnoli, p)
	if c.file == nil && c.mem.Len()+len(p) <= inlineBody {
		return c.mem.Write(p)
	}
	if err := c.spill(); err != nil {
		return 0, err
	}
	n, err := c.file.Write(p)
	return n, diskError(err)
}

// spill moves what is in memory to the file.
func (c *content) spill() (err error) {
	if c.file != nil {
		return nil
	}
	if c.file, err = c.s.spool.create(); err != nil {
		return err
	}
	_, err = c.file.Write(c.mem.Bytes())
	c.mem = bytes.Buffer{}
	return diskError(err)
}

// View implements queue.Content.
func (c *content) View(do func(io.ReaderAt) error) error {
	if c.file == nil {
		return do(bytes.NewReader(c.mem.Bytes()))
	}
	return do(c.file)
}

// Sync writes a large content to the database.
func (c *content) Sync() error {
	if c.file == nil {
		return nil
	}
	chunk := make([]byte, chunkSize*uploadChunks)
	for at := int64(0); at < c.size; at += int64(len(chunk)) {
		part := chunk[:min(int64(len(chunk)), c.size-at)]
		if _, err := c.file.ReadAt(part, at); err != nil {
			return diskError(err)
		}
		if err := c.s.upload(c, part); err != nil {
			return err
		}
	}
	return diskError(c.file.Close())
}

// upload appends rows to a large content in a transaction of its own. The row in the table
// upload tells how many there are; writing them again has no effect.
func (s *storage) upload(c *content, part []byte) (err error) {
	if err := s.reachable(); err != nil {
		return err
	}
	for range maxTries {
		if err = s.uploadOnce(c, part); !retryable(err) {
			break
		}
	}
	if err != nil {
		return fault(err)
	}
	c.uploaded += chunks(len(part))
	return nil
}

// takeTurn waits until few others transfer a part of a content, and returns what ends the turn.
// To wait for a connection instead would count as the fault of a database that does not answer.
func (s *storage) takeTurn() (end func()) {
	s.turns <- struct{}{}
	return func() { <-s.turns }
}

func chunks(size int) int { return (size + chunkSize - 1) / chunkSize }

func (s *storage) uploadOnce(c *content, part []byte) error {
	defer s.takeTurn()()
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	err := s.lone(ctx, func(t *transaction) {
		t.push("INSERT INTO upload (id, at, rows) VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET rows = excluded.rows",
			[]any{c.id, micros(s.clock.Now()), c.uploaded + chunks(len(part))}, discard)
		t.pushChunks(c.id, c.uploaded, part)
	})
	if err != nil && !retryable(err) && sqlState(err) == "" {
		s.lose(err)
		return fmt.Errorf("%w: %s", queue.ErrAway, oneLine(err))
	}
	return err
}

// pushChunks inserts the rows of a content from a number on.
func (t *transaction) pushChunks(id string, seq int, data []byte) {
	for first := true; first || len(data) > 0; first = false {
		n := min(len(data), chunkSize)
		chunk := data[:n]
		if chunk == nil {
			chunk = []byte{} // nil would be NULL
		}
		t.push("INSERT INTO body (id, seq, data) VALUES ($1, $2, $3) ON CONFLICT (id, seq) DO NOTHING", []any{id, seq, chunk}, discard)
		data = data[n:]
		seq++
	}
}

// insertContent writes a small content, or makes the rows that Sync has written those of a
// message. They must all be there: they might have been removed as nobody's.
func (t *transaction) insertContent(id string, c *content) {
	if c.file == nil {
		t.pushChunks(id, 0, c.mem.Bytes())
		return
	}
	t.writeOne(fmt.Errorf("the content of %s is no longer in the database", id),
		"DELETE FROM upload WHERE id = $1 AND rows = $2 AND at > 0", id, c.uploaded)
}

// removeContent removes the content of a message. A large one is left to the sweeper, since
// its rows are many. An upload that came late (see sweepUpload) is ended.
func (t *transaction) removeContent(id string) {
	t.write("INSERT INTO upload (id, at, rows) SELECT $1, 0, 0 WHERE EXISTS (SELECT 1 FROM body WHERE id = $1 AND seq > 1) ON CONFLICT (id) DO UPDATE SET at = 0", id)
	t.write("DELETE FROM body WHERE id = $1 AND seq <= 1 AND NOT EXISTS (SELECT 1 FROM upload WHERE id = $1)", id)
	t.sweep = true
}

// Discard implements queue.Content. Rows that Sync has written are swept later.
func (c *content) Discard() error {
	if c.file != nil {
		_ = c.file.Close() // Sync may have closed it
	}
	return nil
}

// tempFile is a file that goes when it is closed.
type tempFile struct{ *os.File }

// create makes a temporary file. Where the system can, it has no name any more.
func (d spoolDir) create() (*tempFile, error) {
	f, err := os.CreateTemp(string(d), "")
	if err != nil {
		return nil, diskError(err)
	}
	_ = os.Remove(f.Name()) // fails on Windows while it is open
	return &tempFile{f}, nil
}

// Close closes the file, and removes it where it still has a name.
func (f *tempFile) Close() error {
	err := f.File.Close()
	_ = os.Remove(f.Name())
	return err
}

// diskError returns ErrNoSpace for a full disk, and ErrDisk for any other fault.
func diskError(err error) error {
	switch {
	case err == nil:
		return nil
	case diskFull(err):
		return fmt.Errorf("%w: %w", queue.ErrNoSpace, err)
	}
	return fmt.Errorf("%w: %w", queue.ErrDisk, err)
}

// single runs queries outside of a transaction in one round trip.
func (s *storage) single(ctx context.Context, queue func(*pgx.Batch)) error {
	return s.onConn(ctx, s.work, func(c *pgx.Conn) error {
		var b pgx.Batch
		queue(&b)
		return c.SendBatch(ctx, &b).Close()
	})
}
