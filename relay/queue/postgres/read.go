package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"graphrelay/relay/queue"
)

// peopleTime is how long what people ask for may take.
const peopleTime = 30 * time.Second

// reading runs a query outside of a transaction and calls each for its rows. A connection
// that turns out to be lost is replaced once.
func (s *storage) reading(ctx context.Context, p *pgxpool.Pool, each func(pgx.Rows) error, sql string, args ...any) error {
	limit := s.timeout
	if p == s.read {
		limit = max(limit, peopleTime)
	}
	for try := 0; ; try++ {
		if err := s.reachable(); err != nil {
			return err
		}
		start := time.Now()
		n, away, err := readOnce(ctx, limit, p, each, sql, args)
		slow := p == s.read && time.Since(start) >= limit // the question may have been too much
		switch {
		case !away || slow || ctx.Err() != nil:
			return fault(err)
		case try > 0 || n > 0:
			s.lose(err)
			return fmt.Errorf("%w: %s", queue.ErrAway, oneLine(err))
		}
	}
}

// readOnce returns for how many rows each was called, and whether the database cannot be
// reached.
func readOnce(ctx context.Context, limit time.Duration, p *pgxpool.Pool, each func(pgx.Rows) error, sql string, args []any) (n int, away bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := p.Acquire(ctx)
	if err != nil {
		return 0, true, err
	}
	defer conn.Release()
	rows, err := conn.Query(ctx, sql, args...)
	if err == nil {
		for rows.Next() {
			n++
			if err = each(rows); err != nil {
				break
			}
		}
		rows.Close()
		err = errors.Join(err, rows.Err())
	}
	return n, err != nil && lost(conn.Conn(), err), err
}

// one reads the one row there is, or returns ErrNotFound.
func (s *storage) one(ctx context.Context, p *pgxpool.Pool, targets []any, sql string, args ...any) error {
	found := false
	err := s.reading(ctx, p, func(rows pgx.Rows) error {
		found = true
		return rows.Scan(targets...)
	}, sql, args...)
	if err == nil && !found {
		return queue.ErrNotFound
	}
	return err
}

// records reads what the rest of a query on message and its lane selects.
func (s *storage) records(ctx context.Context, rest string, args ...any) (list []queue.Record, err error) {
	err = s.reading(ctx, s.read, func(rows pgx.Rows) error {
		r, _, err := scanRecord(rows)
		list = append(list, r)
		return err
	}, "SELECT "+recordColumns+" FROM "+recordTables+rest, args...)
	return list, err
}
