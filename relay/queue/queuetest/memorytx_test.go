package queuetest_test

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// pausedUntil returns the end of the pauses that apply to a lane.
func (t *tx) pausedUntil(l queue.Lane) time.Time {
	var until time.Time
	for of, p := range t.pauses {
		if of.Covers(l) && p.until.After(until) {
			until = p.until
		}
	}
	return until
}

// first returns the first message of a lane in a state, and its position in the lane.
func (t *tx) first(lane queue.LaneID, s queue.State, less func(a, b queue.Record) bool) (first queue.Record, err error) {
	err = queue.ErrNotFound
	for _, m := range t.messages {
		if m.lane == lane && m.State == s && (err != nil || less(m.Record, first)) {
			first, err = m.Record, nil
		}
	}
	return first, err
}

func (t *tx) NextQueued(lane queue.LaneID) (queue.Record, error) {
	return t.first(lane, queue.Queued, func(a, b queue.Record) bool {
		return a.StartTag < b.StartTag || a.StartTag == b.StartTag && a.ID < b.ID
	})
}

func (t *tx) NextDeferred(lane queue.LaneID, now time.Time) (queue.Record, error) {
	r, err := t.first(lane, queue.Deferred, func(a, b queue.Record) bool { return a.Due.Before(b.Due) })
	if err == nil && r.Due.After(now) {
		err = queue.ErrNotFound
	}
	return r, err
}

// firstDue returns when the first message of a lane falls due, the zero Time if none waits.
func (t *tx) firstDue(lane queue.LaneID) time.Time {
	if _, err := t.NextQueued(lane); err == nil {
		return time.Unix(1, 0)
	}
	r, _ := t.NextDeferred(lane, queue.Forever)
	return r.Due
}

func (m *memory) NextDue(_ context.Context, node string) (next time.Time, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, l := range m.lanes {
		due := m.firstDue(id)
		if due.IsZero() || !m.mayServe(l, node) {
			continue
		}
		if until := m.pausedUntil(l.Lane); until.After(due) {
			due = until
		}
		next = earlier(next, due)
	}
	return next, nil
}

func (t *tx) ReadyLanes(now time.Time, node string, after queue.Turn, each func(queue.ReadyLane) bool) error {
	if t.divided && !t.nodes[node].Lease.After(now) {
		return nil
	}
	var ready []queue.ReadyLane
	for id, l := range t.lanes {
		due := t.firstDue(id)
		if due.IsZero() || due.After(now) || t.pausedUntil(l.Lane).After(now) || !t.mayServe(l, node) {
			continue
		}
		busy := t.find(func(m message) bool { return m.lane == id && m.State == queue.Delivering })
		turn := queue.Turn{At: max(1, l.served.UnixMicro()), Lane: id}
		ready = append(ready, queue.ReadyLane{Turn: turn, ID: id, Lane: l.Lane, InDelivery: len(busy), DeferredNext: l.deferredNext,
			Owned: l.owner == node || !t.divided, Epoch: l.epoch})
	}
	slices.SortFunc(ready, func(a, b queue.ReadyLane) int { return a.Turn.Compare(b.Turn) })
	for _, l := range ready {
		if l.Turn.Compare(after) > 0 && !each(l) {
			break
		}
	}
	return nil
}

func (t *tx) Served(id queue.LaneID, now time.Time, deferredNext bool, tag int64) error {
	l := t.lanes[id]
	l.served, l.deferredNext, l.virtualTime = now, deferredNext, max(l.virtualTime, tag)
	t.lanes[id] = l
	return nil
}

func (t *tx) Flow(l queue.Lane, sender, client string) (queue.Flow, error) {
	id := queue.LaneID(len(t.lanes))
	for known, other := range t.lanes {
		if other.Lane == l {
			id = known
		}
	}
	if _, ok := t.lanes[id]; !ok {
		t.lanes[id] = lane{Lane: l}
	}
	tag := func(source string) int64 {
		if tag, ok := t.tags[tagOf{id, source}]; ok {
			return tag
		}
		return -1
	}
	return queue.Flow{Lane: id, VirtualTime: t.lanes[id].virtualTime, Sender: tag(sender), Client: tag(client), Closed: t.closed != (queue.Closed{})}, nil
}

func (t *tx) SetTag(lane queue.LaneID, source string, tag int64) error {
	t.tags[tagOf{lane, source}] = tag
	return nil
}

func (t *tx) DropTags(int) (int, error) {
	maps.DeleteFunc(t.tags, func(of tagOf, tag int64) bool { return tag < t.lanes[of.lane].virtualTime })
	return 0, nil
}

func (m *memory) Unwarned(_ context.Context, before, now time.Time, unpaused bool, limit int) ([]queue.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := m.find(func(x message) bool {
		return (x.State == queue.Queued || x.State == queue.Deferred) && !x.Arrived.After(before) && !x.Warned && !x.Progress.InDoubt &&
			!(unpaused && m.pausedUntil(x.Lane).After(now))
	})
	return list[:min(limit, len(list))], nil
}

