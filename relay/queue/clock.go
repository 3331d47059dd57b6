package queue

import (
	"sync"
	"time"
)

// Clock tells the queue's time, by which everything is decided that takes time: when a
// message is due, when a pause ends, how old a message is. It is the wall clock's time at the
// first start and then advances as time passes, whatever the wall clock is set to: a wall
// clock that is wrong for a moment would otherwise pause a mailbox for a year, end a watch
// too early, or bounce new mail as too old. Receipts and histories, which are for people,
// are kept in wall time.
//
// A time of the queue is a plain time.Time without a monotonic reading. It must not be
// compared with time.Now.
type Clock struct {
	source Source
	base   time.Time // the queue's time when source.Elapsed was from
	from   time.Duration
	mu     sync.Mutex
	ahead  time.Duration // by which the wall clock was ahead of the queue's time at its last jump

	leader *leader // that the clock follows; nil: it goes by itself
}

// Source is what a Clock is read from.
type Source interface {
	// Wall returns what the wall clock shows. It may jump.
	Wall() time.Time
	// Elapsed returns how long the process has run. It never jumps.
	Elapsed() time.Duration
}

// Reading is what a Clock and the wall clock showed at one moment.
type Reading struct{ Queue, Wall time.Time }

// MaxStopped bounds what a start believes of the time for which the relay was stopped: the
// wall clock may have been set meanwhile.
const MaxStopped = 24 * time.Hour

// NewClock returns a clock that continues from the last reading of an earlier process, or
// begins with the wall clock if that is zero. A nil source stands for the system's clocks.
func NewClock(last Reading, source Source) *Clock {
	if source == nil {
		source = systemSource{started: time.Now()}
	}
	c := &Clock{source: source, base: plain(source.Wall()), from: source.Elapsed()}
	if !last.Queue.IsZero() {
		stopped := min(max(c.base.Sub(last.Wall), 0), MaxStopped)
		c.base = plain(last.Queue).Add(stopped)
	}
	c.Jumped()
	return c
}

// Now returns the queue's time.
func (c *Clock) Now() time.Time {
	if c.leader != nil {
		return c.leader.now(c.source.Elapsed())
	}
	return c.base.Add(c.source.Elapsed() - c.from)
}

// Wall returns what the wall clock shows at a time of the queue, as it is set now. Forever
// and the zero Time stay as they are.
func (c *Clock) Wall(t time.Time) time.Time { return shift(t, c.aheadNow()) }

// At returns the time of the queue at which the wall clock shows t, as it is set now.
func (c *Clock) At(t time.Time) time.Time { return shift(plain(t), -c.aheadNow()) }

func shift(t time.Time, by time.Duration) time.Time {
	if t.IsZero() || !t.Before(Forever) {
		return t
	}
	return t.Add(by)
}

// aheadNow returns by how much the wall clock is ahead of the queue's time. What is less
// than a jump does not count, so that times usually are the same in both.
func (c *Clock) aheadNow() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ahead := c.measure(); (ahead - c.ahead).Abs() >= jump {
		return ahead
	}
	return c.ahead
}

func (c *Clock) measure() time.Duration {
	if c.leader != nil {
		return 0 // this machine's wall clock does not count
	}
	return plain(c.source.Wall()).Sub(c.Now()).Round(time.Millisecond)
}

// Read returns a reading for the next process.
func (c *Clock) Read() Reading { return Reading{Queue: c.Now(), Wall: plain(c.source.Wall())} }

// NewFollower returns a clock that goes by another one, that of a database, which all nodes
// share: this machine's wall clock counts for nothing, and Wall returns what the other one
// shows. Shown is what that showed at a moment that has passed. A nil source stands for the
// system's clocks.
func NewFollower(shown time.Time, source Source) *Clock {
	c := NewClock(Reading{}, source)
	c.leader = &leader{}
	c.Follow(shown)
	return c
}

// Follow tells a follower what the other clock showed at a moment that has passed. It thus is
// never ahead of the other one, and behind by no more than it took to ask the fastest time of
// late: what a node does until its lease ends, others do not before.
func (c *Clock) Follow(shown time.Time) { c.leader.follow(shown, c.source.Elapsed()) }

// jump is the least change of the wall clock that counts as one.
const jump = time.Second

// Jumped returns by how much the wall clock has been set ahead since the last call, or back
// if it is negative; 0 if it went on as usual.
func (c *Clock) Jumped() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	ahead := c.measure()
	by := ahead - c.ahead
	if by.Abs() < jump {
		return 0
	}
	c.ahead = ahead
	return by
}

// plain strips the monotonic reading, and what the storage cannot keep.
func plain(t time.Time) time.Time { return t.Round(0).Truncate(time.Microsecond) }

// systemSource reads the system's clocks. While the machine sleeps, its monotonic clock
// may stand still: to the queue that is a jump of the wall clock.
type systemSource struct{ started time.Time }

func (systemSource) Wall() time.Time { return time.Now() }

func (s systemSource) Elapsed() time.Duration { return time.Since(s.started) }
