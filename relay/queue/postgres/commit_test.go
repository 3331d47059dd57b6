package postgres

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"graphrelay/internal/testpostgres"
	"graphrelay/relay/queue"
)

func audit(n int) queue.Audit {
	return queue.Audit{ID: fmt.Sprintf("%016d", n), By: "test"}
}

// batch runs operations in as few transactions as one writer needs, and returns their errors.
func (o opened) batch(runs ...func(queue.Tx) error) (errs []error) {
	var ops []*op
	for _, run := range runs {
		ops = append(ops, &op{run: run})
	}
	o.storage.newWriter(9).commitAll(ops)
	for _, op := range ops {
		errs = append(errs, op.err)
	}
	return errs
}

// TestBatch has operations share a commit of which some fail, each in its way: the others
// are committed all the same.
func TestBatch(t *testing.T) {
	q := open(t, Options{URL: testpostgres.Database(t), Node: "n"})
	id := q.mustPut(t, "x")
	own := errors.New("changed its mind")
	ok := func(n int) func(queue.Tx) error {
		return func(tx queue.Tx) error { return tx.SetAudit(audit(n)) }
	}
	errs := q.batch(
		ok(0),
		func(tx queue.Tx) error { _, err := tx.Status("0000000000000000"); return err },
		func(tx queue.Tx) error { return tx.SaveProgress(queue.Ref{ID: id, Fence: 7}, queue.Progress{}) },
		ok(1),
		func(tx queue.Tx) error {
			if err := tx.SetAudit(audit(100)); err != nil {
				return err
			}
			return own
		},
		func(tx queue.Tx) error { // a duplicate
			r, err := tx.Record(id)
			if err == nil {
				var f queue.Flow
				f, err = tx.Flow(r.Lane, "s", "c")
				if err == nil {
					err = tx.Insert(r, f.Lane, q.storage.ContentOf(id, nil))
				}
			}
			return err
		},
		func(tx queue.Tx) error { return tx.EndPause(testEntry.Lane) }, // runs alone
		ok(2),
	)
	for i, want := range []string{"", queue.ErrNotFound.Error(), queue.ErrFenced.Error(), "", own.Error(), "23505", "", ""} {
		if got := fmt.Sprint(errs[i]); want == "" && errs[i] != nil || !strings.Contains(got, want) {
			t.Errorf("operation %d: %s, want %q", i, got, want)
		}
	}
	list, err := q.Audits(t.Context(), 100)
	if err != nil || len(list) != 3 {
		t.Errorf("%d audits, want 3: %v, %v", len(list), list, err)
	}
}

// TestFencedAtCommit has an operation fail in the round trip of the commit: nothing of that
// commit may remain, or the others would be done twice.
func TestFencedAtCommit(t *testing.T) {
	q := open(t, Options{URL: testpostgres.Database(t), Node: "n"})
	id := q.mustPut(t, "x")
	errs := q.batch(
		func(tx queue.Tx) error { return tx.AddEvents(id, queue.Event{What: "once"}) },
		func(tx queue.Tx) error { return tx.SaveProgress(queue.Ref{ID: id, Fence: 7}, queue.Progress{}) },
	)
	if errs[0] != nil || !errors.Is(errs[1], queue.ErrFenced) {
		t.Errorf("got %v", errs)
	}
	if _, events, err := q.Get(t.Context(), id); err != nil || len(events) != 1 {
		t.Errorf("the events are %v, %v", events, err)
	}
}

// TestShared counts the commits of many operations that come together.
func TestShared(t *testing.T) {
	q := open(t, Options{URL: testpostgres.Database(t), Node: "n"})
	var runs []func(queue.Tx) error
	for n := range 50 {
		runs = append(runs, func(tx queue.Tx) error { return tx.SetAudit(audit(n)) })
	}
	w := q.storage.newWriter(9)
	var ops []*op
	for _, run := range runs {
		ops = append(ops, &op{run: run})
	}
	w.commitAll(ops)
	if w.seq != 1 {
		t.Errorf("50 operations took %d transactions, want 1", w.seq)
	}
}

