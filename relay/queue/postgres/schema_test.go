package postgres

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"graphrelay/internal/testpostgres"
	"graphrelay/relay/queue"
)

func execute(t testing.TB, url string, statements ...string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	for _, sql := range statements {
		if _, err := c.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMigrateTogether starts several nodes on an empty database at once.
func TestMigrateTogether(t *testing.T) {
	for range 3 {
		url := testpostgres.Database(t)
		var wg sync.WaitGroup
		for n := range 4 {
			wg.Go(func() {
				q, err := Open(t.Context(), Options{URL: url, Dir: t.TempDir(), Node: string(rune('a' + n)), Timeout: testTimeout})
				if err != nil {
					t.Error(err)
					return
				}
				if err := q.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		q := open(t, Options{URL: url, Node: "n"})
		q.mustPut(t, "x")
	}
}

func TestSchemas(t *testing.T) {
	url := testpostgres.Database(t)
	try := func(node string) error {
		q, err := Open(t.Context(), Options{URL: url, Dir: t.TempDir(), Node: node, Timeout: testTimeout})
		if err == nil {
			err = q.Close()
		}
		return err
	}
	refused := func(node, why string) {
		t.Helper()
		if err := try(node); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("node %q: got %v, want that %s", node, err, why)
		}
	}
	taken := func(node string) {
		t.Helper()
		if err := try(node); err != nil {
			t.Errorf("node %q: %v", node, err)
		}
	}
	refused("", "there is no queue yet")
	taken("n")
	taken("")
	execute(t, url, "UPDATE graphrelay_schema SET version = version + 1") // which only adds something
	taken("n")
	taken("")
	execute(t, url, "UPDATE graphrelay_schema SET compatible = version")
	refused("n", "newer graphrelay")
	refused("", "newer graphrelay")
	execute(t, url, "UPDATE graphrelay_schema SET version = 0, compatible = 0")
	refused("", "there is no queue yet")
}

// TestNewerSchema brings the database to a schema that the nodes at work cannot use: not while they
// are, and one that was cut off meanwhile does not come back.
func TestNewerSchema(t *testing.T) {
	t.Cleanup(func() { further = "" })
	next := func(compatible int) string {
		return fmt.Sprintf("-- compatible: %d\nALTER TABLE message ADD COLUMN more BIGINT NOT NULL DEFAULT 0;", compatible)
	}
	upgrade := func(url, script string) (*queue.Queue, error) {
		further = script
		q, err := Open(t.Context(), Options{URL: url, Dir: t.TempDir(), Node: "b", Timeout: testTimeout})
		further = ""
		if err == nil {
			t.Cleanup(func() { _ = q.Close() })
		}
		return q, err
	}
	url := testpostgres.Database(t)
	a := open(t, Options{URL: url, Node: "a"})
	a.lease(t, "a", time.Hour)
	if _, err := upgrade(url, next(embeddedVersion+1)); err == nil || !strings.Contains(err.Error(), "a is at work") {
		t.Fatalf("while another node is at work that cannot go on: %v", err)
	}
	a.lease(t, "a", time.Hour)
	a.lease(t, "a", 0)
	if _, err := upgrade(url, next(embeddedVersion+1)); err != nil {
		t.Fatal(err)
	}
	renew := queue.Renewal{Node: queue.Node{ID: "a", Name: "a"}, Lease: time.Hour}
	if _, err := a.Renew(t.Context(), renew); err == nil || !strings.Contains(err.Error(), "newer graphrelay") {
		t.Errorf("a node that cannot go on renews its lease: %v", err)
	}
	if _, err := a.put(t, "x"); !errors.Is(err, queue.ErrAway) || !strings.Contains(err.Error(), "newer graphrelay") {
		t.Errorf("a node that cannot go on takes mail: %v", err)
	}
	if err := a.storage.probe(); err == nil || !strings.Contains(err.Error(), "newer graphrelay") {
		t.Errorf("a node that cannot go on comes back: %v", err)
	}

	url = testpostgres.Database(t)
	c := open(t, Options{URL: url, Node: "c"})
	c.lease(t, "c", time.Hour)
	b, err := upgrade(url, next(embeddedVersion))
	if err != nil {
		t.Fatalf("with a schema that the others can use: %v", err)
	}
	_, err = b.Renew(t.Context(), queue.Renewal{Node: queue.Node{ID: "b", Name: "b"}, Lease: time.Hour})
	if err != nil {
		t.Error(err)
	}
	c.lease(t, "c", time.Hour)
	c.mustPut(t, "x")
	var said []string
	again, err := Open(t.Context(), Options{URL: url, Dir: t.TempDir(), Node: "d", Timeout: testTimeout, Warn: func(text string) { said = append(said, text) }})
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
	if !strings.Contains(strings.Join(said, " "), "schema of a newer graphrelay") {
		t.Errorf("a node of the version before says %q at its start", said)
	}
}

// TestFaultsAtStart checks that they say what is wrong, and no password.
func TestFaultsAtStart(t *testing.T) {
	url := testpostgres.Database(t)
	for bad, why := range map[string]string{
		strings.Replace(url, "/test", "/nothing", 1):                 "does not exist",
		"postgres://u:se%zzcret@127.0.0.1/x":                         "cannot be read",
		"postgres://u:secret@127.0.0.1:port/x":                       "cannot be read",
		"postgres://u:secret@127.0.0.1:1/x":                          "refused",
		"postgres://u:secret@127.0.0.1/x?sslrootcert=/nothing/there": "no such file",
	} {
		q, err := Open(t.Context(), Options{URL: bad, Dir: t.TempDir(), Node: "n"})
		if err == nil {
			_ = q.Close()
			t.Errorf("%s was taken", bad)
			continue
		}
		if text := err.Error(); !strings.Contains(text, why) || strings.Contains(text, "secret") || strings.Contains(text, "\n") {
			t.Errorf("%s: %q, want that it %s", bad, text, why)
		}
	}
}
