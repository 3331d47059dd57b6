package attention

import (
	"context"
	"fmt"
	"time"

	"graphrelay/relay/queue"
)

// intakeSample is how many messages of a time are looked at: enough to tell clients' mail from
// the relay's own.
const intakeSample = 200

// noIntake compares the last hours with the same hours of a day like this one. Once it is open it
// stays so until mail comes: that none is expected at night or on a weekend does not mean that
// clients reach the relay again.
func (s *State) noIntake(ctx context.Context, k Kind, now time.Time) ([]Observation, error) {
	if s.Queue == nil {
		return nil, nil
	}
	recent, err := s.received(ctx, now.Add(-k.Within), time.Time{})
	if err != nil || recent > 0 {
		return nil, err
	}
	ago, when, err := s.dayLike(ctx, now)
	if err != nil {
		return nil, err
	}
	before, err := s.received(ctx, now.Add(-k.Within-ago), now.Add(-ago))
	switch {
	case err != nil:
		return nil, err
	case float64(before) <= k.Limit:
		return nil, errUnclear
	}
	return []Observation{{Value: float64(before), Cause: fmt.Sprintf("Nothing was accepted for %s, in which mail came %s.", Span(k.Within), when)}}, nil
}

// dayLike returns how long ago a day was that today is compared with: a week, as far as the records
// go back so far; else the working day before, which Monday to Friday have.
func (s *State) dayLike(ctx context.Context, now time.Time) (ago time.Duration, when string, err error) {
	const week = 7 * day
	// Only the records of sent mail tell how far the records go back: other messages stay.
	list, err := s.Queue.List(ctx, queue.Filter{States: []queue.State{queue.Sent}, Before: now.Add(-week), Limit: 1})
	if err != nil {
		return 0, "", err
	}
	if len(list) > 0 {
		return week, "a week ago", nil
	}
	switch now.Weekday() {
	case time.Saturday, time.Sunday:
		return 0, "", errUnclear
	case time.Monday:
		return 3 * day, "on the Friday before", nil
	}
	return day, "a day ago", nil
}

// received counts messages of clients, as far as intakeSample reaches.
func (s *State) received(ctx context.Context, since, before time.Time) (n int, err error) {
	list, err := s.Queue.List(ctx, queue.Filter{Since: since, Before: before, Limit: intakeSample})
	for _, m := range list {
		if m.Client != "" {
			n++
		}
	}
	return n, err
}
