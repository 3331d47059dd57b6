package postgres

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	"graphrelay/relay/queue"
)

// lane.due says when a lane has something to claim, so that a claim reads no other lane. It
// must never be too late, or a message would wait for ever. Two transactions could otherwise
// bring that about: one that takes the last message it sees, and one that adds another at the
// same time. So
//
//   - whoever makes a message due holds FOR KEY SHARE on its lane, and then looks at lane.due
//     and lowers it if need be. Others may do so at the same time, and claim from the lane;
//   - only a claim raises lane.due, with FOR UPDATE, which excludes the above, and then looks
//     at the messages. If it does not get the lock at once, it leaves the time too early, and
//     the next claim finds nothing and tries again.

const (
	dueNow   = 1             // of a lane with a queued message
	dueNever = math.MaxInt64 // of a lane with nothing to do
)

// makeDue records that a lane has a message due at a time.
func (t *transaction) makeDue(lane queue.LaneID, due int64) {
	if old, ok := t.due[lane]; !ok || due < old {
		t.due[lane] = due
	}
}

// lowerDue brings the lanes up to date that have a message due.
func (t *transaction) lowerDue() {
	if len(t.due) > 0 {
		t.keepLanes()
		t.lateDue()
	}
}

func (t *transaction) keepLanes() {
	t.push("SELECT id FROM lane WHERE id = ANY($1) ORDER BY id FOR KEY SHARE", []any{sortedLanes(maps.Keys(t.due))}, discard)
}

// lateDue lowers lane.due. It locks only the lanes that it changes: the others may be busy.
func (t *transaction) lateDue() {
	lanes := sortedLanes(maps.Keys(t.due))
	due := make([]int64, len(lanes))
	for i, l := range lanes {
		due[i] = t.due[queue.LaneID(l)]
	}
	t.push(`WITH late AS MATERIALIZED (
			SELECT lane.id, new.due FROM unnest($1::BIGINT[], $2::BIGINT[]) AS new (id, due) JOIN lane ON lane.id = new.id
			WHERE lane.due > new.due ORDER BY lane.id FOR NO KEY UPDATE OF lane)
		UPDATE lane SET due = least(lane.due, late.due) FROM late WHERE lane.id = late.id`, []any{lanes, due}, discard)
}

func sortedLanes(lanes func(func(queue.LaneID) bool)) []int64 {
	var list []int64
	for l := range lanes {
		list = append(list, int64(l))
	}
	slices.Sort(list)
	return list
}

// settleLanes records the claims, and raises lane.due of the lanes that were claimed from.
func (t *transaction) settleLanes() error {
	c := &t.claims
	if len(c.settle) == 0 {
		return nil
	}
	lanes := sortedLanes(maps.Keys(c.settle))
	free := []int64{} // lanes to which nobody is adding a message; nil would be NULL
	t.pushQuery(func(rows pgx.Rows) error {
		var id int64
		err := rows.Scan(&id)
		free = append(free, id)
		return err
	}, "SELECT id FROM lane WHERE id = ANY($1) ORDER BY id FOR UPDATE SKIP LOCKED", lanes)
	if err := t.flush(); err != nil {
		return err
	}
	t.op = noOp
	served, retries, tags := make([]int64, len(lanes)), make([]bool, len(lanes)), make([]int64, len(lanes))
	for i, l := range lanes {
		s := c.settle[queue.LaneID(l)]
		served[i], retries[i], tags[i] = s.at, s.deferredNext, s.tag
	}
	t.push(`UPDATE lane SET
			served = CASE WHEN c.served > 0 THEN c.served ELSE lane.served END,
			retries = CASE WHEN c.served > 0 THEN c.retries ELSE lane.retries END,
			virtual_time = greatest(lane.virtual_time, c.tag),
			paused = CASE WHEN paused > $6 THEN paused ELSE 0 END,
			due = CASE WHEN NOT lane.id = ANY($5) THEN due WHEN `+hasQueued+` THEN 1 ELSE coalesce(`+firstDeferred+`, 9223372036854775807) END
		FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BOOLEAN[], $4::BIGINT[]) AS c (id, served, retries, tag) WHERE lane.id = c.id`,
		[]any{lanes, served, retries, tags, free, c.now}, discard)
	return nil
}

// Of lane.
const (
	hasQueued = `(SELECT true FROM message m WHERE m.lane = lane.id AND m.state = 'queued' AND ` + confirmed + ` ORDER BY m.start_tag, m.id LIMIT 1) IS NOT NULL`
	// The condition is that of the index message_deferred.
	firstDeferred = `(SELECT m.due FROM message m WHERE m.lane = lane.id AND m.state = 'deferred' AND ` + confirmed + ` ORDER BY m.due LIMIT 1)`
)

// confirmed is the condition that the message m may be claimed (see arriving.go). A join could
// be planned as one with all messages.
const confirmed = "(SELECT true FROM arriving a WHERE a.id = m.id) IS NULL"

// tagOf names the source of messages in a lane.
type tagOf struct {
	lane   queue.LaneID
	source string
}

// recordTags records the start tags in the order of their keys, so that no two transactions
// wait for each other.
func (t *transaction) recordTags() {
	if len(t.tags) == 0 {
		return
	}
	keys := slices.SortedFunc(maps.Keys(t.tags), func(a, b tagOf) int {
		return cmp.Or(cmp.Compare(a.lane, b.lane), cmp.Compare(a.source, b.source))
	})
	lanes, sources, values := make([]int64, len(keys)), make([]string, len(keys)), make([]int64, len(keys))
	for i, k := range keys {
		lanes[i], sources[i], values[i] = int64(k.lane), k.source, t.tags[k]
	}
	t.push(`INSERT INTO flow (lane, source, start_tag)
		SELECT lane, source, tag FROM unnest($1::BIGINT[], $2::TEXT[], $3::BIGINT[]) WITH ORDINALITY AS new (lane, source, tag, n) ORDER BY n
		ON CONFLICT (lane, source) DO UPDATE SET start_tag = greatest(flow.start_tag, excluded.start_tag)`,
		[]any{lanes, sources, values}, discard)
}
