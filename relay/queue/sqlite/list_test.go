package sqlite

import (
	"strings"
	"testing"

	"graphrelay/relay/queue"
)

// plan returns how SQLite carries out a query.
func plan(t *testing.T, s opened, query string, args ...any) string {
	t.Helper()
	rows, err := s.storage.read.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var steps []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	return strings.Join(steps, "; ")
}

// A list of few messages finds them by an index and sorts them. One of many is read in its order.
func TestListPlan(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Exclusive: true})
	states := []queue.State{queue.Held, queue.Failed}
	for _, c := range []struct {
		f      queue.Filter
		by     queue.Way
		sorted bool
		want   string
	}{
		{queue.Filter{States: states}, queue.ByState, true, "INDEX message_state (state=?)"},
		{queue.Filter{States: states, Newest: true, After: "z"}, queue.ByState, true, "INDEX message_state (state=?)"},
		{queue.Filter{States: states}, queue.ByID, false, "SCAN m"},
		{queue.Filter{States: states, After: "0"}, queue.ByID, false, "SEARCH m USING PRIMARY KEY (id>?)"},
		{queue.Filter{States: states, After: "0", Newest: true}, queue.ByID, false, "SEARCH m USING PRIMARY KEY (id<?)"},
		{queue.Filter{Text: "x", ID: "0", Newest: true}, queue.ByID, false, "SEARCH m USING PRIMARY KEY (id>? AND id<?)"},
		{queue.Filter{}, queue.ByID, false, "SCAN m"},
		{queue.Filter{MessageID: "<1@x>", Newest: true}, queue.ByMessageID, false, "INDEX message_sent (message_id=?)"},
		{queue.Filter{MessageID: "<1@x>", States: states}, queue.ByID, false, "SCAN m"},
	} {
		c.f.Limit = 10
		for _, marks := range []bool{false, true} {
			query, args := searchQuery(c.f, c.by, marks)
			got := plan(t, s, query, args...)
			if !strings.Contains(got, c.want) || strings.Contains(got, "FOR ORDER BY") != c.sorted {
				t.Errorf("%+v, by %v, with marks %v: %s", c.f, c.by, marks, got)
			}
		}
	}
}

// Few are found by counting.
func TestFewMessages(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Exclusive: true})
	idleLanes(t, s, queue.FewMessages+2) // half of the messages are sent
	few := func(states ...queue.State) bool {
		t.Helper()
		few, err := s.storage.few(t.Context(), states)
		if err != nil {
			t.Fatal(err)
		}
		return few
	}
	if !few(queue.Sent) || !few(queue.Failed) || few(queue.States()...) || few() {
		t.Errorf("few are sent: %v, failed: %v, in any state: %v, %v", few(queue.Sent), few(queue.Failed), few(queue.States()...), few())
	}
}
