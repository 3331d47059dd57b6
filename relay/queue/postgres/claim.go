package postgres

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"graphrelay/relay/queue"
)

// claims is what a claim has read and is going to write.
type claims struct {
	now    int64
	ready  []queue.LaneID          // in the order in which they were returned
	heads  map[queue.LaneID]*heads // of those that were read
	owned  map[queue.LaneID]bool
	carry  map[queue.LaneID]string
	epoch  map[queue.LaneID]int64
	settle map[queue.LaneID]served // lanes that were claimed from, or have nothing to claim
}

// served is what Served records; at is 0 if nothing was claimed.
type served struct {
	at           int64
	deferredNext bool
	tag          int64
}

// heads are the first messages of a lane, which the transaction has locked.
type heads struct {
	queued, deferred head
	limit            int // of how many were read of each kind
}

// head is the messages of one kind that were not returned yet.
type head struct {
	list []queue.Record
	read int // with those that were returned
}

// A claim looks at so many lanes of its node at most, and so many of nobody's beside them.
const (
	maxReady = 300
	maxFree  = 100
)

// passedOver holds lanes that were ready and had nothing claimed from them. Where more lanes
// are ready than a claim looks at, they would keep it from the others, since they come first.
type passedOver struct {
	mu   sync.Mutex
	own  passed // had as many messages in delivery as they may
	free passed // are nobody's, and the node cannot serve them or has its share
}

// passed is lanes that are left out until a time.
type passed struct {
	until time.Time
	lanes []int64
}

// Lanes are left out for so long. Those of nobody are left out for less than a node remembers that
// it has seen them, and are so many at most: each claim compares with them all.
const (
	passOwn   = time.Second
	passFree  = queue.LaneMemory / 2
	maxPassed = 2000
)

