package console

import (
	"fmt"
	"reflect"
	"time"

	"graphrelay/internal/look"
)

// ago returns a time as people say it at now, such as "3 min ago" or "in 2 h".
func ago(t, now time.Time) string {
	switch d := now.Sub(t); {
	case t.IsZero():
		return "never"
	case d < 0 && d > -time.Second, d >= 0 && d < 5*time.Second:
		return "just now"
	case d < 0:
		return "in " + coarse(-d)
	default:
		return coarse(d) + " ago"
	}
}

// coarse returns a duration without what changes while one looks, once it is above a minute.
func coarse(d time.Duration) string {
	switch {
	case d < time.Minute:
		return look.Duration(d.Truncate(time.Second))
	case d < time.Hour:
		return look.Duration(d.Truncate(time.Minute))
	case d < 10*time.Hour:
		return look.Duration(d.Truncate(10 * time.Minute))
	case d < 24*time.Hour:
		return look.Duration(d.Truncate(time.Hour))
	}
	return fmt.Sprintf("%d d", d/(24*time.Hour))
}

// exact returns a time to the second, as the clock of the relay's machine shows it.
func exact(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Local().Format("Mon 2 Jan 2006 15:04:05 MST")
}

// plural returns a count with its noun, such as "1 message" or "2,300 messages". n is an int or an
// int64.
func plural(n any, one, many string) string {
	i := reflect.ValueOf(n).Int()
	if i == 1 {
		return "1 " + one
	}
	return look.Count(i) + " " + many
}
