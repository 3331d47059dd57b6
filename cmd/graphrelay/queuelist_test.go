package main

import (
	"slices"
	"testing"
	"time"

	"graphrelay/relay/queue"
)

func TestListFlags(t *testing.T) {
	unsent := slices.DeleteFunc(queue.States(), func(s queue.State) bool { return s == queue.Sent })
	for states, want := range map[string][]queue.State{
		"": unsent, "all": queue.States(), "sent": {queue.Sent}, "held, failed": {queue.Held, queue.Failed},
	} {
		f, err := (&listFlags{states: states}).filter()
		if err != nil || !slices.Equal(f.States, want) {
			t.Errorf("--state %q selects %v, %v; want %v", states, f.States, err, want)
		}
	}
	if _, err := (&listFlags{states: "queued,lost"}).filter(); err == nil {
		t.Error("an unknown state is no error")
	}
	f, err := (&listFlags{from: "crm", to: "anna", lane: "contoso", reason: "network", older: time.Hour, limit: 5}).filter()
	if err != nil || f.From != "crm" || f.To != "anna" || f.Lane != "contoso" || f.Reason != "network" || f.Limit != 5 {
		t.Errorf("the filter is %+v, %v", f, err)
	}
	if age := time.Since(f.Before); age < time.Hour || age > time.Hour+time.Minute {
		t.Errorf("--older 1h selects what is older than %v", age)
	}
}
