package postgres

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"graphrelay/internal/testpostgres"
	"graphrelay/relay/queue"
)

// pattern reads as a content of so many bytes without holding them.
type pattern struct{ size, at int64 }

func (p *pattern) Read(b []byte) (int, error) {
	if p.at == p.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), p.size-p.at))
	for i := range b[:n] {
		b[i] = byte((p.at + int64(i)) % 251)
	}
	p.at += int64(n)
	return n, nil
}

// peak returns the most memory that is in use while do runs.
func peak(do func()) (most uint64) {
	runtime.GC()
	done, stopped := make(chan struct{}), make(chan struct{})
	var high atomic.Uint64
	go func() {
		defer close(stopped)
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			high.Store(max(high.Load(), m.HeapAlloc))
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	do()
	close(done)
	<-stopped
	return high.Load()
}

// TestLargeContent takes and gives a large message in memory that does not grow with it.
func TestLargeContent(t *testing.T) {
	size, limit := int64(150<<20), uint64(32<<20)
	if testing.Short() {
		size = 48 << 20
	}
	q := open(t, Options{URL: testpostgres.Database(t), Node: "n"})
	most := peak(func() {
		w, err := q.Create(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyBuffer(struct{ io.Writer }{w}, &pattern{size: size}, make([]byte, 32<<10)); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(t.Context(), testEntry); err != nil {
			t.Fatal(err)
		}
		body, err := q.Open(t.Context(), w.ID())
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		if err := body.Check(); err != nil || body.Size() != size {
			t.Errorf("%d bytes came back, %v", body.Size(), err)
		}
		want, got := &pattern{size: size}, io.NewSectionReader(body, 0, size)
		a, b := make([]byte, 64<<10), make([]byte, 64<<10)
		for {
			n, err := want.Read(a)
			if err != nil {
				break
			}
			if _, err := io.ReadFull(got, b[:n]); err != nil || !bytes.Equal(a[:n], b[:n]) {
				t.Fatalf("it came back changed: %v", err)
			}
		}
	})
	t.Logf("%d MB took at most %d MB of memory", size>>20, most>>20)
	if most > limit {
		t.Errorf("%d MB took %d MB of memory, want at most %d", size>>20, most>>20, limit>>20)
	}
}

func number(t testing.TB, url, sql string) (n int) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	if err := c.QueryRow(t.Context(), sql).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestDamage checks that a changed content or envelope is noticed.
func TestDamage(t *testing.T) {
	url := testpostgres.Database(t)
	q := open(t, Options{URL: url, Node: "n"})
	for _, size := range []int{10, 300_000} {
		for what, sql := range map[string]string{
			"nothing":        "SELECT 1",
			"a byte":         "UPDATE body SET data = set_byte(data, 7, 1) WHERE seq = 0",
			"a missing row":  "DELETE FROM body WHERE seq = 0",
			"a last row":     "DELETE FROM body WHERE seq = (SELECT max(seq) FROM body)",
			"a recipient":    "UPDATE message SET recipients = '[\"c@x.test\"]'",
			"the mailbox":    "UPDATE lane SET mailbox = 'b@x.test'",
			"the checksum":   "UPDATE message SET sum = sum + 1",
			"the trace":      "UPDATE message SET trace = 7",
			"the signature":  "UPDATE message SET signature = 'x'",
			"what it is not": "UPDATE message SET subject = 'any'",
		} {
			execute(t, url, "DELETE FROM message", "DELETE FROM body", "DELETE FROM lane")
			id := q.mustPut(t, strings.Repeat("x", size))
			execute(t, url, sql)
			body, err := q.Open(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			err = body.Check()
			if intact := what == "nothing" || what == "what it is not"; errors.Is(err, queue.ErrDamaged) == intact {
				t.Errorf("%d bytes, changed %s: %v", size, what, err)
			}
			_ = body.Close()
		}
	}
}

// TestSweep removes contents whose message never came or has ended, and lanes without messages.
func TestSweep(t *testing.T) {
	url := testpostgres.Database(t)
	q := open(t, Options{URL: url, Node: "n"})
	large := strings.Repeat("x", 1<<20)
	kept := q.mustPut(t, large)
	id := q.mustPut(t, large)
	if err := q.Apply(t.Context(), id, queue.Delete, "test"); err != nil {
		t.Fatal(err)
	}
	until(t, "the content of the deleted message to go", func() bool { return number(t, url, "SELECT count(DISTINCT id) FROM body") == 1 })
	c := q.storage.NewContent(queue.NewID(time.Now()))
	if _, err := io.WriteString(c, large); err != nil {
		t.Fatal(err)
	}
	if err := c.Sync(); err != nil {
		t.Fatal(err)
	}
	q.renew(t)
	if n := number(t, url, "SELECT count(DISTINCT id) FROM body"); n != 2 {
		t.Errorf("%d contents, want that of the message and that of one on its way", n)
	}
	execute(t, url, "UPDATE upload SET at = 1", "UPDATE writer SET at = 1")
	q.renew(t)
	until(t, "the content without a message to go", func() bool {
		return number(t, url, "SELECT count(DISTINCT id) FROM body") == 1 && number(t, url, "SELECT count(*) FROM upload") == 0
	})
	until(t, "old writers to go", func() bool { return number(t, url, "SELECT count(*) FROM writer WHERE at = 1") == 0 })
	if body, err := q.Open(t.Context(), kept); err != nil || body.Check() != nil {
		t.Errorf("the message that is kept: %v", err)
	}
	execute(t, url, "DELETE FROM message", "UPDATE lane SET due = 9223372036854775807")
	q.renew(t)
	until(t, "the lane to go", func() bool { return number(t, url, "SELECT count(*) FROM lane") == 0 })
}

// TestSweepersTogether has several nodes remove the same contents.
func TestSweepersTogether(t *testing.T) {
	url := testpostgres.Database(t)
	var nodes []opened
	for n := range 4 {
		nodes = append(nodes, open(t, Options{URL: url, Node: fmt.Sprint("n", n)}))
	}
	execute(t, url, "INSERT INTO body (id, seq, data) SELECT 'content' || i, s, '' FROM generate_series(1, 300) i, generate_series(0, 71) s",
		"INSERT INTO upload (id, at, rows) SELECT 'content' || i, 0, 0 FROM generate_series(1, 300) i")
	var all sync.WaitGroup
	for _, n := range nodes {
		all.Go(func() {
			for number(t, url, "SELECT count(*) FROM upload") > 0 {
				n.storage.sweep()
			}
		})
	}
	all.Wait()
	if n := number(t, url, "SELECT count(*) FROM body"); n != 0 {
		t.Errorf("%d rows of contents are left", n)
	}
}

func (o opened) renew(t testing.TB) {
	t.Helper()
	if _, err := o.Renew(t.Context(), queue.Renewal{Node: queue.Node{ID: o.storage.node, Name: o.storage.node}, Lease: time.Minute}); err != nil {
		t.Fatal(err)
	}
}

// TestContentSwept has a content removed before its message comes, which then is not taken.
func TestContentSwept(t *testing.T) {
	url := testpostgres.Database(t)
	q := open(t, Options{URL: url, Node: "n"})
	w, err := q.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	execute(t, url, `CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$`,
		"CREATE TRIGGER lose BEFORE INSERT ON upload FOR EACH ROW EXECUTE FUNCTION lose()")
	if err := w.Commit(t.Context(), testEntry); err == nil {
		t.Error("a message was taken whose content is gone")
	}
	if got := q.all(t); len(got) != 0 {
		t.Errorf("there is %v", got)
	}
}

// TestLateUpload has an upload arrive at the database twice, as it does where its connection was
// lost and what was on it comes after all: the second time when the message was accepted. The
// content is the message's all the same, and goes with it.
func TestLateUpload(t *testing.T) {
	url := testpostgres.Database(t)
	q := open(t, Options{URL: url, Node: "n"})
	large := strings.Repeat("x", 1<<20)
	id := q.mustPut(t, large)
	c := q.storage.NewContent(id)
	if _, err := io.WriteString(c, large); err != nil {
		t.Fatal(err)
	}
	if err := c.Sync(); err != nil {
		t.Fatal(err)
	}
	execute(t, url, "UPDATE upload SET at = 1")
	other := q.storage.NewContent(queue.NewID(time.Now()))
	if _, err := io.WriteString(other, large); err != nil {
		t.Fatal(err)
	}
	if err := other.Sync(); err != nil {
		t.Fatal(err)
	}
	execute(t, url, "UPDATE upload SET at = 2 WHERE at > 1")
	q.renew(t)
	until(t, "the other content to go", func() bool { return number(t, url, "SELECT count(*) FROM upload WHERE at = 2") == 0 })
	body, err := q.Open(t.Context(), id)
	if err == nil {
		err = body.Check()
	}
	if err != nil {
		t.Fatalf("the content of the message: %v", err)
	}
	if err := q.Apply(t.Context(), id, queue.Delete, "test"); err != nil {
		t.Fatal(err)
	}
	until(t, "all contents to go", func() bool {
		return number(t, url, "SELECT count(*) FROM body") == 0 && number(t, url, "SELECT count(*) FROM upload") == 0
	})
}

// TestManyTransfers has more large messages come and go at a time than there are connections.
func TestManyTransfers(t *testing.T) {
	q := open(t, Options{URL: testpostgres.Database(t), Node: "n"})
	large := strings.Repeat("x", 3<<20)
	var wg sync.WaitGroup
	for range 3 * workers {
		wg.Go(func() {
			id, err := q.put(t, large)
			if err != nil {
				t.Error(err)
				return
			}
			body, err := q.Open(t.Context(), id)
			if err != nil {
				t.Error(err)
				return
			}
			if err := errors.Join(body.Check(), body.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// TestOthersArrivals has messages wait that came through nodes which are gone.
func TestOthersArrivals(t *testing.T) {
	url := testpostgres.Database(t)
	q := open(t, Options{URL: url, Node: "n"})
	ids := map[string]string{}
	for _, of := range []string{"living", "late", "dead", "ended", "new", "m"} {
		ids[of] = q.mustPut(t, of)
	}
	if err := q.storage.confirm(); err != nil {
		t.Fatal(err)
	}
	now := micros(q.Now())
	minute := time.Minute.Microseconds()
	for of, lease := range map[string]int64{"living": now + minute, "late": now - minute, "dead": now - 3*minute} {
		execute(t, url, fmt.Sprintf("INSERT INTO node (id, name, lease, seen, about) VALUES ('%s', '%s', %d, 0, '{}')", of, of, lease))
	}
	for of, id := range ids {
		execute(t, url, fmt.Sprintf("INSERT INTO arriving (id, node, lane) SELECT id, '%s', lane FROM message WHERE id = '%s'", of, id))
	}
	open(t, Options{URL: url, Node: "m"}) // starts again
	if n := number(t, url, "SELECT count(*) FROM arriving"); n != 5 {
		t.Errorf("%d messages wait, want all but that of the node which has started again", n)
	}
	execute(t, url, fmt.Sprintf("UPDATE message SET arrived = %d WHERE id <> '%s'", now-minute, ids["new"]))
	q.renew(t)
	until(t, "the messages of those that are gone", func() bool { return number(t, url, "SELECT count(*) FROM arriving") == 3 })
	got := q.claimed(t, "n")
	want := []string{ids["dead"], ids["ended"], ids["m"]}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("claimed %v of %v, want %v", got, ids, want)
	}
}

// wrongClock shows another time than the other nodes' clocks.
type wrongClock struct{ by time.Duration }

var started = time.Now()

func (c wrongClock) Wall() time.Time        { return time.Now().Add(c.by) }
func (c wrongClock) Elapsed() time.Duration { return time.Since(started) }

// TestClocks has the clocks of two nodes ten minutes off, in both directions.
func TestClocks(t *testing.T) {
	url := testpostgres.Database(t)
	fast := open(t, Options{URL: url, Node: "fast", Source: wrongClock{10 * time.Minute}})
	slow := open(t, Options{URL: url, Node: "slow", Source: wrongClock{-10 * time.Minute}})
	for _, q := range []opened{fast, slow} {
		q.renew(t)
		id := q.mustPut(t, "x")
		r, _, err := q.Get(t.Context(), id)
		if err != nil || time.Since(r.Received).Abs() > time.Minute || time.Since(r.Arrived).Abs() > time.Minute {
			t.Errorf("%s: received %s, arrived %s, %v", q.storage.node, r.Received, r.Arrived, err)
		}
	}
	until(t, "both messages", func() bool { return len(fast.claimed(t, "fast")) > 0 })
	found, err := slow.Renew(t.Context(), queue.Renewal{Node: queue.Node{ID: "slow", Name: "slow"}, Lease: time.Minute})
	if err != nil || found.Released != 0 {
		t.Errorf("the node with the slow clock released %d messages of the other one, %v", found.Released, err)
	}
	if d := fast.Now().Sub(slow.Now()).Abs(); d > 10*time.Second {
		t.Errorf("the queue's clocks are %s apart", d)
	}
}
