package postgres

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"graphrelay/internal/testpostgres"
	"graphrelay/relay/queue"
)

// opened is a queue together with its storage.
type opened struct {
	*queue.Queue
	storage *storage
}

func open(t testing.TB, o Options) opened {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Timeout == 0 {
		o.Timeout = testTimeout
	}
	q, s, err := openQueue(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	return opened{q, s}
}

var testEntry = queue.Entry{Envelope: queue.Envelope{From: "a@x.test", To: []string{"b@x.test"}}, Lane: queue.Lane{Connection: "c", Mailbox: "a@x.test"}}

func (o opened) put(t testing.TB, content string) (id string, err error) {
	t.Helper()
	w, err := o.Create(t.Context())
	if err != nil {
		return "", err
	}
	if _, err := io.WriteString(w, content); err != nil {
		return w.ID(), errors.Join(err, w.Abort())
	}
	return w.ID(), w.Commit(t.Context(), testEntry)
}

func (o opened) mustPut(t testing.TB, content string) string {
	t.Helper()
	id, err := o.put(t, content)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// all returns the IDs of all messages.
func (o opened) all(t testing.TB) (ids []string) {
	t.Helper()
	list, err := o.List(t.Context(), queue.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range list {
		ids = append(ids, r.ID)
	}
	return ids
}

func (o opened) lease(t testing.TB, node string, length time.Duration) {
	t.Helper()
	if _, err := o.Renew(t.Context(), queue.Renewal{Node: queue.Node{ID: node, Name: node}, Lease: length}); err != nil {
		t.Fatal(err)
	}
}

// claimed claims for a node, which it gives a lease.
func (o opened) claimed(t testing.TB, node string) (ids []string) {
	t.Helper()
	o.lease(t, node, time.Hour)
	tasks, _, err := o.Claim(t.Context(), queue.Claim{Node: node, Max: 100, PerLane: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		ids = append(ids, task.ID)
	}
	return ids
}

// claimedFirst claims when another node's messages have been confirmed.
func (o opened) claimedFirst(t testing.TB) (ids []string) {
	t.Helper()
	until(t, "a message to claim", func() bool {
		ids = o.claimed(t, "other")
		return len(ids) > 0
	})
	return ids
}

// until waits for a condition. It fails the test only if that does not come about at all.
func until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// TestAnswerLost has the connection break at the commit of an accepted message. Where the
// database can still be reached, the engine finds out what became of it.
func TestAnswerLost(t *testing.T) {
	for name, f := range map[string]fate{"committed": cut, "not committed": drop} {
		t.Run(name, func(t *testing.T) {
			p, url := newProxy(t, testpostgres.Database(t))
			q := open(t, Options{URL: url, Node: "n"})
			q.mustPut(t, "before")
			p.once("INSERT INTO arriving", "COMMIT", f)
			id, err := q.put(t, "x")
			if err != nil {
				t.Fatal(err)
			}
			if got := q.all(t); len(got) != 2 || got[1] != id {
				t.Errorf("the messages are %v, want two", got)
			}
			if got := q.claimed(t, "n"); len(got) != 2 {
				t.Errorf("claimed %v", got)
			}
		})
	}
}

// TestUnknown has the database become unreachable with the answer to a commit. The client is
// told that its message was not taken, and will send it again: it must not be delivered, also
// not by another node.
func TestUnknown(t *testing.T) {
	for name, f := range map[string]fate{"committed": cut, "not committed": drop} {
		t.Run(name, func(t *testing.T) {
			database := testpostgres.Database(t)
			p, url := newProxy(t, database)
			q := open(t, Options{URL: url, Node: "n"})
			other := open(t, Options{URL: database, Node: "other"})
			q.mustPut(t, "before")
			other.claimedFirst(t)
			p.set(func() { p.alone = true })
			p.once("INSERT INTO arriving", "COMMIT", f)
			id, err := q.put(t, strings.Repeat("x", 100))
			if !errors.Is(err, queue.ErrUnknown) {
				t.Fatalf("the client was told %v", err)
			}
			if err := q.Healthy(); !errors.Is(err, queue.ErrAway) {
				t.Errorf("healthy: %v", err)
			}
			if _, err := q.put(t, "x"); !errors.Is(err, queue.ErrAway) {
				t.Errorf("another message: %v", err)
			}
			second := other.mustPut(t, "y")
			if got := other.claimedFirst(t); fmt.Sprint(got) != fmt.Sprint([]string{second}) {
				t.Errorf("another node claimed %v, want %s", got, second)
			}
			p.set(func() { p.refuse, p.fate = false, nil })
			until(t, "the database", func() bool { return q.Healthy() == nil })
			if _, _, err := q.Get(t.Context(), id); !errors.Is(err, queue.ErrNotFound) {
				t.Errorf("the message that its client was refused is there: %v", err)
			}
			next := q.mustPut(t, "again")
			if got := other.claimedFirst(t); fmt.Sprint(got) != fmt.Sprint([]string{next}) {
				t.Errorf("then it claimed %v, want %s", got, next)
			}
		})
	}
}

// TestLateCommit has a commit reach the database after the engine has decided that it did not.
func TestLateCommit(t *testing.T) {
	q := open(t, Options{URL: testpostgres.Database(t), Node: "n"})
	w := q.storage.newWriter(9)
	w.seq = 1
	committed, err := q.storage.clearUp(doubt{writer: w.id, seq: w.seq})
	if err != nil || committed {
		t.Fatalf("committed %t, %v", committed, err)
	}
	if again, err := q.storage.clearUp(doubt{writer: w.id, seq: w.seq}); err != nil || again {
		t.Fatalf("asked again: committed %t, %v", again, err)
	}
	w.seq-- // try counts it up
	o := &op{run: func(tx queue.Tx) error { return tx.SetAudit(queue.Audit{ID: queue.NewID(time.Now())}) }}
	if _, err := w.try([]*op{o}); err == nil {
		t.Error("the transaction was committed after all")
	}
	if list, err := q.Audits(t.Context(), 10); err != nil || len(list) != 0 {
		t.Errorf("it left %v, %v", list, err)
	}
}
