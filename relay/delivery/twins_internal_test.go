package delivery

import (
	"context"
	"slices"
	"testing"
	"time"

	"graphrelay/relay/queue"
)

// listed is a queue of which only List is asked.
type listed struct {
	Queue
	list []queue.Record
}

func (l listed) List(context.Context, queue.Filter) ([]queue.Record, error) {
	return slices.Clone(l.list), nil
}

// A deleted message may be the one that was sent, unless it is known not to have been.
func TestTwinsThatAreDeleted(t *testing.T) {
	record := func(id string, s queue.State, inDoubt bool, finished time.Time) queue.Record {
		return queue.Record{ID: id, Entry: queue.Entry{MessageID: "<1@x>"}, Status: queue.Status{State: s, Finished: finished, Progress: queue.Progress{InDoubt: inDoubt}}}
	}
	since := time.Now()
	a := Attempt{Message: record("self", queue.Delivering, false, time.Time{}), work: listed{list: []queue.Record{
		record("self", queue.Delivering, false, time.Time{}), record("waits", queue.Queued, false, time.Time{}), record("sent", queue.Sent, true, since),
		record("deleted unsent", queue.Deleted, false, since), record("deleted in doubt", queue.Deleted, true, since),
		record("deleted long ago", queue.Deleted, true, since.Add(-time.Hour)),
	}}}
	twins, err := a.Twins(t.Context(), since)
	var got []string
	for _, r := range twins {
		got = append(got, r.ID)
	}
	if err != nil || !slices.Equal(got, []string{"waits", "sent", "deleted in doubt"}) {
		t.Errorf("the twins are %q, %v", got, err)
	}
}
