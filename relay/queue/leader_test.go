package queue

import (
	"testing"
	"time"
)

// standing is a source whose clocks the test sets.
type standing struct {
	wall    time.Time
	elapsed time.Duration
}

func (s *standing) Wall() time.Time        { return s.wall }
func (s *standing) Elapsed() time.Duration { return s.elapsed }

// TestFollower has answers of the other clock come late, and sets that clock forward and back.
func TestFollower(t *testing.T) {
	other := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC) // what the other clock shows
	s := &standing{wall: other.Add(-10 * time.Minute)}    // this machine's is wrong
	c := NewFollower(other, s)
	pass := func(d time.Duration) {
		other, s.elapsed, s.wall = other.Add(d), s.elapsed+d, s.wall.Add(d)
	}
	behind := func(least, most time.Duration) {
		t.Helper()
		if d := other.Sub(c.Now()); d < least || d > most {
			t.Fatalf("after %s the clock is %s behind, want %s to %s", s.elapsed, d, least, most)
		}
	}
	behind(0, 0)
	for range 100 {
		shown := other
		pass(40 * time.Millisecond) // until the answer comes
		c.Follow(shown)
		behind(0, 40*time.Millisecond)
	}
	pass(time.Second)
	c.Follow(other)
	behind(0, 0)
	if w := c.Wall(c.Now()); !w.Equal(c.Now()) || c.Jumped() != 0 {
		t.Errorf("the wall clock of this machine counts: %s at %s", w, c.Now())
	}

	other = other.Add(time.Hour) // it is set forward
	c.Follow(other)
	behind(0, 0)
	other = other.Add(-time.Hour) // and back
	for range 100 {
		pass(time.Second)
		c.Follow(other)
	}
	behind(0, 0)
}
