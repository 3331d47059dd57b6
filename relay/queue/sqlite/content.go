package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"graphrelay/relay/queue"
)

// sealedColumns are those of queue.SealedFields. Schemas before 4 sealed the first sealedBefore4 of them.
const (
	sealedColumns = `mail_from, recipients, dsn, connection, principal, mailbox,
	header_from, sender, reply_to, fallback, signature, message_id, CAST(utf8 AS TEXT), CAST(trace AS TEXT)`
	sealedBefore4 = 3
	sealedFields  = 14
)

const selectBody = "SELECT message.body, body.data, size, sum, " + sealedColumns +
	" FROM message JOIN lane ON lane.id = message.lane LEFT JOIN body ON body.id = message.id WHERE message.id=?"

// Open implements queue.Reader.
func (s *storage) Open(ctx context.Context, id string) (queue.Body, error) {
	var kind int
	var data []byte
	var b body
	var fields [sealedFields]string
	columns := []any{&kind, &data, &b.sealed.Size, &b.sealed.Sum}
	for i := range fields {
		columns = append(columns, &fields[i])
	}
	unreadable, err := scan(s.bodyOf.QueryRowContext(ctx, id), columns)
	b.sealed.Fields = fields[:]
	switch {
	case corrupt(err):
		return nil, fmt.Errorf("%w: %w", queue.ErrDamaged, err)
	case unreadable:
		return nil, fmt.Errorf("%w: its record cannot be read", queue.ErrDamaged)
	case err != nil:
		return nil, err
	case kind == bodyRow: // Check notices if it is not there
		b.ReaderAt, b.Closer, b.size = bytes.NewReader(data), inMemory{}, int64(len(data))
	case kind == bodyFile:
		err = b.openFile(s.bodyPath(id))
	case kind == bodyNone:
		err = fmt.Errorf("%w: its content was removed", queue.ErrNotFound)
	default:
		err = fmt.Errorf("%w: nothing says where its content is", queue.ErrDamaged)
	}
	if err != nil {
		return nil, err
	}
	return &b, nil
}

// body implements queue.Body.
type body struct {
	io.ReaderAt
	io.Closer
	size   int64
	sealed queue.Sealed
}

type inMemory struct{}

func (inMemory) Close() error { return nil }

func (b *body) openFile(path string) error {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: its content is missing: %w", queue.ErrDamaged, err)
	}
	if err == nil && !st.Mode().IsRegular() { // to open a pipe would wait for ever
		return fmt.Errorf("%w: its content is no file but %s", queue.ErrDamaged, st.Mode())
	}
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	b.ReaderAt, b.Closer, b.size = f, f, st.Size()
	return nil
}

func (b *body) Size() int64 { return b.size }

// Check implements queue.Body.
func (b *body) Check() error { return b.sealed.Check(b, b.size) }
