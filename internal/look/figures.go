package look

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Bytes returns a number of bytes for people, in decimal units, with two or three digits that
// count: "640 bytes", "1.3 kB", "12 MB", "150 MB".
func Bytes(n int64) string {
	if n == 1 {
		return "1 byte"
	}
	if n < 1000 {
		return strconv.FormatInt(n, 10) + " bytes"
	}
	value, units := float64(n), []string{"kB", "MB", "GB", "TB"}
	unit := -1
	for value >= 999.5 && unit < len(units)-1 {
		value /= 1000
		unit++
	}
	return rounded(value) + " " + units[unit]
}

// Duration returns a time that something took, for people: "<1 ms", "34 ms", "1.2 s",
// "3 min 20 s", "2 h 5 min", "3 d 4 h".
func Duration(d time.Duration) string {
	switch d = d.Abs(); {
	case d == 0:
		return "0 s"
	case d < time.Millisecond:
		return "<1 ms"
	case d < 999500*time.Microsecond:
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond)/time.Millisecond)
	case d < 59500*time.Millisecond:
		return rounded(d.Seconds()) + " s"
	case d.Round(time.Second) < time.Hour:
		return two(d.Round(time.Second), time.Minute, "min", time.Second, "s")
	case d.Round(time.Minute) < 24*time.Hour:
		return two(d.Round(time.Minute), time.Hour, "h", time.Minute, "min")
	}
	return two(d.Round(time.Hour), 24*time.Hour, "d", time.Hour, "h")
}

// two returns a duration in two units, or in the large one if nothing is left.
func two(d, large time.Duration, largeName string, small time.Duration, smallName string) string {
	whole, rest := d/large, d%large/small
	if rest == 0 {
		return fmt.Sprintf("%d %s", whole, largeName)
	}
	return fmt.Sprintf("%d %s %d %s", whole, largeName, rest, smallName)
}

// Count returns a whole number with its digits in groups of three: "12,345".
func Count(n int64) string {
	text := strconv.FormatInt(n, 10)
	start := 0
	if n < 0 {
		start = 1
	}
	for i := len(text) - 3; i > start; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// rounded returns a value below 1000 with one place after the point if it is below 10.
func rounded(value float64) string {
	if value < 9.95 {
		text := strconv.FormatFloat(value, 'f', 1, 64)
		if text[len(text)-2:] == ".0" {
			return text[:len(text)-2]
		}
		return text
	}
	return strconv.FormatFloat(math.Round(value), 'f', 0, 64)
}