// TestDeadlock has two transactions wait for each other's message.
func TestDeadlock(t *testing.T) {
	q := open(t, Options{URL: testpostgres.Database(t), Node: "n"})
	ids := []string{q.mustPut(t, "x"), q.mustPut(t, "x")}
	var wg sync.WaitGroup
	var begun sync.WaitGroup
	begun.Add(2)
	var runs atomic.Int32
	for i := range 2 {
		var once sync.Once
		wg.Go(func() {
			err := q.storage.Update(t.Context(), func(tx queue.Tx) error {
				runs.Add(1)
				if _, err := tx.Status(ids[i]); err != nil {
					return err
				}
				once.Do(func() { begun.Done(); begun.Wait() })
				s, err := tx.Status(ids[1-i])
				if err != nil {
					return err
				}
				s.Attempts++
				return tx.SetStatus(ids[1-i], s)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if runs.Load() < 3 {
		t.Error("the transactions were not in each other's way")
	}
	for _, id := range ids {
		if r, _, err := q.Get(t.Context(), id); err != nil || r.Attempts != 1 {
			t.Errorf("%s: %+v, %v", id, r.Attempts, err)
		}
	}
}

// TestSerialization has the server refuse a transaction twice for what others did, as
// distributed databases do.
func TestSerialization(t *testing.T) {
	url := testpostgres.Database(t)
	q := open(t, Options{URL: url, Node: "n"})
	execute(t, url, "CREATE SEQUENCE tries", `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF nextval('tries') <= 2 THEN RAISE EXCEPTION 'others did' USING ERRCODE = '40001'; END IF; RETURN new; END $$`,
		"CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON message DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()")
	id := q.mustPut(t, "x")
	if got := q.claimed(t, "n"); len(got) != 1 || got[0] != id {
		t.Errorf("claimed %v", got)
	}
}

// TestLastAndNext has a claim take the last message that it sees of a lane while the next one
// is being confirmed: that one must not wait for ever.
func TestLastAndNext(t *testing.T) {
	url := testpostgres.Database(t)
	q := open(t, Options{URL: url, Node: "n"})
	first, next := q.mustPut(t, "x"), q.mustPut(t, "x")
	if err := q.storage.confirm(); err != nil {
		t.Fatal(err)
	}
	execute(t, url, "INSERT INTO arriving (id, node, lane) SELECT id, 'n', lane FROM message WHERE id = '"+next+"'")
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	var lane queue.LaneID
	if err := c.QueryRow(t.Context(), "SELECT id FROM lane").Scan(&lane); err != nil {
		t.Fatal(err)
	}
	tx := newTransaction(t.Context(), q.storage, c, false)
	tx.confirmArrivals([]arrival{{next, lane}})
	if err := tx.flush(); err != nil {
		t.Fatal(err)
	}
	if got := q.claimed(t, "n"); len(got) != 1 || got[0] != first {
		t.Errorf("claimed %v, want %s", got, first)
	}
	execute := func(sql string) {
		if _, err := c.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	execute("COMMIT")
	if got := q.claimed(t, "n"); len(got) != 1 || got[0] != next {
		t.Errorf("then claimed %v, want %s", got, next)
	}
	if due, err := q.storage.NextDue(t.Context(), "n"); err != nil || !due.IsZero() {
		t.Errorf("the empty lane is due at %s, %v", due, err)
	}
}

// TestBusyLanes has more lanes ready than a claim takes, with as many messages in delivery as
// they may: those behind them must be reached all the same.
func TestBusyLanes(t *testing.T) {
	url := testpostgres.Database(t)
	q := open(t, Options{URL: url, Node: "n"})
	const lanes = maxReady + 50
	fill(t, url, 2*lanes, lanes)
	q.renew(t)
	got := 0
	until(t, "a message of each lane", func() bool {
		tasks, _, err := q.Claim(t.Context(), queue.Claim{Node: "n", Max: lanes, PerLane: 1})
		if err != nil {
			t.Fatal(err)
		}
		if got += len(tasks); got < lanes { // the lanes that are served come first again
			execute(t, url, "UPDATE lane SET served = CASE owner WHEN '' THEN 2 ELSE 1 END")
		}
		return got >= lanes
	})
}

// TestUnservedLanes has more lanes of nobody than a claim looks at, which the node cannot serve: those
// of another one that went away. They come first, and keep back neither the node's own mail nor that
// of a lane which it may take.
func TestUnservedLanes(t *testing.T) {
	url := testpostgres.Database(t)
	q := open(t, Options{URL: url, Node: "n"})
	const lanes = maxReady + 50
	fill(t, url, lanes, lanes)
	q.renew(t)
	execute(t, url, "UPDATE lane SET served = id")
	mailbox := func(order string) (box string) {
		t.Helper()
		c, err := pgx.Connect(t.Context(), url)
		if err == nil {
			defer c.Close(t.Context())
			err = c.QueryRow(t.Context(), "SELECT mailbox FROM lane ORDER BY served "+order+" LIMIT 1").Scan(&box)
		}
		if err != nil {
			t.Fatal(err)
		}
		return box
	}
	claim := func(box string) []queue.Task {
		t.Helper()
		tasks, _, err := q.Claim(t.Context(), queue.Claim{Node: "n", Max: lanes, PerLane: 1, Serves: func(l queue.Lane) bool { return l.Mailbox == box }})
		if err != nil {
			t.Fatal(err)
		}
		return tasks
	}
	for n := range maxFree + 20 { // those that there is no room for keep their turn
		tasks, _, err := q.Claim(t.Context(), queue.Claim{Node: "n", Max: 1, PerLane: 1})
		if err != nil || len(tasks) != 1 {
			t.Fatalf("claim %d of one message got %d, %v", n, len(tasks), err)
		}
	}
	execute(t, url, "UPDATE message SET state = 'queued', fence = fence + 1", "UPDATE lane SET owner = '', served = id, due = 1")
	own := mailbox("DESC")
	execute(t, url, "UPDATE lane SET owner = 'n' WHERE mailbox = '"+own+"'")
	if tasks := claim(own); len(tasks) != 1 || tasks[0].Lane.Mailbox != own {
		t.Errorf("claimed %d messages, want that of the node's own lane", len(tasks))
	}
	execute(t, url, "UPDATE lane SET served = 0 WHERE mailbox = '"+own+"'")
	last := mailbox("DESC")
	for n := 1; ; n++ {
		if tasks := claim(last); len(tasks) == 1 && tasks[0].Lane.Mailbox == last {
			break
		}
		if n > lanes/maxFree+1 {
			t.Fatalf("%d claims have not come to a lane of nobody that the node can serve", n)
		}
	}
}

// TestLaneGoes has a lane removed while a message comes for it.
func TestLaneGoes(t *testing.T) {
	url := testpostgres.Database(t)
	q := open(t, Options{URL: url, Node: "n"})
	q.mustPut(t, "x")
	q.claimed(t, "n")
	execute(t, url, "DELETE FROM message", "UPDATE lane SET due = 9223372036854775807, owner = ''")
	first := true
	err := q.storage.Update(t.Context(), func(tx queue.Tx) error {
		f, err := tx.Flow(testEntry.Lane, "s", "c")
		if err != nil {
			return err
		}
		if first {
			first = false
			execute(t, url, sweepLanes)
		}
		r := queue.Record{ID: queue.NewID(time.Now()), Entry: testEntry, Status: queue.Status{State: queue.Queued, HasContent: true}}
		return tx.Insert(r, f.Lane, q.storage.ContentOf(r.ID, nil))
	})
	if err != nil || first {
		t.Fatal(err)
	}
	if got := q.claimed(t, "n"); len(got) != 1 {
		t.Errorf("claimed %v", got)
	}
}

// TestLocked has another process hold a message for a while: one operation waits, and the
// engine does not take the database for away.
func TestLocked(t *testing.T) {
	url := testpostgres.Database(t)
	q := open(t, Options{URL: url, Node: "n"})
	id := q.mustPut(t, "x")
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	tx, err := c.Begin(t.Context())
	if err == nil {
		_, err = tx.Exec(t.Context(), "SELECT id FROM message FOR UPDATE")
	}
	if err != nil {
		t.Fatal(err)
	}
	held := make(chan error)
	go func() { held <- q.Apply(t.Context(), id, queue.Hold, "test") }()
	if got := q.claimed(t, "n"); len(got) != 0 {
		t.Errorf("claimed %v, which is locked", got)
	}
	q.mustPut(t, "y")
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-held; err != nil {
		t.Error(err)
	}
	if err := q.Healthy(); err != nil {
		t.Error(err)
	}
}
