package postgres

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"graphrelay/internal/testpostgres"
)

// TestPlans checks how many pages of 8 KB the queries of a claim read with many messages
// waiting, while the planner takes the tables for empty. The number of lanes that are ready, and
// not that of messages, decides.
func TestPlans(t *testing.T) {
	messages, lanes := 200_000, 5000
	if testing.Short() {
		messages, lanes = 20_000, 1000
	}
	url := testpostgres.Database(t)
	open(t, Options{URL: url, Node: "n"}).lease(t, "n", time.Hour)
	fill(t, url, messages, lanes)
	execute(t, url, "UPDATE message SET state = 'deferred', due = 2 WHERE start_tag % 2 = 0")
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	var some []int64
	if err := c.QueryRow(t.Context(), "SELECT array_agg(id) FROM (SELECT id FROM lane ORDER BY id LIMIT 16) AS l").Scan(&some); err != nil {
		t.Fatal(err)
	}
	for _, q := range []struct {
		name, sql string
		limit     int
		args      []any
	}{
		{"next due", nextDue, 20, []any{"n"}},
		{"ready lanes", readyLanes, 3000, []any{int64(1000), "n", maxReady, []int64{}, maxFree, 0, 0}},
		{"messages in delivery", inDelivery, 400, []any{some}},
		{"first queued", queuedHeads, 600, []any{some, 1}},
		{"first deferred", deferredHeads, 600, []any{some, 1, int64(1000)}},
		{"due too late", advanceSQL(tooLate), 8, []any{int64(3), int64(1000)}},
		{"flow", selectFlow, 20, []any{"c", "", "7", "s", "c"}},
	} {
		if pages, plan := explain(t, c, q.sql, q.args); pages > q.limit {
			t.Errorf("%s: reads %d pages, want at most %d:\n%s", q.name, pages, q.limit, plan)
		} else {
			t.Logf("%s: %d pages", q.name, pages)
		}
	}
}

// explain runs a query and returns how many pages it has read.
func explain(t *testing.T, c *pgx.Conn, sql string, args []any) (pages int, text string) {
	t.Helper()
	err := c.QueryRow(t.Context(), "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "+sql, args...).Scan(&text)
	if err != nil {
		t.Fatal(err)
	}
	var plans []struct {
		Plan struct {
			Hit  int `json:"Shared Hit Blocks"`
			Read int `json:"Shared Read Blocks"`
		}
	}
	if err := json.Unmarshal([]byte(text), &plans); err != nil {
		t.Fatal(err)
	}
	return plans[0].Plan.Hit + plans[0].Plan.Read, text
}
