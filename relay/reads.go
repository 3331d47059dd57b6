package relay

import (
	"context"
	"time"

	"graphrelay/internal/fair"
	"graphrelay/relay/operators"
	"graphrelay/relay/queue"
)

// Lists, searches and counts for operators that the database works on at a time. Each takes a
// connection, of which the queue has one more for what must not wait for operators: mail is
// accepted only once the queue is counted, and health and metrics count it too.
const (
	maxReads        = 2
	maxReadsOf      = 1 // of one person
	maxReadsWaiting = 256
)

// operated is a queue for operators, who take turns where one question may take long.
type operated struct {
	store
	turns *fair.Slots[string] // by name of the person
}

// store is what operations.Local needs of a queue.
type store interface {
	queue.Inspector
	queue.Controller
}

func newTurns() *fair.Slots[string] {
	return fair.New[string](fair.Limits{Slots: maxReads, PerClient: maxReadsOf, Waiting: maxReadsWaiting})
}

func (o operated) turn(ctx context.Context) (end func(), err error) {
	return o.turns.Acquire(ctx, operators.Of(ctx).Name)
}

// List implements queue.Inspector.
func (o operated) List(ctx context.Context, f queue.Filter) ([]queue.Record, error) {
	end, err := o.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	return o.store.List(ctx, f)
}

// Search implements queue.Inspector.
func (o operated) Search(ctx context.Context, f queue.Filter, within time.Duration) (queue.Found, error) {
	end, err := o.turn(ctx)
	if err != nil {
		return queue.Found{}, err
	}
	defer end()
	return o.store.Search(ctx, f, within)
}

// Count implements queue.Inspector.
func (o operated) Count(ctx context.Context, f queue.Filter) (int64, error) {
	end, err := o.turn(ctx)
	if err != nil {
		return 0, err
	}
	defer end()
	return o.store.Count(ctx, f)
}
