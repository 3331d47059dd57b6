package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"graphrelay/relay/queue"
)

// transaction implements queue.SharedTx for the operations that share a commit. Writes wait until
// something is read, and the last ones go together with COMMIT, so that most transactions
// take two round trips.
//
// What waits for locks could wait in a circle. Messages are locked as the operations come to
// them, then start tags, then lanes, each in their order. Operations that lock lanes first
// run alone, and pass over what is locked or are tried again.
type transaction struct {
	s       *storage
	ctx     context.Context
	conn    *pgx.Conn
	pending []statement
	sent    bool // something was sent
	shared  bool // with other operations
	wrote   bool // an operation has changed something
	bytes   int  // that were written

	broken error // a statement has failed: an opFault

	op      int  // the operation under way
	changed bool // it has changed something

	tags     map[tagOf]int64         // to be recorded
	lanes    map[string]queue.LaneID // of the messages that were read
	due      map[queue.LaneID]int64  // lanes that have a message due by then
	claims   claims                  // of the only operation, if it claims
	arrivals []arrival               // messages of clients that were inserted
	sweep    bool                    // there are contents to remove
}

// statement is one that was not sent yet.
type statement struct {
	op   int
	sql  string
	args []any
	read func(pgx.BatchResults) error
}

// Bounds of what a transaction waits for on the server, which may have lost its client.
const (
	lockTime = 2 * time.Second
	idleTime = 10 * time.Second
)

// beginSQL begins where writing is possible: a server that is no longer the primary refuses it.
const beginSQL = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"

// startSQL also sees to it that a commit is durable when it is answered, where the server or the
// role would have it otherwise.
const startSQL = `SELECT set_config('lock_timeout', $1, true), set_config('idle_in_transaction_session_timeout', $2, true),
	set_config('synchronous_commit', replace(current_setting('synchronous_commit'), 'off', 'on'), true), ` + databaseTime

func newTransaction(ctx context.Context, s *storage, conn *pgx.Conn, shared bool) *transaction {
	t := &transaction{s: s, ctx: ctx, conn: conn, shared: shared,
		tags: map[tagOf]int64{}, lanes: map[string]queue.LaneID{}, due: map[queue.LaneID]int64{}}
	t.push(beginSQL, nil, discard)
	t.push(startSQL, []any{milliseconds(lockTime), milliseconds(idleTime)}, func(r pgx.BatchResults) error {
		var now int64
		err := r.QueryRow().Scan(nil, nil, nil, &now)
		if err == nil {
			s.clock.Follow(fromMicros(now))
		}
		return err
	})
	return t
}

func milliseconds(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }

func discard(r pgx.BatchResults) error {
	_, err := r.Exec()
	return err
}

func (t *transaction) push(sql string, args []any, read func(pgx.BatchResults) error) {
	t.pending = append(t.pending, statement{t.op, sql, args, read})
}

// write changes something, some time before the next read or the commit.
func (t *transaction) write(sql string, args ...any) {
	t.changed = true
	t.push(sql, args, discard)
}

// writeOne changes exactly one row; the operation fails with none otherwise. The database
// itself has to find out, by a division by 0, since COMMIT may follow in the same round trip.
func (t *transaction) writeOne(none error, sql string, args ...any) {
	t.changed = true
	t.push("WITH changed AS ("+sql+" RETURNING 1) SELECT 1 / count(*) FROM changed", args, orNone(none))
}

// orNone reads the result of a statement that divides by the number of its rows.
func orNone(none error) func(pgx.BatchResults) error {
	return func(r pgx.BatchResults) error {
		_, err := r.Exec()
		if sqlState(err) == codeDivision {
			return none
		}
		return err
	}
}

// count changes something at once and returns how many rows that were.
func (t *transaction) count(sql string, args ...any) (n int, err error) {
	t.push(sql, args, func(r pgx.BatchResults) error {
		var tag pgconn.CommandTag
		tag, err := r.Exec()
		n = int(tag.RowsAffected())
		return err
	})
	err = t.flush()
	t.changed = t.changed || n > 0
	return n, err
}

// query reads rows.
func (t *transaction) query(each func(pgx.Rows) error, sql string, args ...any) error {
	t.pushQuery(each, sql, args...)
	return t.flush()
}

// pushQuery reads rows with the next read.
func (t *transaction) pushQuery(each func(pgx.Rows) error, sql string, args ...any) {
	t.push(sql, args, func(r pgx.BatchResults) error {
		rows, err := r.Query()
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if err := each(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

// row reads the one row there is, or returns ErrNotFound.
func (t *transaction) row(scan func(pgx.Row) error, sql string, args ...any) error {
	found := false
	err := t.query(func(rows pgx.Rows) error {
		found = true
		return scan(rows)
	}, sql, args...)
	if err == nil && !found {
		return queue.ErrNotFound
	}
	return err
}

// flush sends what waits, in one round trip, and reads the results.
func (t *transaction) flush() error {
	if t.broken != nil || len(t.pending) == 0 {
		return t.broken
	}
	var b pgx.Batch
	for _, st := range t.pending {
		b.Queue(st.sql, st.args...)
	}
	pending := t.pending
	t.pending, t.sent = nil, true
	t.s.rounds.Add(1)
	results := t.conn.SendBatch(t.ctx, &b)
	for _, st := range pending {
		if err := st.read(results); err != nil {
			t.broken = &opFault{st.op, err}
			_ = results.Close() // fails for the same reason
			return t.broken
		}
	}
	if err := results.Close(); err != nil {
		t.broken = &opFault{noOp, err}
	}
	return t.broken
}

// commit sends what waits together with COMMIT.
func (t *transaction) commit(trace func(*transaction)) error {
	if err := t.finish(); err != nil {
		return err
	}
	trace(t)
	t.push("COMMIT", nil, func(r pgx.BatchResults) error {
		tag, err := r.Exec()
		if err == nil && tag.String() != "COMMIT" {
			return fmt.Errorf("the database answered COMMIT with %s", tag)
		}
		return err
	})
	return t.flush()
}

// finish writes what was left for the end of the transaction, in the order of locks.
func (t *transaction) finish() error {
	t.op = noOp
	t.recordTags()
	if err := t.settleLanes(); err != nil {
		return err
	}
	t.lowerDue()
	return nil
}

// noOp stands for all operations.
const noOp = -1

// rollback ends the transaction on a connection that is to be used again.
func (t *transaction) rollback() {
	if !t.sent || t.conn.IsClosed() {
		return
	}
	if _, err := t.conn.PgConn().Exec(t.ctx, "ROLLBACK").ReadAll(); err != nil {
		_ = t.conn.Close(t.ctx)
	}
}

// alone ends the operation if others share the transaction.
func (t *transaction) alone() error {
	if t.shared {
		return errAlone
	}
	return nil
}

var _ queue.SharedTx = (*transaction)(nil)
