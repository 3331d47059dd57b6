package sqlite

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

func (s opened) count(t *testing.T, query string) (n int) {
	t.Helper()
	if err := s.storage.read.QueryRowContext(t.Context(), "SELECT count(*) FROM "+query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Nothing is kept of a lane whose messages are gone, nor of a pause that has passed.
func TestLanesGo(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Exclusive: true})
	e := testEntry
	for n := range 50 {
		e.Lane.Mailbox = fmt.Sprintf("%d@x.test", n)
		putEntry(t, s, e)
		if err := s.Pause(t.Context(), e.Lane, s.Now().Add(time.Microsecond), reason.Throttled); err != nil {
			t.Fatal(err)
		}
	}
	tasks, _, err := s.Claim(t.Context(), queue.Claim{Node: "n", Max: 100, PerLane: 1})
	if err != nil || len(tasks) != 50 {
		t.Fatalf("claimed %d, %v", len(tasks), err)
	}
	for i, task := range tasks {
		o := queue.Outcome{State: queue.Sent}
		if i%2 == 0 {
			o = queue.Outcome{State: queue.Failed}
		}
		if err := s.Finish(t.Context(), task.Ref, o); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.count(t, "lane"); n != 50 {
		t.Errorf("%d lanes while their records are kept", n)
	}
	if _, err := s.Expire(t.Context(), queue.Retention{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Renew(t.Context(), queue.Renewal{Node: queue.Node{ID: "n", Name: "n"}, Lease: time.Minute}); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"message", "lane", "flow", "pause"} {
		if n := s.count(t, table); n != 0 {
			t.Errorf("%d rows of %s are left", n, table)
		}
	}
}

// What a lane knows of its messages and pauses is what the tables say, whatever is done.
func TestLaneIsUpToDate(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Exclusive: true})
	const wrong = `lane WHERE due IS NOT iif(EXISTS (SELECT 1 FROM message WHERE lane = lane.id AND state = 'queued'), 1,
			coalesce((SELECT min(due) FROM message WHERE lane = lane.id AND state = 'deferred'), 9223372036854775807))
		OR paused IS NOT coalesce((SELECT max(until) FROM pause WHERE pause.connection = lane.connection
			AND (pause.principal = lane.principal AND pause.mailbox IN ('', lane.mailbox) OR pause.principal = '' AND pause.mailbox = '')), 0)`
	check := func(what string, err error) {
		t.Helper()
		if n := s.count(t, wrong); n != 0 || err != nil {
			t.Fatalf("after %s %d lanes are not up to date; %v", what, n, err)
		}
	}
	entry := func(mailbox string) queue.Entry {
		e := testEntry
		e.Lane.Mailbox = mailbox
		return e
	}
	hour := s.Now().Add(time.Hour)
	a, whole := entry("a"), testEntry.Lane.Whole()
	check("a pause", s.Pause(t.Context(), a.Lane, hour, reason.Throttled))
	for _, box := range []string{"a", "a", "b", "c"} {
		putEntry(t, s, entry(box))
		check("a message", nil)
	}
	check("a pause of all", s.Pause(t.Context(), whole, hour.Add(time.Minute), reason.Unavailable))
	check("a shorter pause", s.Pause(t.Context(), whole, hour, reason.Unavailable))
	check("the end of one", s.Resume(t.Context(), a.Lane))
	check("the end of all", s.Resume(t.Context(), whole))
	tasks, _, err := s.Claim(t.Context(), queue.Claim{Node: "n", Max: 10, PerLane: 10})
	check("a claim", err)
	for i, state := range []queue.State{queue.Deferred, queue.Held, queue.Queued, queue.Failed} {
		check(string(state), s.Finish(t.Context(), tasks[i].Ref, queue.Outcome{State: state, Due: hour.Add(time.Duration(i)), Reason: reason.Throttled}))
	}
	check("a hold", s.Apply(t.Context(), tasks[2].ID, queue.Hold, "test"))
	check("a release", s.Apply(t.Context(), tasks[1].ID, queue.Release, "test"))
	check("a pause before a retry", s.Pause(t.Context(), tasks[0].Lane, hour, reason.Throttled))
	check("a retry", s.Apply(t.Context(), tasks[0].ID, queue.Retry, "test"))
	of := entry("d")
	of.Lane.Principal = "anna@x.test"
	check("a pause of a principal", s.Pause(t.Context(), of.Lane.Whole(), hour, reason.Throttled))
	putEntry(t, s, of)
	check("a message of a principal", nil)
	check("a longer pause of all", s.Pause(t.Context(), whole, hour.Add(time.Minute), reason.Unavailable))
	check("the end of a principal's", s.Resume(t.Context(), of.Lane.Whole()))
	check("the end of all", s.Resume(t.Context(), whole))
	for _, task := range tasks {
		check("a removal", s.Apply(t.Context(), task.ID, queue.Delete, "test"))
	}
}

