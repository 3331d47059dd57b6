package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"graphrelay/relay/queue"
)

// When a connection is lost at a COMMIT, the transaction may have been committed, or not, or
// may still be. So each transaction of a writer leaves its number in the writer's row, and
// fails if the row has as high a number already. Whoever has to know raises the number: if
// that succeeds, the transaction was not committed and cannot be any more. If the row is
// locked, the transaction is still under way.

// trace records the transaction. The number of a later one makes it fail, since seq must not
// be NULL.
func (w *writer) trace(t *transaction) {
	t.push(`INSERT INTO writer (id, seq, void, at) VALUES ($1, $2, false, $3) ON CONFLICT (id) DO UPDATE
		SET seq = CASE WHEN writer.seq < excluded.seq THEN excluded.seq END, at = excluded.at`,
		[]any{w.id, w.seq, micros(t.s.clock.Now())}, discard)
}

// unknownTime is how long a writer tries to find out what became of a commit.
const unknownTime = 2 * time.Second

// resolve finds out what became of a transaction whose connection was lost at the commit.
func (w *writer) resolve(t *transaction, batch []*op, cause error) (n int, err error) {
	d := doubt{writer: w.id, seq: w.seq, arrivals: t.arrivals}
	committed, err := w.s.clearUp(d)
	switch {
	case err != nil:
		w.id = w.s.name + "-" + rand.Text() // its row has to stay as it is
		w.s.doubts.add(d)
		w.s.lose(errors.Join(cause, err))
		for _, o := range batch {
			if o.err == nil {
				o.err = queue.ErrUnknown
			}
		}
		return len(batch), nil
	case committed:
		w.s.committed(t)
		return len(batch), nil
	}
	return 0, errVoid
}

// doubt is a transaction of which is not known whether it was committed.
type doubt struct {
	writer   string
	seq      int64
	arrivals []arrival
}

// clearUp finds out whether the transaction was committed. If it was not, it will not be.
func (s *storage) clearUp(d doubt) (committed bool, err error) {
	ctx, cancel := context.WithTimeout(s.ending, unknownTime)
	defer cancel()
	for {
		void := true
		err = s.onConn(ctx, s.work, func(c *pgx.Conn) error {
			var b pgx.Batch
			b.Queue(`INSERT INTO writer (id, seq, void, at) VALUES ($1, $2, true, $3) ON CONFLICT (id) DO UPDATE
				SET seq = excluded.seq, void = true WHERE writer.seq < excluded.seq`, d.writer, d.seq, micros(s.clock.Now()))
			b.Queue("SELECT void FROM writer WHERE id = $1", d.writer).QueryRow(func(row pgx.Row) error { return row.Scan(&void) })
			return c.SendBatch(ctx, &b).Close()
		})
		if err == nil || ctx.Err() != nil {
			return !void, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// doubts are the transactions that nobody could clear up when they ended.
type doubts struct {
	mu   sync.Mutex
	list []doubt
}

func (d *doubts) add(x doubt) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = append(d.list, x)
}

func (d *doubts) first() (doubt, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.list) == 0 {
		return doubt{}, false
	}
	return d.list[0], true
}

func (d *doubts) dropFirst() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = d.list[1:]
}

// clearDoubts clears up what is in doubt, and withdraws the messages that their clients were
// refused for it.
func (s *storage) clearDoubts() error {
	for {
		d, ok := s.doubts.first()
		if !ok {
			return nil
		}
		committed, err := s.clearUp(d)
		if err == nil && committed {
			err = s.withdraw(d.arrivals)
		}
		if err != nil {
			return err
		}
		s.doubts.dropFirst()
	}
}
