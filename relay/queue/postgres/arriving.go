package postgres

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"graphrelay/relay/queue"
)

// A message of a client is inserted together with a row in the table arriving, and is not
// claimed while the row is there. When the node knows that it was committed, it removes the
// row. If that stays unknown, the client is refused the message and sends it again, and the
// node removes the message once the database is back. The rows of a node that is gone are
// removed some time after its lease has ended: it might come back and remove the messages.

// arrival is a message of a client that was inserted.
type arrival struct {
	id   string
	lane queue.LaneID
}

// arrived holds the messages that were committed and are to be confirmed.
type arrived struct {
	mu         sync.Mutex
	list       []arrival
	wake       chan struct{}
	confirming sync.Mutex // held from taking the list until it is confirmed
}

func (a *arrived) init() { a.wake = make(chan struct{}, 1) }

func (a *arrived) add(list []arrival) {
	if len(list) == 0 {
		return
	}
	a.mu.Lock()
	a.list = append(a.list, list...)
	a.mu.Unlock()
	a.signal()
}

func (a *arrived) signal() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func (a *arrived) take() []arrival {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := a.list
	a.list = nil
	return list
}

// confirmLoop confirms what has arrived, together what arrives meanwhile.
func (s *storage) confirmLoop() {
	for {
		select {
		case <-s.ending.Done():
			return
		case <-s.arrived.wake:
			_ = s.confirm() // what fails is tried again when the database is back
		}
	}
}

// confirm lets what has arrived be claimed. It returns when that has been done.
func (s *storage) confirm() error {
	s.arrived.confirming.Lock()
	defer s.arrived.confirming.Unlock()
	if err := s.reachable(); err != nil {
		return err
	}
	list := s.arrived.take()
	if len(list) == 0 {
		return nil
	}
	err := s.confirmList(list)
	if err != nil {
		s.lose(err)
		s.arrived.add(list)
	}
	return err
}

// confirmList does not wait for the disk. If the database forgets it, as a standby may have that
// takes over, confirmForgotten does it once more.
func (s *storage) confirmList(list []arrival) (err error) {
	for range maxTries {
		if err = s.confirmOnce(list); !retryable(err) {
			return err
		}
	}
	return err
}

func (s *storage) confirmOnce(list []arrival) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	return s.lone(ctx, func(t *transaction) {
		t.push("SELECT set_config('synchronous_commit', 'off', true)", nil, discard)
		t.confirmArrivals(list)
	})
}

func (t *transaction) confirmArrivals(list []arrival) {
	for _, a := range list {
		t.makeDue(a.lane, dueNow)
	}
	t.keepLanes()
	t.push("DELETE FROM arriving WHERE id = ANY($1)", []any{idsOf(list)}, discard)
	t.lateDue()
}

func idsOf(list []arrival) []string {
	ids := make([]string, len(list))
	for i, a := range list {
		ids[i] = a.id
	}
	return ids
}

// lone commits what prepare pushes in a transaction that leaves no trace: doing it twice is
// doing it once.
func (s *storage) lone(ctx context.Context, prepare func(*transaction)) (err error) {
	for range 2 { // a first connection may have been lost long before
		again := false
		err = s.onConn(ctx, s.work, func(c *pgx.Conn) error {
			t := newTransaction(ctx, s, c, false)
			t.op = noOp
			prepare(t)
			t.push("COMMIT", nil, discard)
			err := t.flush()
			if err != nil {
				again = lost(c, err)
				t.rollback()
			}
			return err
		})
		if !again {
			break
		}
	}
	return err
}

// withdraw removes messages whose clients were refused them, unless another node has
// confirmed them since.
func (s *storage) withdraw(list []arrival) error {
	if len(list) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(s.ending, s.timeout)
	defer cancel()
	return s.lone(ctx, func(t *transaction) {
		t.push(`WITH gone AS (DELETE FROM arriving WHERE id = ANY($1) RETURNING id),
			bodies AS (DELETE FROM body WHERE id IN (SELECT id FROM gone)),
			events AS (DELETE FROM event WHERE id IN (SELECT id FROM gone))
			DELETE FROM message WHERE id IN (SELECT id FROM gone)`, []any{idsOf(list)}, discard)
	})
}

const (
	// returnTime is how long the messages of a node wait for it after its lease has ended.
	returnTime = 2 * time.Minute
	// forgetTime is longer than a message can be arriving whose node can reach the database.
	forgetTime = time.Minute
	// startTime is how long a node may take from its first message to its first renewal.
	startTime = 10 * time.Second
)

// confirmOwn confirms what has arrived through an earlier process of this node.
func (s *storage) confirmOwn() error {
	return s.confirmThose("a.node = $1", escape(s.node))
}

// confirmForgotten confirms what has arrived through this process long ago, and was confirmed
// before a database took over that does not know it. What is in doubt is cleared up while the
// database counts as away.
func (s *storage) confirmForgotten() error {
	return s.confirmThose("a.node = $1 AND m.arrived < $2", escape(s.node), micros(s.clock.Now().Add(-forgetTime)))
}

// confirmOthers confirms what has arrived through nodes that are gone.
func (s *storage) confirmOthers() error {
	now := s.clock.Now()
	return s.confirmThose(`a.node <> $1 AND m.arrived < $2 AND NOT EXISTS (SELECT 1 FROM node n WHERE n.name = a.node AND n.lease >= $3)`,
		escape(s.node), micros(now.Add(-startTime)), micros(now.Add(-returnTime)))
}

// confirmThose confirms those of the table arriving for which a condition holds.
func (s *storage) confirmThose(condition string, args ...any) error {
	ctx, cancel := context.WithTimeout(s.ending, s.timeout)
	defer cancel()
	var list []arrival
	err := s.reading(ctx, s.work, func(rows pgx.Rows) error {
		var a arrival
		err := rows.Scan(&a.id, &a.lane)
		list = append(list, a)
		return err
	}, "SELECT a.id, a.lane FROM arriving a LEFT JOIN message m ON m.id = a.id WHERE "+condition+" LIMIT 10000", args...)
	for chunk := range slices.Chunk(list, 1000) {
		if err == nil {
			err = s.confirmList(chunk)
		}
	}
	return err
}
