package queue

import (
	"testing"
	"time"
)

// testSource is read by a Clock. Wall clock and elapsed time go as the test says.
type testSource struct {
	wall    time.Time
	elapsed time.Duration
}

func (s *testSource) Wall() time.Time        { return s.wall }
func (s *testSource) Elapsed() time.Duration { return s.elapsed }

// pass lets time pass, as both clocks show it.
func (s *testSource) pass(d time.Duration) { s.wall, s.elapsed = s.wall.Add(d), s.elapsed+d }

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// The queue's time goes on with the time that passes, whatever the wall clock is set to.
func TestClockIgnoresJumps(t *testing.T) {
	const year, day = 365 * 24 * time.Hour, 24 * time.Hour
	for name, jumps := range map[string][]time.Duration{
		"a year ahead and back": {year, -year},
		"three days ahead":      {3 * day},
		"a day back":            {-day},
		"an hour ahead":         {time.Hour},
		"ever again":            {time.Minute, -time.Hour, year, -day, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			s := &testSource{wall: noon, elapsed: time.Hour}
			c := NewClock(Reading{}, s)
			received, passed := c.Now(), time.Duration(0)
			for _, jump := range jumps {
				s.wall = s.wall.Add(jump)
				if c.Wall(c.Now()) != s.wall || !c.At(s.wall).Equal(c.Now()) {
					t.Errorf("the wall clock shows %s, and by the queue's clock %s", s.wall, c.Wall(c.Now()))
				}
				if got := c.Jumped(); got != jump {
					t.Errorf("noticed a jump by %s, want %s", got, jump)
				}
				s.pass(time.Second)
				passed += time.Second
				if got := c.Jumped(); got != 0 {
					t.Errorf("noticed a jump by %s where there was none", got)
				}
				if age := c.Now().Sub(received); age != passed {
					t.Errorf("after %s the message is %s old", passed, age)
				}
			}
		})
	}
}

// A wall clock that is slewed changes no age, and is not reported at each step.
func TestClockSlewed(t *testing.T) {
	s := &testSource{wall: noon}
	c := NewClock(Reading{}, s)
	var reported time.Duration
	for range 24 * 60 {
		s.pass(time.Minute)
		s.wall = s.wall.Add(30 * time.Millisecond) // 500 ppm
		reported += c.Jumped()
	}
	if got := c.Now().Sub(noon); got != 24*time.Hour {
		t.Errorf("in a day, %s passed", got)
	}
	if off := 24*60*30*time.Millisecond - reported; off.Abs() > jump {
		t.Errorf("%s of the slew was not noticed", off)
	}
}

// A restart goes on from the last reading. Of the wall clock it believes that the relay was
// stopped for up to a day.
func TestClockRestarts(t *testing.T) {
	last := Reading{Queue: noon, Wall: noon.Add(-26 * 365 * 24 * time.Hour)} // the wall clock was wrong
	for stopped, want := range map[time.Duration]time.Duration{
		0: 0, time.Minute: time.Minute, 23 * time.Hour: 23 * time.Hour,
		72 * time.Hour: MaxStopped, 365 * 24 * time.Hour: MaxStopped, -24 * time.Hour: 0,
	} {
		s := &testSource{wall: last.Wall.Add(stopped), elapsed: time.Hour}
		c := NewClock(last, s)
		if got := c.Now().Sub(last.Queue); got != want {
			t.Errorf("after a stop of %s, %s passed, want %s", stopped, got, want)
		}
		if got := c.Wall(c.Now()); !got.Equal(s.wall) {
			t.Errorf("the wall clock shows %s, and by the queue's clock %s", s.wall, got)
		}
	}
}

func TestClockKeepsWhatIsNoTime(t *testing.T) {
	s := &testSource{wall: noon}
	c := NewClock(Reading{}, s)
	s.wall = s.wall.Add(time.Hour)
	for _, at := range []time.Time{{}, Forever} {
		if got := c.Wall(at); !got.Equal(at) {
			t.Errorf("%s became %s", at, got)
		}
	}
}
