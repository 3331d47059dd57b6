package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// wakeSweeper has the sweeper look for what is to be removed.
func (s *storage) wakeSweeper() {
	select {
	case s.sweeps <- struct{}{}:
	default:
	}
}

// sweepLoop removes in transactions of its own what the queue no longer needs, a little at a
// time. All nodes do, each what the others have not begun with.
func (s *storage) sweepLoop() {
	for {
		select {
		case <-s.ending.Done():
			return
		case <-s.sweeps:
		}
		for s.reachable() == nil && s.sweep() {
		}
	}
}

// uploadTime is how long a content may be without its message.
const uploadTime = time.Hour

// sweep removes some of what is to be removed, and reports whether there may be more.
func (s *storage) sweep() (more bool) {
	now := s.clock.Now()
	if s.confirmOthers() != nil || s.confirmForgotten() != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(s.ending, s.timeout)
	defer cancel()
	var removed int64
	err := s.single(ctx, func(b *pgx.Batch) {
		b.Queue(sweepUpload, micros(now.Add(-uploadTime)), sweepChunks).QueryRow(func(row pgx.Row) error { return row.Scan(&removed) })
	})
	if err == nil && removed == 0 {
		err = s.single(ctx, func(b *pgx.Batch) {
			b.Queue("DELETE FROM writer WHERE at < $1", micros(now.Add(-24*time.Hour)))
			b.Queue(sweepLanes)
		})
	}
	return err == nil && removed > 0
}

// sweepChunks is how many rows of a content are removed at a time.
const sweepChunks = 64

// sweepUpload removes rows of one content that no message has, and the last time the content
// itself. An upload whose connection was lost is repeated, and may yet come when the message has
// been accepted: its row is then there again, though the content is the message's.
//
// The last time is when few rows were found, not when few were removed: another node may have
// removed them since the statement began, and have left further ones.
const sweepUpload = `WITH one AS MATERIALIZED (SELECT id FROM upload u WHERE at < $1 AND (at = 0 OR NOT EXISTS
		(SELECT 1 FROM message m WHERE m.id = u.id AND m.body)) LIMIT 1 FOR UPDATE SKIP LOCKED),
	found AS MATERIALIZED (SELECT b.id, b.seq FROM body b JOIN one ON one.id = b.id ORDER BY b.seq DESC LIMIT $2),
	chunks AS (DELETE FROM body WHERE (id, seq) IN (SELECT id, seq FROM found)),
	done AS (DELETE FROM upload WHERE id IN (SELECT id FROM one) AND (SELECT count(*) FROM found) < $2)
	SELECT (SELECT count(*) FROM one)`

// sweepLanes removes lanes without messages. A message that comes at the same time makes the
// foreign key fail: of this statement, or of its transaction, which is then run again.
const sweepLanes = `DELETE FROM lane WHERE id IN (SELECT id FROM lane l
	WHERE due = 9223372036854775807 AND owner = '' AND NOT EXISTS (SELECT 1 FROM message m WHERE m.lane = l.id) LIMIT 100 FOR UPDATE SKIP LOCKED)`
