package delivery

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"graphrelay/relay/queue"
)

// DefaultLease is how long this node's claims last if it does not renew them.
const DefaultLease = time.Minute

// Carrier is an Outlet that counts what is asked of each lane, and can go on where another
// node's has ended.
type Carrier interface {
	// Carry returns what counts of a lane now.
	Carry(l queue.Lane) string
	// Resume counts what Carry said of the lane elsewhere, some time ago.
	Resume(l queue.Lane, carry string, ago time.Duration) error
}

// touched are the lanes whose carry has changed since it was last stored.
type touched struct {
	mu    sync.Mutex
	lanes map[queue.LaneRef]bool
}

func (t *touched) add(lanes ...queue.LaneRef) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lanes == nil {
		t.lanes = map[queue.LaneRef]bool{}
	}
	for _, l := range lanes {
		t.lanes[l] = true
	}
}

func (t *touched) take() []queue.LaneRef {
	t.mu.Lock()
	defer t.mu.Unlock()
	lanes := slices.Collect(maps.Keys(t.lanes))
	t.lanes = nil
	return lanes
}

// renew extends the lease, and with it the tenure where the queue is shared.
func (d *Deliverer) renew(ctx, hard context.Context) error {
	if by := d.work.Jumped(); by != 0 {
		d.log.Warn("the machine's clock was set, or the machine slept; messages do not age by that", "seconds", by.Seconds())
	}
	r := queue.Renewal{Node: d.cfg.Node, Lease: d.cfg.Lease}
	r.Node.About.Full = full(d.slots.claim(time.Now()))
	var lanes []queue.LaneRef
	if d.work.Shared() {
		lanes = d.touched.take()
		r.Carry = d.carry(lanes)
	}
	start := time.Now()
	found, err := d.work.Renew(ctx, r)
	if err != nil {
		d.touched.add(lanes...)
		return err
	}
	if d.work.Shared() {
		d.tenure.extend(hard, start.Add(d.cfg.Lease))
	}
	if found.Released > 0 {
		d.log.Warn("took over what another node had claimed", "messages", found.Released)
	}
	if was := d.draining.Swap(found.Draining); was != found.Draining {
		d.log.Warn("an operator has changed whether this node takes work", "draining", found.Draining)
	}
	return nil
}

// carry returns what counts of the lanes, with the queue's time.
func (d *Deliverer) carry(lanes []queue.LaneRef) map[queue.LaneRef]string {
	c, ok := d.outlet.(Carrier)
	if !ok {
		return nil
	}
	all := map[queue.LaneRef]string{}
	now := strconv.FormatInt(d.work.Now().UnixMilli(), 10)
	for _, ref := range lanes {
		all[ref] = now + " " + c.Carry(ref.Lane)
	}
	return all
}

// resume goes on counting for a lane that another node had.
func (d *Deliverer) resume(t queue.Task) {
	at, carry, _ := strings.Cut(t.Carry, " ")
	c, ok := d.outlet.(Carrier)
	if !ok || carry == "" {
		return
	}
	ms, err := strconv.ParseInt(at, 10, 64)
	if err == nil {
		err = c.Resume(t.Lane, carry, max(d.work.Now().Sub(time.UnixMilli(ms)), 0))
	}
	if err != nil {
		d.log.Warn("cannot read what another node has asked of a mailbox; its limits are counted from zero", "lane", t.Lane.String(), "error", err)
	}
}

// keepLease renews the lease until ctx is done, more often while that fails.
func (d *Deliverer) keepLease(ctx context.Context) {
	fault := recurring{fault: "cannot renew the lease on claimed messages", over: "renews the lease on claimed messages again"}
	wait := d.cfg.Lease / 4
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = d.cfg.Lease / 4
		attempt, cancel := context.WithTimeout(ctx, max(d.cfg.Lease/2, time.Second))
		err := d.renew(attempt, ctx)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			wait = min(wait, pollEvery)
		}
		fault.note(d.log, err)
	}
}
