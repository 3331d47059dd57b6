package harness

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestTapClock starts programs with clocks of their own.
func TestTapClock(t *testing.T) {
	date := NeedTool(t, "date")
	for _, ahead := range []time.Duration{0, 400 * 24 * time.Hour, -3 * time.Hour} {
		p := &Tap{Dir: t.TempDir(), Clock: true}
		p.SetClock(ahead)
		cmd := exec.Command(date, "+%s")
		var out strings.Builder
		cmd.Stdout = &out
		if err := p.Start(cmd); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		seconds, err := strconv.ParseInt(strings.TrimSpace(out.String()), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if got := time.Until(time.Unix(seconds, 0)); (got - ahead).Abs() > time.Minute {
			t.Errorf("a clock %s ahead is %s ahead", ahead, got)
		}
	}
}