// note adds the lanes of which a claim has made no use.
func (p *passedOver) note(c *claims) {
	var own, free, unusedOwn, unusedFree []int64
	for _, l := range c.ready {
		all, unused := &free, &unusedFree
		if c.owned[l] {
			all, unused = &own, &unusedOwn
		}
		*all = append(*all, int64(l))
		if _, used := c.settle[l]; !used {
			*unused = append(*unused, int64(l))
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(own) >= maxReady {
		p.own.add(unusedOwn, passOwn)
	}
	if len(free) >= maxFree {
		p.free.add(unusedFree, passFree)
	}
}

func (p *passed) add(lanes []int64, during time.Duration) {
	now := time.Now()
	if now.After(p.until) || len(p.lanes)+len(lanes) > maxPassed {
		p.until, p.lanes = now.Add(during), []int64{}
	}
	p.lanes = append(p.lanes, lanes...)
}

// current returns the lanes that are left out now.
func (p *passedOver) current() (own, free []int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.own.current(), p.free.current()
}

func (p *passed) current() []int64 {
	if time.Now().After(p.until) {
		return []int64{} // nil would be NULL
	}
	return slices.Clone(p.lanes)
}

// readyLanes reads the entries of lanes that are ready from an index. Most have a queued message
// and no pause, so are ready at 1, and are in the order in which they were served. However many are
// nobody's, they do not take the place of the node's own. It passes over lanes that another claim
// has. Whether the node has a lease is asked by the database's clock:
// the node may have stood still since it looked at its own.
const readyLanes = `
SELECT id, connection, principal, mailbox, retries, owner <> '', epoch FROM lane WHERE id IN (
	(SELECT id FROM (
		(SELECT id, served FROM lane WHERE owner = '' AND ready = 1 AND id <> ALL($6) ORDER BY served LIMIT $5) UNION ALL
		(SELECT id, served FROM lane WHERE owner = '' AND ready > 1 AND ready <= $1 AND id <> ALL($6) ORDER BY served LIMIT $5)) free ORDER BY served LIMIT $5) UNION ALL
	(SELECT id FROM (
		(SELECT id, served FROM lane WHERE owner = $2 AND ready = 1 AND id <> ALL($4) ORDER BY served LIMIT $3) UNION ALL
		(SELECT id, served FROM lane WHERE owner = $2 AND ready > 1 AND ready <= $1 AND id <> ALL($4) ORDER BY served LIMIT $3)) own ORDER BY served LIMIT $3))
AND ready <= $1 AND owner IN ('', $2) AND EXISTS (SELECT 1 FROM node WHERE node.id = $2 AND lease > ` + databaseTime + `) ORDER BY served FOR NO KEY UPDATE SKIP LOCKED`

// inDelivery runs once the lanes are locked, or it would not count what an earlier claim has
// committed in the meantime. A pause that was made while the lane was created is not in
// lane.paused yet.
var inDelivery = `
SELECT id, (SELECT count(*) FROM message WHERE lane = lane.id AND state = 'delivering'), ` + lanePaused + `, carry
FROM lane WHERE id = ANY($1)`

// ReadyLanes implements queue.LaneTx.
func (t *transaction) ReadyLanes(now time.Time, node string, _ queue.Turn, each func(queue.ReadyLane) bool) error {
	if err := t.alone(); err != nil {
		return err
	}
	t.claims = claims{now: micros(now), heads: map[queue.LaneID]*heads{}, owned: map[queue.LaneID]bool{}, carry: map[queue.LaneID]string{},
		epoch: map[queue.LaneID]int64{}, settle: map[queue.LaneID]served{}}
	var lanes []queue.ReadyLane
	own, free := t.s.passed.current()
	err := t.query(func(rows pgx.Rows) error {
		var l queue.ReadyLane
		err := rows.Scan(&l.ID, &l.Lane.Connection, &l.Lane.Principal, &l.Lane.Mailbox, &l.DeferredNext, &l.Owned, &l.Epoch)
		unescapeAll(&l.Lane.Connection, &l.Lane.Principal, &l.Lane.Mailbox)
		lanes = append(lanes, l)
		t.claims.ready = append(t.claims.ready, l.ID)
		t.claims.owned[l.ID], t.claims.epoch[l.ID] = l.Owned, l.Epoch
		return err
	}, readyLanes, micros(now), escape(node), maxReady, own, maxFree, free)
	if err != nil || len(lanes) == 0 {
		return err
	}
	ready, err := t.countDelivering(lanes)
	for _, l := range ready {
		if !each(l) {
			break
		}
	}
	return err
}

// countDelivering fills in how many messages the lanes have in delivery, and reads the first
// ones in the same round trip. It leaves out lanes that turn out to be paused.
func (t *transaction) countDelivering(lanes []queue.ReadyLane) (ready []queue.ReadyLane, err error) {
	count := map[queue.LaneID]int{}
	paused := map[queue.LaneID]bool{}
	var late []int64
	t.pushQuery(func(rows pgx.Rows) error {
		var id, until int64
		var n int
		var carry string
		err := rows.Scan(&id, &n, &until, &carry)
		count[queue.LaneID(id)], t.claims.carry[queue.LaneID(id)] = n, unescape(carry)
		if until > t.claims.now {
			paused[queue.LaneID(id)] = true
			late = append(late, id)
		}
		return err
	}, inDelivery, laneIDs(t.claims.ready))
	t.pushHeads(t.claims.ready[0])
	if err := t.flush(); err != nil {
		return nil, err
	}
	if len(late) > 0 {
		t.write("UPDATE lane SET paused = "+lanePaused+" WHERE id = ANY($1)", late)
	}
	for _, l := range lanes {
		if !paused[l.ID] {
			l.InDelivery = count[l.ID]
			ready = append(ready, l)
		}
	}
	return ready, nil
}

func laneIDs(lanes []queue.LaneID) []int64 {
	ids := make([]int64, len(lanes))
	for i, l := range lanes {
		ids[i] = int64(l)
	}
	return ids
}

// The first messages of the lanes $1 at the time $3, $2 of each. Messages that an operator is
// working on are passed over.
const (
	headsOf   = "SELECT " + recordColumns + " FROM unnest($1::BIGINT[]) AS wanted (lane) CROSS JOIN LATERAL (SELECT * FROM message m WHERE m.lane = wanted.lane AND "
	headLanes = " LIMIT $2 FOR UPDATE SKIP LOCKED) m JOIN lane ON lane.id = m.lane"

	queuedHeads   = headsOf + "m.state = 'queued' AND " + confirmed + " ORDER BY m.start_tag, m.id" + headLanes
	deferredHeads = headsOf + "m.state = 'deferred' AND m.due <= $3 AND " + confirmed + " ORDER BY m.due" + headLanes
)

// atOnce is how many messages are read for a claim in one round trip, about.
const atOnce = 16

// pushHeads reads the first messages of a lane, and of those that probably are next.
func (t *transaction) pushHeads(lane queue.LaneID) {
	c := &t.claims
	lanes := []queue.LaneID{lane}
	rest := c.ready[slices.Index(c.ready, lane)+1:]
	for _, l := range rest[:min(len(rest), atOnce-1)] {
		if c.heads[l] == nil {
			lanes = append(lanes, l)
		}
	}
	each := max(1, min(4, atOnce/len(lanes)))
	for _, l := range lanes {
		c.heads[l] = &heads{limit: each}
	}
	read := func(add func(*heads, queue.Record)) func(pgx.Rows) error {
		return func(rows pgx.Rows) error {
			r, lane, err := scanRecord(rows)
			if err == nil {
				t.lanes[r.ID] = lane
				add(c.heads[lane], r)
			}
			return err
		}
	}
	t.pushQuery(read(func(h *heads, r queue.Record) { h.queued.add(r) }), queuedHeads, laneIDs(lanes), each)
	t.pushQuery(read(func(h *heads, r queue.Record) { h.deferred.add(r) }), deferredHeads, laneIDs(lanes), each, c.now)
}

func (h *head) add(r queue.Record) {
	h.list = append(h.list, r)
	h.read++
}

// NextQueued implements queue.LaneTx.
func (t *transaction) NextQueued(lane queue.LaneID) (queue.Record, error) {
	return t.next(lane, func(h *heads) *head { return &h.queued }, func(a, b queue.Record) int {
		return cmp.Or(cmp.Compare(a.StartTag, b.StartTag), cmp.Compare(a.ID, b.ID))
	})
}

// NextDeferred implements queue.LaneTx. The time is that of ReadyLanes.
func (t *transaction) NextDeferred(lane queue.LaneID, _ time.Time) (queue.Record, error) {
	return t.next(lane, func(h *heads) *head { return &h.deferred }, func(a, b queue.Record) int { return a.Due.Compare(b.Due) })
}

// next returns the first message of one kind that was not returned yet.
func (t *transaction) next(lane queue.LaneID, kind func(*heads) *head, order func(a, b queue.Record) int) (queue.Record, error) {
	h := t.claims.heads[lane]
	if h == nil || len(kind(h).list) == 0 && kind(h).read == h.limit {
		t.pushHeads(lane)
		if err := t.flush(); err != nil {
			return queue.Record{}, err
		}
		h = t.claims.heads[lane]
	}
	list := kind(h).list
	if len(list) == 0 {
		t.settle(lane)
		return queue.Record{}, queue.ErrNotFound
	}
	slices.SortFunc(list, order)
	kind(h).list = list[1:]
	return list[0], nil
}

// settle has lane.due of the lane brought up to date at the end.
func (t *transaction) settle(lane queue.LaneID) {
	t.changed = true
	if _, known := t.claims.settle[lane]; !known {
		t.claims.settle[lane] = served{}
	}
}

// Served implements queue.LaneTx.
func (t *transaction) Served(lane queue.LaneID, now time.Time, deferredNext bool, tag int64) error {
	if t.claims.settle == nil { // of a lane that is copied
		t.write("UPDATE lane SET served = $1, retries = $2, virtual_time = greatest(virtual_time, $3) WHERE id = $4", micros(now), deferredNext, tag, int64(lane))
		return nil
	}
	t.settle(lane)
	t.claims.settle[lane] = served{micros(now), deferredNext, max(tag, t.claims.settle[lane].tag)}
	return nil
}
