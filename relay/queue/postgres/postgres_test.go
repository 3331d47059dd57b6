package postgres

import (
	"sync"
	"testing"
	"time"

	"graphrelay/internal/testpostgres"
	"graphrelay/relay/queue"
	"graphrelay/relay/queue/queuetest"
	"graphrelay/relay/queue/sqlite"
)

func TestMain(m *testing.M) { testpostgres.Main(m) }

// testTimeout is generous: the machine may be busy.
const testTimeout = time.Minute

func TestConformance(t *testing.T) { conformance(t, testpostgres.Database) }

// TestPooler runs the suite through a pooler in transaction mode, which gives the next
// transaction of a client another connection. Debian's knows nothing of prepared statements.
func TestPooler(t *testing.T) {
	if testing.Short() {
		t.Skip("it is the same suite once more")
	}
	conformance(t, testpostgres.Bouncer)
}

func conformance(t *testing.T, database func(testing.TB) string) {
	databases := databases{create: database}
	open := func(t *testing.T, dir string) *queue.Queue {
		q, err := Open(t.Context(), Options{URL: databases.of(t, dir), Dir: t.TempDir(), Node: "n1", Timeout: testTimeout})
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	queuetest.Run(t, func(t *testing.T, dir string) *queue.Queue {
		q := open(t, dir)
		if err := q.Recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		return q
	})
	queuetest.RunShared(t, open)
	embedded := func(t *testing.T, dir string) *queue.Queue {
		q, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir, Exclusive: true})
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	t.Run("move here", func(t *testing.T) { queuetest.RunMove(t, embedded, open) })
	t.Run("move away", func(t *testing.T) { queuetest.RunMove(t, open, embedded) })
}

// databases has a database for each directory.
type databases struct {
	create func(testing.TB) string
	mu     sync.Mutex
	urls   map[string]string
}

func (d *databases) of(t *testing.T, dir string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.urls == nil {
		d.urls = map[string]string{}
	}
	if d.urls[dir] == "" {
		d.urls[dir] = d.create(t)
	}
	return d.urls[dir]
}
