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

// A list of few messages finds them by their state. One of many is read in its order, and so
// is each further part of a long one: none sorts all of the others.
func TestListPlan(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Exclusive: true})
	states := []queue.State{queue.Held, queue.Failed}
	for _, c := range []struct {
		f      queue.Filter
		few    bool
		sorted bool
		want   string
	}{
		{queue.Filter{States: states}, true, true, "INDEX message_state (state=?)"},
		{queue.Filter{States: states}, false, false, "SCAN m"},
		{queue.Filter{States: states, After: "0"}, true, false, "SEARCH m USING PRIMARY KEY (id>?)"},
		{queue.Filter{}, false, false, "SCAN m"},
	} {
		query, args := listQuery(c.f, c.few)
		got := plan(t, s, "SELECT "+recordColumns+" FROM "+recordTables+query, args...)
		if !strings.Contains(got, c.want) || strings.Contains(got, "FOR ORDER BY") != c.sorted {
			t.Errorf("%+v, few %v: %s", c.f, c.few, got)
		}
	}
}

// Few are found by counting.
func TestFewMessages(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Exclusive: true})
	idleLanes(t, s, fewMessages+2) // half of the messages are sent
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
