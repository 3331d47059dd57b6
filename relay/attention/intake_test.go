package attention

import (
	"fmt"
	"testing"
	"time"

	"graphrelay/relay/queue"
)

// office is a relay with a scanner that sends every five minutes from 8 to 18 on working days, and
// keeps the records of sent mail for some time.
type office struct {
	*testQueue
	keep time.Duration
	fine func(time.Time) bool // whether the scanner reaches the relay
}

// pass lets a quarter of an hour pass.
func (o *office) pass() {
	for range 3 {
		o.clock.pass(5 * time.Minute)
		at := o.clock.at
		weekend := at.Weekday() == time.Saturday || at.Weekday() == time.Sunday
		if !weekend && at.Hour() >= 8 && at.Hour() < 18 && o.fine(at) {
			o.list = append(o.list, queue.Record{ID: fmt.Sprint(len(o.list)), Received: at, Entry: queue.Entry{Client: "192.0.2.1"}, Status: queue.Status{State: queue.Sent}})
		}
	}
	for len(o.list) > 0 && o.clock.at.Sub(o.list[0].Received) > o.keep {
		o.list = o.list[1:]
	}
}

// TestNoIntake follows an office for three weeks. Its relay is installed on a Thursday.
func TestNoIntake(t *testing.T) {
	date := func(day, hour int) time.Time { return time.Date(2026, 12, day, hour, 0, 0, 0, time.UTC) }
	stops := func(from, to time.Time) func(time.Time) bool {
		return func(at time.Time) bool { return at.Before(from) || !at.Before(to) }
	}
	const month = 30 * day
	for name, tt := range map[string]struct {
		keep           time.Duration
		fine           func(time.Time) bool
		opened, closed time.Time // zero: it never opens
		cause          string
	}{
		"nothing happens":                    {keep: month, fine: func(time.Time) bool { return true }},
		"nothing happens, with a short log":  {keep: 4 * day, fine: func(time.Time) bool { return true }},
		"nothing happens, without a log":     {keep: 0, fine: stops(date(4, 12), date(7, 12))},
		"it stops on the day after":          {keep: month, fine: stops(date(4, 12), date(4, 16)), opened: date(4, 14), closed: date(4, 16), cause: "a day ago"},
		"it stops before the weekend":        {keep: month, fine: stops(date(4, 12), date(8, 9)), opened: date(4, 14), closed: date(8, 9), cause: "a day ago"},
		"it stops on the weekend":            {keep: 4 * day, fine: stops(date(5, 12), date(9, 9)), opened: date(7, 8), closed: date(9, 9), cause: "on the Friday before"},
		"it stops in the third week":         {keep: month, fine: stops(date(16, 12), date(18, 12)), opened: date(16, 14), closed: date(18, 12), cause: "a week ago"},
		"it stops later, with a short log":   {keep: 4 * day, fine: stops(date(16, 12), date(18, 12)), opened: date(16, 14), closed: date(18, 12), cause: "a day ago"},
		"a holiday of the second week":       {keep: month, fine: stops(date(11, 0), date(12, 0)), opened: date(11, 8), closed: date(14, 8), cause: "a week ago"},
		"it stops in a night, and for weeks": {keep: month, fine: stops(date(8, 20), date(40, 0)), opened: date(9, 8), cause: "a day ago"},
	} {
		t.Run(name, func(t *testing.T) {
			c := &clock{date(3, 9)}
			o := &office{&testQueue{clock: c}, tt.keep, tt.fine}
			e := evaluator(c, State{Queue: o})
			var opened, closed time.Time
			times, was := 0, false
			for c.at.Before(date(24, 9)) {
				o.pass()
				e.Look(t.Context())
				is := len(e.Conditions()) > 0
				switch {
				case is && !was:
					opened, times = c.at, times+1
					if got, want := only(t, e, "NoIntake").Cause, "Nothing was accepted for 2 hours, in which mail came "+tt.cause+"."; got != want {
						t.Errorf("%s, want %s", got, want)
					}
				case was && !is:
					closed = c.at
				}
				was = is
			}
			const soon = 90 * time.Minute // until there are more than ten to compare with, for long enough
			if within := func(at, want time.Time) bool {
				return at.Equal(want) || !want.IsZero() && at.After(want) && at.Before(want.Add(soon))
			}; !within(opened, tt.opened) || !within(closed, tt.closed) || times > 1 {
				t.Errorf("opened %d times, %s to %s, want %s to %s", times, opened, closed, tt.opened, tt.closed)
			}
		})
	}
}

// TestNoIntakeOverRestart: an incident of before is over as soon as mail comes.
func TestNoIntakeOverRestart(t *testing.T) {
	c := newClock()
	q := &testQueue{clock: c}
	e := evaluator(c, State{Queue: q})
	e.Restore([]Condition{{ID: "NoIntake", Severity: Warning, Since: c.at.Add(-day)}})
	for range 5 {
		c.pass(time.Minute)
		e.Look(t.Context())
		only(t, e, "NoIntake")
	}
	q.list = []queue.Record{{ID: "A", Received: c.at, Entry: queue.Entry{Client: "192.0.2.1"}}}
	for range 6 {
		c.pass(time.Minute)
		e.Look(t.Context())
	}
	if got := ids(e); got != "" {
		t.Error(got)
	}
}
