package sqlite

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/queue"
)

// What a claim asks is answered from an index, in its order: its cost must not grow
// with the queue.
func TestClaimsReadIndexes(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Exclusive: true})
	for _, query := range []string{nextQueued, nextDeferred, readyLanes, nextDue} {
		text := planOf(t, s, query, 1, 1, 1)
		if text == "" || strings.Contains(text, "TEMP B-TREE") || strings.Contains(text, "SCAN m") {
			t.Errorf("%s\nis answered by\n%s", query, text)
		}
	}
}

// A message is found by its Message-ID from an index.
func TestLeftAsReadsAnIndex(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Exclusive: true})
	plan := planOf(t, s, "SELECT "+recordColumns+" FROM "+recordTables+leftAs, "<1@x>", "contoso", "", "a@contoso.test", 1)
	if !strings.Contains(plan, "SEARCH m USING INDEX message_sent (message_id=? AND lane=?)") {
		t.Error(plan)
	}
}

func planOf(t *testing.T, s opened, query string, args ...any) string {
	t.Helper()
	rows, err := s.storage.read.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, step)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(plan, "\n")
}

// Nothing is kept of senders whose mail is done with, and what is kept of one who has
// mail waiting stays.
func TestTurnsAreForgotten(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Exclusive: true})
	for n := range 400 + 10 {
		putFrom(t, s, fmt.Sprintf("%d@x.test", n))
	}
	tasks, _, err := s.Claim(t.Context(), queue.Claim{Node: "n", Max: 1000, PerLane: 1000})
	if err != nil || len(tasks) != 400+10 {
		t.Fatalf("claimed %d, %v", len(tasks), err)
	}
	putFrom(t, s, "waits@x.test")
	putFrom(t, s, "waits@x.test")
	if _, err := s.Expire(t.Context(), queue.Retention{Sent: time.Hour, SentMessages: 1 << 20, Failed: time.Hour}); err != nil {
		t.Fatal(err)
	}
	var rows, waiting int
	err = s.storage.read.QueryRowContext(t.Context(), "SELECT count(*), coalesce(sum(source LIKE '% waits@x.test'), 0) FROM flow").Scan(&rows, &waiting)
	if err != nil {
		t.Fatal(err)
	}
	if rows > 3 || waiting != 1 {
		t.Errorf("%d are remembered, %d of them with mail that waits", rows, waiting)
	}
}

func putFrom(t *testing.T, s opened, sender string) {
	t.Helper()
	w, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	e := testEntry
	e.Envelope.From = sender
	if err := w.Commit(t.Context(), e); err != nil {
		t.Fatal(err)
	}
}