func (m *memory) Paused(_ context.Context, l queue.Lane, now time.Time) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.pausedUntil(l).After(now), nil
}

func (m *memory) NextCleanup(_ context.Context, after string) (queue.Cleanup, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(m.cleanups)) {
		if id > after {
			return m.cleanups[id], nil
		}
	}
	return queue.Cleanup{}, queue.ErrNotFound
}

func (m *memory) Ended(_ context.Context, s queue.State, before time.Time, finished bool, limit int) (ids []string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.find(func(x message) bool {
		return x.State == s && !x.Arrived.After(before) && (!finished || !x.Due.After(before))
	}) {
		ids = append(ids, r.ID)
	}
	return ids[:min(limit, len(ids))], nil
}

func (m *memory) Usage(context.Context) (list []queue.Usage, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.find(func(x message) bool { return !ended(x) }) {
		u := queue.Usage{Origin: queue.Origin{User: r.User, Client: r.Client, Lane: r.Lane}, Waiting: 1, Bytes: r.Size}
		if r.State == queue.Held {
			u.Waiting, u.Held = 0, 1
		}
		list = append(list, u)
	}
	return list, nil
}

func (m *memory) FailedBeyond(_ context.Context, keep, bytes int64) (time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	failed := m.find(func(x message) bool { return x.State == queue.Failed })
	slices.Reverse(failed)
	var total int64
	for n, r := range failed {
		if total += r.Size; keep > 0 && int64(n) >= keep || bytes > 0 && total > bytes {
			return r.Arrived, nil
		}
	}
	return time.Time{}, nil
}

func (m *memory) LeftContents(_ context.Context, before time.Time, bytes int64, limit int) (ids []string, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var total int64
	for _, state := range []queue.State{queue.Returned, queue.Sent} {
		kept := m.find(func(x message) bool { return x.State == state && x.HasContent })
		slices.Reverse(kept)
		for _, r := range kept {
			if total += r.Size; state == queue.Sent && !r.Due.After(before) || bytes > 0 && total > bytes {
				ids = append(ids, r.ID)
			}
		}
	}
	return ids[:min(limit, len(ids))], nil
}

func (m *memory) EndedBeyond(_ context.Context, s queue.State, keep int64) (time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.find(func(x message) bool { return x.State == s })
	if beyond := len(all) - int(keep); beyond > 0 {
		return all[beyond-1].Arrived, nil
	}
	return time.Time{}, nil
}

func (m *memory) ServedLanes(_ context.Context, since time.Time) (list []queue.ServedLane, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.lanes {
		if !l.served.Before(since) {
			list = append(list, queue.ServedLane{Lane: l.Lane, Served: l.served, ReportsRead: l.reportsRead})
		}
	}
	return list, nil
}

func (m *memory) LeftAs(_ context.Context, l queue.Lane, messageID string, limit int) ([]queue.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := m.find(func(x message) bool { return x.Lane == l && x.MessageID == messageID && x.State.Left() })
	return list[:min(limit, len(list))], nil
}

func (t *tx) SetReportsRead(l queue.Lane, until time.Time) error {
	for id, of := range t.lanes {
		if of.Lane == l {
			of.reportsRead = until
			t.lanes[id] = of
		}
	}
	return nil
}

func (t *tx) Insert(r queue.Record, lane queue.LaneID, c queue.Content) error {
	if _, taken := t.messages[r.ID]; taken {
		return errors.New("the ID is taken")
	}
	t.messages[r.ID] = message{Record: r, lane: lane, body: slices.Clone(c.(*content).Bytes())}
	return nil
}

func (t *tx) Record(id string) (queue.Record, error) {
	m, ok := t.messages[id]
	if !ok {
		return queue.Record{}, queue.ErrNotFound
	}
	return m.Record, nil
}

func (t *tx) Status(id string) (queue.Status, error) {
	r, err := t.Record(id)
	return r.Status, err
}

// change replaces a message by what fn makes of it.
func (t *tx) change(id string, fn func(*message)) {
	m := t.messages[id]
	fn(&m)
	t.messages[id] = m
}

func (t *tx) SetStatus(id string, s queue.Status) error {
	t.change(id, func(m *message) { m.Status = s })
	return nil
}

func (t *tx) SaveProgress(ref queue.Ref, p queue.Progress) error {
	if m := t.messages[ref.ID]; m.State != queue.Delivering || m.Fence != ref.Fence || m.Node != ref.Node {
		return queue.ErrFenced
	}
	t.change(ref.ID, func(m *message) { m.Progress = p })
	return nil
}

func (t *tx) AddEvents(id string, events ...queue.Event) error {
	t.change(id, func(m *message) { m.events = slices.Concat(m.events, events) })
	return nil
}

func (t *tx) Remove(id string) error {
	delete(t.messages, id)
	return nil
}

