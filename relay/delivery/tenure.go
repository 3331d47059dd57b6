package delivery

import (
	"context"
	"fmt"
	"sync"
	"time"

	"graphrelay/internal/permit"
	"graphrelay/relay/queue"
)

// tenure is this node's right to work on what it has claimed from a queue that it shares. It
// ends with the lease, unless that is renewed before: from then on another node may work on
// the same messages. What is under way is then given up, and no step outside is taken after
// the end, also if this process did not run meanwhile.
type tenure struct {
	mu    sync.Mutex
	ends  time.Time // has a monotonic reading; zero: without end
	wall  time.Time // the same without: the monotonic clock stops while a machine sleeps
	end   context.CancelFunc
	ctx   context.Context // of what is claimed now; done after the end
	timer *time.Timer
}

// extend sets the end. It is counted from before the renewal was asked for, so it comes before
// the one that the queue knows. What has ended stays so, also if the clock that said so was set back
// since: work that is claimed from then on has a context of its own.
func (t *tenure) extend(ctx context.Context, until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx == nil || t.over() != nil || t.ctx.Err() != nil || !t.timer.Stop() {
		if t.end != nil {
			t.end()
		}
		t.ctx, t.end = context.WithCancel(ctx)
	}
	t.ends, t.wall = until, until.Round(0)
	end := t.end
	t.timer = time.AfterFunc(time.Until(until), end)
}

// over returns an error after the end. The caller holds the lock.
func (t *tenure) over() error {
	if now := time.Now(); t.ends.IsZero() || now.Before(t.ends) && now.Round(0).Before(t.wall) {
		return nil
	}
	t.end()
	return fmt.Errorf("%w: this node could not renew its lease in time", queue.ErrFenced)
}

// check returns an error after the end of the tenure that ctx is of.
func (t *tenure) check(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.over(); err != nil {
		return err
	}
	return ctx.Err()
}

// work returns the context for work on what is claimed now. Ctx is returned if the tenure has
// no end.
func (t *tenure) work(ctx context.Context) context.Context {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ends.IsZero() {
		return ctx
	}
	of := t.ctx
	return permit.With(of, func() error { return t.check(of) })
}

// until returns ctx with a deadline, after which no step outside is taken either, nor after the end
// of the tenure that there is now.
func (t *tenure) until(ctx context.Context, deadline time.Time) (context.Context, context.CancelFunc) {
	work := t.work(ctx)
	ctx, cancel := context.WithDeadline(ctx, deadline)
	return permit.With(ctx, func() error {
		if !time.Now().Before(deadline) {
			return context.DeadlineExceeded
		}
		return permit.Check(work)
	}), cancel
}

// held reports whether the tenure lasts.
func (t *tenure) held() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.over() == nil
}
