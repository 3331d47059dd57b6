package winservice

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
)

// events returns events that go to a list.
func events(now *time.Time) (*Events, *[]string) {
	list := &[]string{}
	return &Events{now: func() time.Time { return *now }, report: func(level slog.Level, text string) error {
		*list = append(*list, level.String()+" "+text)
		return nil
	}}, list
}

func TestEvents(t *testing.T) {
	now := time.Unix(0, 0)
	e, list := events(&now)
	log := slog.New(e.Handler()).With("connection", "contoso")
	log.Info("sent")
	log.Warn("slow", "after", "3s")
	log.WithGroup("g").Error("refused", "error", "a\nb")
	fmt.Fprintln(e.Lines(), "relay.yaml:3: hostname is empty")
	for _, line := range []string{"{\"level\":\"ERROR\"}\n", "graphrelay: cannot write the log file\n"} {
		_, _ = io.WriteString(e.Fallback(), line)
	}
	want := []string{
		`WARN msg=slow connection=contoso after=3s`,
		`ERROR msg=refused connection=contoso g.error="a\nb"`,
		`ERROR relay.yaml:3: hostname is empty`,
		`ERROR graphrelay: cannot write the log file`,
	}
	if !slices.Equal(*list, want) {
		t.Errorf("%q, want %q", *list, want)
	}
}

func TestEventsAreBounded(t *testing.T) {
	now := time.Unix(0, 0)
	e, list := events(&now)
	log := slog.New(e.Handler())
	for range 10 * eventsAMinute {
		log.Error(strings.Repeat("é", maxEvent))
	}
	if len(*list) != eventsAMinute || !strings.Contains((*list)[eventsAMinute-1], "log.file") {
		t.Errorf("%d events, the last of them %.100s", len(*list), (*list)[len(*list)-1])
	}
	if n := len((*list)[0]); n > maxEvent+20 {
		t.Errorf("an event has %d bytes", n)
	}
	now = now.Add(time.Minute)
	log.Error("later")
	if last := (*list)[len(*list)-1]; last != "ERROR msg=later" {
		t.Errorf("a minute later: %q", last)
	}
}