func (t *tx) ExtendPause(l queue.Lane, until time.Time, why reason.Reason) error {
	if until.After(t.pauses[l].until) {
		t.pauses[l] = pause{until, why}
	}
	return nil
}

func (t *tx) Pause(l queue.Lane, now time.Time) (reason.Reason, error) {
	if p := t.pauses[l]; p.until.After(now) {
		return p.why, nil
	}
	return "", queue.ErrNotFound
}

func (t *tx) EndPause(l queue.Lane) error {
	delete(t.pauses, l)
	return nil
}

func (t *tx) EndPauses(l queue.Lane, keep reason.Reason) error {
	maps.DeleteFunc(t.pauses, func(of queue.Lane, p pause) bool { return of.Covers(l) && p.why != keep })
	return nil
}

func (t *tx) EndDeferral(l queue.Lane, why reason.Reason, now time.Time) error {
	for _, r := range t.find(func(m message) bool {
		return m.State == queue.Deferred && m.Reason == why && m.Due.After(now) && l.Covers(m.Lane)
	}) {
		t.change(r.ID, func(m *message) { m.Due = now })
	}
	return nil
}

func (t *tx) SetNode(n queue.Node) error {
	n.Draining = t.nodes[n.ID].Draining
	t.nodes[n.ID] = n
	return nil
}

func (t *tx) SetDraining(name string, draining bool) error {
	err := queue.ErrNotFound
	for id, n := range t.nodes {
		if n.Name == name {
			n.Draining, err = draining, nil
			t.nodes[id] = n
		}
	}
	return err
}

func (t *tx) EndNode(id string) error {
	delete(t.nodes, id)
	return nil
}

func (t *tx) Nodes() ([]queue.Node, error) {
	return slices.SortedFunc(maps.Values(t.nodes), func(a, b queue.Node) int { return cmp.Compare(a.ID, b.ID) }), nil
}

func (m *memory) Nodes(context.Context) (list []queue.NodeStatus, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	nodes, err := m.tx.Nodes()
	for _, n := range nodes {
		s := queue.NodeStatus{Node: n, Delivering: len(m.find(func(x message) bool { return x.State == queue.Delivering && x.Node == n.ID }))}
		for _, l := range m.lanes {
			if l.owner == n.ID {
				s.Lanes++
			}
		}
		list = append(list, s)
	}
	return list, err
}

func (t *tx) SetClock(r queue.Reading) error {
	t.clock = r
	return nil
}

func (t *tx) EndAhead(now, end, due time.Time, keep reason.Reason) error {
	for _, r := range t.find(func(m message) bool { return m.State == queue.Deferred && m.Due.After(due) }) {
		t.change(r.ID, func(m *message) { m.Due = now })
	}
	maps.DeleteFunc(t.pauses, func(_ queue.Lane, p pause) bool {
		return !p.until.After(now) || p.until.After(end) && p.why != keep
	})
	return nil
}

func (t *tx) Abandoned(now time.Time) (ids []string, err error) {
	for _, r := range t.find(func(m message) bool { return m.State == queue.Delivering && !t.nodes[m.Node].Lease.After(now) }) {
		ids = append(ids, r.ID)
	}
	return ids, nil
}

func (t *tx) Claimed(node string) (refs, locked []queue.Ref, err error) {
	for _, r := range t.find(func(m message) bool { return m.State == queue.Delivering && m.Node == node }) {
		refs = append(refs, queue.Ref{ID: r.ID, Fence: r.Fence, Node: node})
	}
	return refs, nil, nil
}

func (t *tx) AddCleanup(c queue.Cleanup) error {
	t.cleanups[c.ID] = c
	return nil
}

func (t *tx) RemoveCleanup(id string) (bool, error) {
	_, was := t.cleanups[id]
	delete(t.cleanups, id)
	return was, nil
}

func (t *tx) EndCleanup(id string, since time.Time) error {
	if t.cleanups[id].Since.Equal(since) {
		delete(t.cleanups, id)
	}
	return nil
}

func (t *tx) Shrink() error { return nil }

func (t *tx) SetAudit(a queue.Audit) error {
	t.audits[a.ID] = a
	return nil
}

func (t *tx) DropAudits(keep int) error {
	ids := slices.Sorted(maps.Keys(t.audits))
	for _, id := range ids[:max(0, len(ids)-keep)] {
		delete(t.audits, id)
	}
	return nil
}

func (m *memory) Audits(_ context.Context, limit int) (list []queue.Audit, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ids := slices.Sorted(maps.Keys(m.audits))
	for _, id := range ids[max(0, len(ids)-limit):] {
		list = append(list, m.audits[id])
	}
	return list, nil
}

func (t *tx) SetClosed(c queue.Closed) error {
	t.closed = c
	return nil
}

func (t *tx) Closed() (queue.Closed, error) { return t.closed, nil }

func (m *memory) Closed(context.Context) (queue.Closed, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tx.Closed()
}
