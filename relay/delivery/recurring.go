package delivery

import (
	"log/slog"
	"time"
)

// recurring logs a fault that comes again and again: at once, then at most each half minute, and
// when it is over. One goroutine uses it.
type recurring struct {
	fault, over string
	logged      time.Time // last; zero: there is no fault
}

const logAgain = 30 * time.Second

// note takes the result of an attempt, nil if there was no fault.
func (r *recurring) note(log *slog.Logger, err error) {
	switch {
	case err != nil && time.Since(r.logged) >= logAgain:
		r.logged = time.Now()
		log.Error(r.fault, "error", err)
	case err == nil && !r.logged.IsZero():
		r.logged = time.Time{}
		log.Info(r.over)
	}
}
