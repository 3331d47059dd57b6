package postgres

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"graphrelay/internal/testpostgres"
	"graphrelay/relay/queue"
)

// TestDurability checks that a commit waits for the disk also where the role does not ask for
// it, and that a node says what the server's settings may cost.
func TestDurability(t *testing.T) {
	url := testpostgres.Database(t) // with fsync off
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	if _, err := c.Exec(t.Context(), "ALTER ROLE CURRENT_USER SET synchronous_commit = off"); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = c.Exec(t.Context(), "ALTER ROLE CURRENT_USER RESET synchronous_commit") }()

	var said []string
	q, s, err := openQueue(t.Context(), Options{URL: url, Dir: t.TempDir(), Node: "n1", Timeout: testTimeout, Warn: func(text string) { said = append(said, text) }})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	for _, want := range []string{"fsync", "synchronous standby"} {
		if !slices.ContainsFunc(said, func(text string) bool { return strings.Contains(text, want) }) {
			t.Errorf("it does not warn of %s: %q", want, said)
		}
	}
	err = s.Update(t.Context(), func(tx queue.Tx) error {
		var got string
		err := tx.(*transaction).row(func(row pgx.Row) error { return row.Scan(&got) }, "SELECT current_setting('synchronous_commit')")
		if got != "on" {
			t.Errorf("synchronous_commit is %q in a transaction", got)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestDirectoryInUse checks that two nodes cannot share a folder: the second would take over what
// the first is working on.
func TestDirectoryInUse(t *testing.T) {
	o := Options{URL: testpostgres.Database(t), Dir: t.TempDir(), Node: "n1", Timeout: testTimeout}
	first, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if q, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), o.Dir+" is in use by another graphrelay") {
		t.Errorf("a second node in the same folder: %v, %v", q, err)
	}
	command := o
	command.Node = ""
	q, err := Open(t.Context(), command)
	if err != nil {
		t.Fatalf("a command beside the node: %v", err)
	}
	if err := errors.Join(q.Close(), first.Close()); err != nil {
		t.Fatal(err)
	}
	again, err := Open(t.Context(), o)
	if err != nil {
		t.Fatalf("after the node has ended: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}
