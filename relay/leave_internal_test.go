package relay

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/queue"
)

// A stop in a moment in which the database cannot be reached tries again, but not for longer than
// leaveTime, nor after another error.
func TestUntilReached(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		err   error
		times int // of the error
		took  time.Duration
		want  error
	}{
		"at once":     {nil, 0, 0, nil},
		"soon":        {fmt.Errorf("%w: timeout", queue.ErrAway), 3, 3 * reachEvery, nil},
		"unknown":     {queue.ErrUnknown, 1, reachEvery, nil},
		"away":        {queue.ErrAway, 1000, leaveTime, queue.ErrAway},
		"other fault": {broken, 1000, 0, broken},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), leaveTime)
				defer cancel()
				start, tries := time.Now(), 0
				err := untilReached(ctx, func() error {
					if tries++; tries <= c.times {
						return c.err
					}
					return nil
				})
				if took := time.Since(start); !errors.Is(err, c.want) || took != c.took {
					t.Errorf("%v after %s and %d tries", err, took, tries)
				}
			})
		})
	}
}
