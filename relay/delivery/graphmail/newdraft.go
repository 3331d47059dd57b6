package graphmail

import (
	"context"
	"time"

	"graphrelay/graph"
)

const (
	appearStep   = 250 * time.Millisecond
	appearWithin = 8 * time.Second
)

// newDraft is the draft that this attempt has made. It may not be found for a moment
// (reported). If it were given up at once, it would be left behind and another made.
type newDraft struct {
	made time.Time // zero: this attempt made none
}

// mayAppear reports, after a wait, whether to repeat a request that failed with err because
// the draft may only be late to appear.
func (d newDraft) mayAppear(ctx context.Context, err error) bool {
	age := time.Since(d.made)
	if !graph.NotFound(err) || age > appearWithin {
		return false
	}
	select {
	case <-ctx.Done():
	case <-time.After(min(max(age, appearStep), 2*time.Second)):
	}
	return ctx.Err() == nil
}
