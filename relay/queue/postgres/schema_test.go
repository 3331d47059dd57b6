package postgres

import (
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"graphrelay/internal/testpostgres"
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