func putEntry(t testing.TB, s opened, e queue.Entry) string {
	t.Helper()
	w, err := s.Create(t.Context())
	if err == nil {
		err = w.Commit(t.Context(), e)
	}
	if err != nil {
		t.Fatal(err)
	}
	return w.ID()
}

// idleLanes adds lanes that have nothing due: of messages that were sent, of one that is
// held, and of one that is deferred.
func idleLanes(t testing.TB, s opened, n int) {
	t.Helper()
	for _, statement := range []string{
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
			INSERT INTO lane (connection, principal, mailbox, served) SELECT 'idle', '', i, i FROM n`,
		`INSERT INTO message (id, received, arrived, size, sum, body, lane, mail_from, recipients, utf8, dsn, header_from, sender, reply_to,
				signature, subject, message_id, listener, user, client, trace, state, due, start_tag)
			SELECT printf('%016d', id), 1, 1, 1, 0, 0, id, '', '[]', 0, '', '', '', '', '', '', '', '', '', '', 0, iif(id % 2, 'sent', 'held'), 1, 0
			FROM lane WHERE connection = 'idle' AND 0 < ?`,
		`UPDATE message SET state = 'deferred', due = 9000000000000000 WHERE state = 'held' AND lane % 4 = 0 AND 0 < ?`,
	} {
		if err := s.storage.writer.conn.run(statement, n); err != nil {
			t.Fatal(err)
		}
	}
}

// A claim takes as many steps with thousands of lanes that have nothing due as with a few.
func TestIdleLanesCostNothing(t *testing.T) {
	plan := func(query string) string {
		s := open(t, Options{Dir: t.TempDir(), Exclusive: true})
		return planOf(t, s, query, 1, 1, 1)
	}
	for _, query := range []string{readyLanes, nextDue} {
		if p := plan(query); !strings.Contains(p, "USING INDEX lane_turn") && !strings.Contains(p, "USING COVERING INDEX lane_turn") || strings.Contains(p, "SCAN lane\n") {
			t.Errorf("%s\nis answered by\n%s", query, p)
		}
	}
	s := open(t, Options{Dir: t.TempDir(), Exclusive: true})
	idleLanes(t, s, 1000)
	id := putEntry(t, s, testEntry)
	tasks, _, err := s.Claim(t.Context(), queue.Claim{Node: "n", Max: 10, PerLane: 1})
	if err != nil || len(tasks) != 1 || tasks[0].ID != id {
		t.Errorf("claimed %v, %v", tasks, err)
	}
}

// BenchmarkClaimIdle measures a claim and its end beside so many lanes that have nothing due.
func BenchmarkClaimIdle(b *testing.B) {
	for _, idle := range []int{10, 100_000} {
		b.Run(fmt.Sprint(idle), func(b *testing.B) {
			s := open(b, Options{Dir: b.TempDir(), Exclusive: true})
			idleLanes(b, s, idle)
			putEntry(b, s, testEntry)
			for b.Loop() {
				claimAndFinish(b, s.Queue)
			}
		})
	}
}

// BenchmarkClaimReady measures a claim and its end with so many lanes that are ready.
func BenchmarkClaimReady(b *testing.B) {
	for _, lanes := range []int{10, 20_000} {
		b.Run(fmt.Sprint(lanes), func(b *testing.B) {
			s := open(b, Options{Dir: b.TempDir(), Exclusive: true})
			idleLanes(b, s, lanes)
			if err := s.storage.writer.conn.run("UPDATE message SET state = 'queued'"); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				claimAndFinish(b, s.Queue)
			}
		})
	}
}

// A lane that an earlier process has served at a time that the queue's clock has yet to show, since
// its last reading is older, does not wait until then.
func TestServedInFuture(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir, Exclusive: true})
	putEntry(t, s, testEntry)
	if err := s.storage.writer.conn.run("UPDATE lane SET served = ?", micros(s.Now().Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, Options{Dir: dir, Exclusive: true})
	if tasks, _, err := s.Claim(t.Context(), queue.Claim{Node: "n", Max: 1, PerLane: 1}); err != nil || len(tasks) != 1 {
		t.Errorf("claimed %d, %v", len(tasks), err)
	}
}

// What a transaction has read of a lane for new mail is what the lane is, whatever else the
// transaction does.
func TestLanesSeen(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Exclusive: true})
	id := putEntry(t, s, testEntry)
	lane := testEntry.Lane
	flow := func(tx queue.Tx, after string, want queue.Flow) {
		t.Helper()
		if f, err := tx.Flow(lane, "sender", "client"); err != nil || f != want {
			t.Errorf("after %s: %+v, %v, want %+v", after, f, err, want)
		}
	}
	err := s.storage.Update(t.Context(), func(tx queue.Tx) error {
		f, err := tx.Flow(lane, "sender", "client")
		flow(tx, "nothing", queue.Flow{Lane: f.Lane, Sender: -1, Client: -1})
		err = errors.Join(err, tx.SetTag(f.Lane, "sender", 3))
		flow(tx, "a tag", queue.Flow{Lane: f.Lane, Sender: 3, Client: -1})
		err = errors.Join(err, tx.Served(f.Lane, s.Now(), false, 9))
		flow(tx, "a claim", queue.Flow{Lane: f.Lane, VirtualTime: 9, Sender: 3, Client: -1})
		_, dropErr := tx.DropTags(10)
		flow(tx, "the tags were dropped", queue.Flow{Lane: f.Lane, VirtualTime: 9, Sender: -1, Client: -1})
		err = errors.Join(err, dropErr, tx.Remove(id))
		again, flowErr := tx.Flow(lane, "sender", "client")
		if again.VirtualTime != 0 {
			t.Errorf("the lane of the last message is there yet: %+v", again)
		}
		return errors.Join(err, flowErr)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A lane in which a message is queued is due, whatever was done to it before in the transaction.
func TestQueuedLaneIsDue(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Exclusive: true})
	first := putEntry(t, s, testEntry)
	err := s.storage.Update(t.Context(), func(tx queue.Tx) error {
		f, err := tx.Flow(testEntry.Lane, "sender", "client")
		if err != nil {
			return err
		}
		status, err := tx.Status(first)
		status.State = queue.Held
		err = errors.Join(err, tx.SetStatus(first, status)) // the lane has nothing due now
		r := queue.Record{ID: queue.NewID(s.Now()), Entry: testEntry, Status: queue.Status{State: queue.Queued, HasContent: true}}
		return errors.Join(err, tx.Insert(r, f.Lane, s.storage.ContentOf(r.ID, []byte("x"))))
	})
	if err != nil {
		t.Fatal(err)
	}
	if due, err := s.storage.NextDue(t.Context(), ""); err != nil || due.IsZero() || due.After(s.Now()) {
		t.Errorf("due at %v, %v", due, err)
	}
}
