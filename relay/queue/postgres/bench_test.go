package postgres

import (
	"bytes"
	"fmt"
	"strconv"
	"testing"
	"time"

	"graphrelay/internal/testpostgres"
	"graphrelay/relay/queue"
	"graphrelay/relay/queue/sqlite"
	"graphrelay/relay/reason"
)

// cost reports what the database has to do for each message or claim.
func cost(b *testing.B, url string, q opened, run func()) {
	wal := func() int {
		return number(b, url, "SELECT (pg_current_wal_insert_lsn() - '0/0')::BIGINT")
	}
	before, rounds := wal(), q.storage.rounds.Load()
	b.ResetTimer()
	run()
	b.StopTimer()
	b.ReportMetric(float64(wal()-before)/float64(b.N), "WAL-B/op")
	b.ReportMetric(float64(q.storage.rounds.Load()-rounds)/float64(b.N), "trips/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
}

// BenchmarkAccept compares both engines, on the same disk and in the same minute.
func BenchmarkAccept(b *testing.B) {
	server := testpostgres.New(b)
	for _, sessions := range []int{1, 64} {
		b.Run(fmt.Sprintf("sqlite/%d", sessions), func(b *testing.B) {
			q, err := sqlite.Open(b.Context(), sqlite.Options{Dir: b.TempDir(), Exclusive: true})
			if err != nil {
				b.Fatal(err)
			}
			defer q.Close()
			accept(b, q, sessions)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
		})
		b.Run(fmt.Sprintf("postgres/%d", sessions), func(b *testing.B) {
			url := server.Database(b)
			q := open(b, Options{URL: url, Node: "n"})
			cost(b, url, q, func() { accept(b, q.Queue, sessions) })
		})
		b.Run(fmt.Sprintf("postgres_prepared/%d", sessions), func(b *testing.B) {
			url := server.Database(b) + "&default_query_exec_mode=cache_statement"
			q := open(b, Options{URL: url, Node: "n"})
			cost(b, url, q, func() { accept(b, q.Queue, sessions) })
		})
	}
}

func accept(b *testing.B, q *queue.Queue, sessions int) {
	content := bytes.Repeat([]byte("x"), 10<<10)
	b.SetParallelism(max(1, sessions/2))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			w, err := q.Create(b.Context())
			if err == nil {
				_, err = w.Write(content)
			}
			if err == nil {
				err = w.Commit(b.Context(), testEntry)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkClaim measures a claim and its end with so many messages waiting in so many lanes.
func BenchmarkClaim(b *testing.B) {
	server := testpostgres.New(b)
	for _, waiting := range []int{100, 200_000} {
		for _, lanes := range []int{10, 5000} {
			if lanes > waiting {
				continue
			}
			b.Run(strconv.Itoa(waiting)+"/"+strconv.Itoa(lanes), func(b *testing.B) {
				url := server.Database(b)
				q := open(b, Options{URL: url, Node: "n"})
				fill(b, url, waiting, lanes)
				q.renew(b)
				cost(b, url, q, func() {
					for range b.N {
						tasks, _, err := q.Claim(b.Context(), queue.Claim{Node: "n", Max: 1, PerLane: 4})
						if err != nil || len(tasks) != 1 {
							b.Fatalf("claimed %d, %v", len(tasks), err)
						}
						if err := q.Finish(b.Context(), tasks[0].Ref, queue.Outcome{State: queue.Queued}); err != nil {
							b.Fatal(err)
						}
					}
				})
			})
		}
	}
}

// fill queues messages. The statistics of the tables stay those of empty ones, which must not
// mislead the planner.
func fill(b testing.TB, url string, messages, lanes int) {
	execute(b, url,
		"ALTER TABLE message SET (autovacuum_enabled = false)", "ALTER TABLE lane SET (autovacuum_enabled = false)", "ANALYZE message", "ANALYZE lane",
		fmt.Sprintf("INSERT INTO lane (connection, principal, mailbox, due) SELECT 'c', '', n::TEXT, 1 FROM generate_series(1, %d) n", lanes),
		fmt.Sprintf(`INSERT INTO message (id, received, arrived, size, sum, body, lane, mail_from, recipients, utf8, dsn, header_from, sender, reply_to,
				fallback, signature, subject, message_id, listener, "user", client, trace, state, due, start_tag)
			SELECT lpad(n::TEXT, 16, '0'), n, n, 0, 0, true, (SELECT min(id) FROM lane) + n %% %d, 'a@x.test', '["b@x.test"]', false, '', '', '', '',
				'', '', '', '', '', '', '', 0, 'queued', 1, n FROM generate_series(1, %d) n`, lanes, messages))
}

// BenchmarkSearch measures one page of a log of 100,000 messages.
func BenchmarkSearch(b *testing.B) {
	server := testpostgres.New(b)
	url := server.Database(b)
	q := open(b, Options{URL: url, Node: "n"})
	fill(b, url, 100_000, 50)
	execute(b, url, `UPDATE message SET state = CASE WHEN start_tag % 1000 = 0 THEN 'failed' ELSE 'sent' END,
		subject = 'invoice ' || start_tag, message_id = '<' || start_tag || '@x>'`, "VACUUM ANALYZE message")
	for name, f := range map[string]queue.Filter{
		"all":           {},
		"failed":        {States: []queue.State{queue.Failed}},
		"sent":          {States: []queue.State{queue.Sent}},
		"sender":        {From: "A@X"},
		"no sender":     {From: "nobody@"},
		"no recipient":  {To: "nobody@"},
		"no user":       {User: "nobody"},
		"subject":       {Subject: "invoice 7"},
		"no subject":    {Subject: "nothing"},
		"no text":       {Text: "nothing"},
		"no ä":          {Text: "ä"},
		"Message-ID":    {MessageID: "<7@x>"},
		"no Message-ID": {MessageID: "<nothing>"},
		"no lane":       {Lane: "c/nobody"},
		"no reason":     {Reasons: []reason.Reason{reason.TooLarge}},
	} {
		b.Run(name, func(b *testing.B) {
			f.Newest, f.Limit = true, 51
			looked := 0
			for b.Loop() {
				found, err := q.Search(b.Context(), f, 60*time.Millisecond)
				if err != nil {
					b.Fatal(err)
				}
				if found.Looked != "" {
					looked++
				}
			}
			b.ReportMetric(float64(looked)/float64(b.N), "unfinished/op")
		})
	}
}
