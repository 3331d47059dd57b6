package console

import (
	"testing"
	"time"
)

func TestAgo(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "just now", 4 * time.Second: "just now", 42 * time.Second: "42 s ago", 90 * time.Second: "1 min ago",
		155 * time.Minute: "2 h 30 min ago", 12*time.Hour + 5*time.Minute: "12 h ago", 25 * time.Hour: "1 d ago", 400 * 24 * time.Hour: "400 d ago",
		-2 * time.Minute: "in 2 min", -500 * time.Millisecond: "just now",
	} {
		if got := ago(at.Add(-d), at); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	if got := ago(time.Time{}, at); got != "never" {
		t.Error(got)
	}
}

func TestPlural(t *testing.T) {
	for want, got := range map[string]string{
		"1 message": plural(1, "message", "messages"), "1,200 messages": plural(int64(1200), "message", "messages"), "0 tries": plural(0, "try", "tries"),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
