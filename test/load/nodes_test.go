package load

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"graphrelay/internal/testpostgres"
	"graphrelay/test/harness"
)

// TestCompareNodes prints how many messages a second one, two and three relays on PostgreSQL
// accept and deliver, as a part of what one relay with a queue of its own does in the same run.
// Database, relays, clients and simulator share the machine.
func TestCompareNodes(t *testing.T) {
	needCompare(t)
	var accepts, deliveries [4][]float64 // by number of nodes; 0: SQLite
	for range *rounds {
		db := testpostgres.New(t)
		for nodes := range 4 {
			t.Run(fmt.Sprintf("%d nodes", nodes), func(t *testing.T) {
				accepted, delivered := nodesRate(t, db, nodes)
				accepts[nodes] = append(accepts[nodes], accepted)
				deliveries[nodes] = append(deliveries[nodes], delivered)
			})
		}
		db.Stop(t, syscall.SIGINT)
	}
	for nodes := 1; nodes < 4; nodes++ {
		t.Logf("%d nodes: accepts %s, deliveries %s of one relay's with SQLite", nodes,
			ratios(accepts[nodes], accepts[0]), ratios(deliveries[nodes], deliveries[0]))
	}
	t.Logf("one relay with SQLite: %.0f accepts and %.0f deliveries a second", accepts[0], deliveries[0])
}

// nodesRate returns the messages a second that were accepted while nothing was delivered, and
// that were delivered then.
func nodesRate(t *testing.T, db *testpostgres.Server, nodes int) (accepts, deliveries float64) {
	sim := harness.ReleasedSim(t)
	edits := []harness.Edit{harness.DeliveryKey("concurrency: 200")}
	var relays []*harness.Relay
	database := ""
	if nodes > 0 {
		database = db.Database(t)
	}
	for n := range max(nodes, 1) {
		more := edits
		if nodes > 0 {
			more = append([]harness.Edit{harness.SharedQueue(database, fmt.Sprintf("relay%d", n), 15*time.Second)}, edits...)
		}
		r := harness.ReleasedRelay(t, sim, more...)
		r.Start(t)
		relays = append(relays, r)
	}
	relays[0].PauseAll(t)
	var next atomic.Int64
	o := &harness.Outbox{
		Dial: func() (*harness.Dialog, error) {
			return relays[int(next.Add(1))%len(relays)].Dial("devices")
		},
		Connections: 24, Messages: 3000, Make: harness.TenKilobytes("nodes"),
	}
	start := time.Now()
	o.Await(t, o.Start())
	accepts = float64(o.Messages) / time.Since(start).Seconds()
	if got := relays[0].QueueCommand(t, "resume", "contoso"); got.Status != 0 {
		t.Fatalf("queue resume: %s", got.Stderr)
	}
	start = time.Now()
	harness.WaitFor(t, "all messages", func() bool {
		sent := 0.0
		for _, r := range relays {
			sent += r.Metric(t, "graphrelay_messages_delivered_total")
		}
		return sent >= float64(o.Messages)
	})
	deliveries = float64(o.Messages) / time.Since(start).Seconds()
	o.Check(t, sim)
	return accepts, deliveries
}
