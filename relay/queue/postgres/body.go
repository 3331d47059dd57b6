package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/jackc/pgx/v5"

	"graphrelay/relay/queue"
)

// Open implements queue.Reader. A small content is read into memory, a large one into a
// temporary file.
func (s *storage) Open(ctx context.Context, id string) (queue.Body, error) {
	b := body{id: id}
	var has bool
	found := false
	err := s.reading(ctx, s.work, func(rows pgx.Rows) error {
		found = true
		return b.scan(rows, &has)
	}, selectSealed, id)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, queue.ErrNotFound
	case !has:
		return nil, fmt.Errorf("%w: its content was removed", queue.ErrNotFound)
	}
	var buffer bytes.Buffer
	if b.sealed.Size <= inlineBody {
		if b.size, err = s.copyContent(ctx, id, &buffer); err != nil {
			return nil, err
		}
		b.ReaderAt, b.Closer = bytes.NewReader(buffer.Bytes()), inMemory{}
		return &b, nil
	}
	f, err := s.spool.create()
	if err != nil {
		return nil, err
	}
	if b.size, err = s.copyContent(ctx, id, f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	b.ReaderAt, b.Closer = f, f
	return &b, nil
}

const selectSealed = `SELECT m.body, m.size, m.sum, m.mail_from, m.recipients, m.dsn, lane.connection, lane.principal, lane.mailbox,
	m.header_from, m.sender, m.reply_to, m.fallback, m.signature, m.message_id, m.utf8, m.trace FROM ` + recordTables + ` WHERE m.id = $1`

func (b *body) scan(row pgx.Row, has *bool) error {
	var utf8 bool
	var trace int64
	var fields [14]string
	targets := []any{has, &b.sealed.Size, &b.sealed.Sum}
	for i := range fields[:12] {
		targets = append(targets, &fields[i])
	}
	if err := row.Scan(append(targets, &utf8, &trace)...); err != nil {
		return err
	}
	for i := range fields {
		if i != 1 { // the recipients are sealed as they are stored
			fields[i] = unescape(fields[i])
		}
	}
	fields[12], fields[13] = "0", strconv.FormatInt(trace, 10)
	if utf8 {
		fields[12] = "1"
	}
	b.sealed.Fields = fields[:]
	return nil
}

// chunksAtOnce is how many rows of a content are read in one query.
const chunksAtOnce = 16

// copyContent reads a content by ranges, each in a query of its own.
func (s *storage) copyContent(ctx context.Context, id string, w io.Writer) (size int64, err error) {
	for seq := 0; ; seq += chunksAtOnce {
		n := 0
		end := s.takeTurn()
		err := s.reading(ctx, s.work, func(rows pgx.Rows) error {
			n++
			var data []byte
			if err := rows.Scan((*pgxBytes)(&data)); err != nil {
				return err
			}
			size += int64(len(data))
			if _, err := w.Write(data); err != nil {
				return diskError(err)
			}
			return nil
		}, "SELECT data FROM body WHERE id = $1 AND seq >= $2 AND seq < $3 ORDER BY seq", id, seq, seq+chunksAtOnce)
		end()
		if err != nil || n < chunksAtOnce {
			return size, err
		}
	}
}

// pgxBytes takes a value without a copy: it is valid until the next row.
type pgxBytes []byte

// ScanBytes implements pgtype.BytesScanner.
func (b *pgxBytes) ScanBytes(v []byte) error {
	*b = v
	return nil
}

// body implements queue.Body.
type body struct {
	io.ReaderAt
	io.Closer
	id     string
	size   int64
	sealed queue.Sealed
}

type inMemory struct{}

func (inMemory) Close() error { return nil }

func (b *body) Size() int64 { return b.size }

// Check implements queue.Body.
func (b *body) Check() error { return b.sealed.Check(b, b.size) }
