package postgres

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"graphrelay/internal/testpostgres"
	"graphrelay/relay/queue"
)

// locked begins a transaction that changes a message, and returns how to commit it.
func locked(t *testing.T, url, change, id string) (commit func()) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := c.Begin(t.Context())
	if err == nil {
		_, err = tx.Exec(t.Context(), "UPDATE message SET "+change+" WHERE id = $1", id)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := tx.Commit(t.Context()); err != nil {
			t.Error(err)
		}
		_ = c.Close(t.Context())
	}
}

// owners returns the owner of the lane of a message, and that of the message.
func owners(t *testing.T, url, id string) (lane, message string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	if err := c.QueryRow(t.Context(), "SELECT lane.owner, m.owner FROM message m JOIN lane ON lane.id = m.lane WHERE m.id = $1", id).Scan(&lane, &message); err != nil {
		t.Fatal(err)
	}
	return lane, message
}

// TestClaimKeepsLane has a node die while an operator works on a message that it has in delivery,
// so that the others cannot give the message back. They do not take its lane before they can: the
// dead node may go on, and its claim is valid.
func TestClaimKeepsLane(t *testing.T) {
	url := testpostgres.Database(t)
	a, b := open(t, Options{URL: url, Node: "a"}), open(t, Options{URL: url, Node: "b"})
	id := b.mustPut(t, "x")
	until(t, "a claim", func() bool { return len(a.claimed(t, "a")) == 1 })
	a.lease(t, "a", 0)
	commit := locked(t, url, "warned = true", id)
	b.lease(t, "b", time.Hour)
	if lane, message := owners(t, url, id); lane != "a" || message != "a" {
		t.Errorf("the lane is %q's while its message is in delivery by %q", lane, message)
	}
	commit()
	b.lease(t, "b", time.Hour)
	if lane, message := owners(t, url, id); lane != "" || message != "" {
		t.Errorf("afterwards the lane is %q's, and the message %q's", lane, message)
	}
}

// TestHoldStands has an operator hold a message while its node gives back the claim, of which it
// has lost the worker. The message stays held.
func TestHoldStands(t *testing.T) {
	url := testpostgres.Database(t)
	a := open(t, Options{URL: url, Node: "a"})
	id := a.mustPut(t, "x")
	until(t, "a claim", func() bool { return len(a.claimed(t, "a")) == 1 })
	r, _, err := a.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	a.Lost(queue.Ref{ID: id, Fence: r.Fence, Node: "a"})
	commit := locked(t, url, "state = 'held', owner = '', fence = fence + 1", id)
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.lease(t, "a", time.Hour)
	}()
	until(t, "the renewal to come to the message", func() bool {
		select {
		case <-done:
			return true
		default:
			return waits(t, url)
		}
	})
	commit()
	<-done
	if r, _, err := a.Get(t.Context(), id); err != nil || r.State != queue.Held {
		t.Errorf("the message that an operator held is %s, error %v", r.State, err)
	}
}

// TestLostClaimIsLocked has a claim without a worker that another transaction has locked, as that
// of its worker does whose connection was lost. It is given back once that has ended.
func TestLostClaimIsLocked(t *testing.T) {
	url := testpostgres.Database(t)
	a := open(t, Options{URL: url, Node: "a"})
	a.lease(t, "a", time.Hour)
	id := a.mustPut(t, "x")
	until(t, "a claim", func() bool { return len(a.claimed(t, "a")) == 1 })
	r, _, err := a.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	commit := locked(t, url, "detail = detail", id)
	a.Lost(queue.Ref{ID: id, Fence: r.Fence, Node: "a"})
	a.lease(t, "a", time.Hour)
	commit()
	a.lease(t, "a", time.Hour)
	if r, _, err := a.Get(t.Context(), id); err != nil || r.State != queue.Queued {
		t.Errorf("the message without a worker is %s, error %v", r.State, err)
	}
}

// waits reports whether a transaction waits for a lock.
func waits(t *testing.T, url string) (some bool) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	const sql = "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')"
	if err := c.QueryRow(t.Context(), sql).Scan(&some); err != nil {
		t.Fatal(err)
	}
	return some
}

// TestRemovedLane has a lane removed, since it has no messages, and made again.
func TestRemovedLane(t *testing.T) {
	url := testpostgres.Database(t)
	q := open(t, Options{URL: url, Node: "n"})
	epoch := func() int {
		t.Helper()
		q.mustPut(t, "x")
		until(t, "a claim", func() bool { return len(q.claimed(t, "n")) == 1 })
		return number(t, url, "SELECT epoch FROM lane")
	}
	first := epoch()
	execute(t, url, "DELETE FROM message", "UPDATE lane SET due = 9223372036854775807, owner = ''")
	until(t, "the lane to go", func() bool {
		q.renew(t)
		return number(t, url, "SELECT count(*) FROM lane") == 0
	})
	if again := epoch(); again <= first {
		t.Errorf("the node has the lane under epoch %d, and had the one before under %d", again, first)
	}
}
