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
	places map[queue.LaneID]place
	free   int // lanes of nobody that there were to look at, before others that are locked were passed over
	carry  map[queue.LaneID]string
	epoch  map[queue.LaneID]int64
	settle map[queue.LaneID]served // lanes that were claimed from, or have nothing to claim

	declined map[queue.LaneID]bool // of nobody, which the node leaves to others
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

// passTime is how long lanes are left out that had as many messages in delivery as they may.
const passTime = time.Second

// passedOver says where the next claim goes on. Where more lanes are ready than a claim looks at,
// those that come first would keep it from the others.
type passedOver struct {
	mu    sync.Mutex
	since time.Time
	own   []int64 // the node's lanes that were ready and had nothing claimed from them
	free  place   // behind which lanes of nobody are looked at
}

// place is that of a lane in the order of turns. The zero place comes before all.
type place struct{ served, id int64 }

// note adds the node's lanes of which a claim has made no use, and goes on behind the lanes of
// nobody that it has declined.
func (p *passedOver) note(c *claims) {
	if c.heads == nil {
		return // the transaction was no claim
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.since) >= passTime {
		p.since, p.own = time.Now(), nil
	}
	own, last, declined := 0, -1, true
	at := p.free
	for i, l := range c.ready {
		if c.owned[l] {
			own++
			if _, used := c.settle[l]; used {
				last = i
			}
		} else if declined = declined && c.declined[l]; declined {
			at = c.places[l]
		}
	}
	if p.free = at; c.free < maxFree {
		p.free = place{} // that was the end: the next claim begins again
	}
	if own < maxReady {
		return
	}
	for i, l := range c.ready {
		if _, used := c.settle[l]; c.owned[l] && !used && (i < last || last < 0) { // there was no room for those behind
			p.own = append(p.own, int64(l))
		}
	}
}

// current returns the node's lanes that are left out now, and behind which place those of nobody
// are looked at.
func (p *passedOver) current() (own []int64, free place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.since) >= passTime {
		return []int64{}, p.free // nil would be NULL
	}
	return append([]int64{}, p.own...), p.free
}

// readyLanes reads the entries of lanes that are ready from an index. Most have a queued message
// and no pause, so are ready at 1, and are in the order in which they were served. However many are
// nobody's, they do not take the place of the node's own. It passes over lanes that another claim
// has. Whether the node has a lease is asked by the database's clock:
// the node may have stood still since it looked at its own.
const readyLanes = `
WITH free AS MATERIALIZED (SELECT id, served FROM (
		(SELECT id, served FROM lane WHERE owner = '' AND ready = 1 AND ` + behind + ` ORDER BY served, id LIMIT $5) UNION ALL
		(SELECT id, served FROM lane WHERE owner = '' AND ready > 1 AND ready <= $1 AND ` + behind + ` ORDER BY served, id LIMIT $5)) l ORDER BY served, id LIMIT $5)
SELECT lane.id, connection, principal, mailbox, retries, owner <> '', epoch, coalesce(free.served, 0), (SELECT count(*) FROM free)
FROM lane LEFT JOIN free ON free.id = lane.id WHERE lane.id IN (
	(SELECT id FROM free) UNION ALL
	(SELECT id FROM (
		(SELECT id, served FROM lane WHERE owner = $2 AND ready = 1 AND id <> ALL($4) ORDER BY served LIMIT $3) UNION ALL
		(SELECT id, served FROM lane WHERE owner = $2 AND ready > 1 AND ready <= $1 AND id <> ALL($4) ORDER BY served LIMIT $3)) own ORDER BY served LIMIT $3))
AND ready <= $1 AND owner IN ('', $2) AND EXISTS (SELECT 1 FROM node WHERE node.id = $2 AND lease > ` + databaseTime + `)
ORDER BY lane.served, lane.id FOR NO KEY UPDATE OF lane SKIP LOCKED`

const behind = "served >= $6 AND (served > $6 OR id > $7)"

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
		places: map[queue.LaneID]place{}, epoch: map[queue.LaneID]int64{}, settle: map[queue.LaneID]served{}, declined: map[queue.LaneID]bool{}}
	var lanes []queue.ReadyLane
	own, free := t.s.passed.current()
	err := t.query(func(rows pgx.Rows) error {
		var l queue.ReadyLane
		var at place
		err := rows.Scan(&l.ID, &l.Lane.Connection, &l.Lane.Principal, &l.Lane.Mailbox, &l.DeferredNext, &l.Owned, &l.Epoch, &at.served, &t.claims.free)
		at.id = int64(l.ID)
		t.claims.places[l.ID] = at
		unescapeAll(&l.Lane.Connection, &l.Lane.Principal, &l.Lane.Mailbox)
		lanes = append(lanes, l)
		t.claims.ready = append(t.claims.ready, l.ID)
		t.claims.owned[l.ID], t.claims.epoch[l.ID] = l.Owned, l.Epoch
		return err
	}, readyLanes, micros(now), escape(node), maxReady, own, maxFree, free.served, free.id)
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

// Decline implements queue.SharedTx.
func (t *transaction) Decline(lane queue.LaneID) { t.claims.declined[lane] = true }

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
