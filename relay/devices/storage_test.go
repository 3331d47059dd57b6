package devices

import (
	"context"
	"encoding/json"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"graphrelay/internal/testpostgres"
	"graphrelay/relay/queue"
	"graphrelay/relay/queue/postgres"
)

func TestMain(m *testing.M) { testpostgres.Main(m) }

// storages returns where lists are kept: beside a queue in data_dir, and in a database that nodes
// share. Each call of the functions returns the storage as another process opens it.
func storages(t *testing.T) map[string]func() Storage {
	file := filepath.Join(t.TempDir(), "devices.json")
	url := ""
	return map[string]func() Storage{
		"file": func() Storage { return File(file) },
		"PostgreSQL": func() Storage {
			if url == "" {
				url = testpostgres.Database(t)
			}
			return Shared{openPostgres(t, url)}
		},
	}
}

func openPostgres(t *testing.T, url string) *queue.Queue {
	q, err := postgres.Open(t.Context(), postgres.Options{URL: url, Dir: t.TempDir(), Node: queue.NewID(time.Now()), Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	return q
}

// What operators do to the list, and what is learnt, another process finds as it was, wherever the
// list is kept.
func TestStorages(t *testing.T) {
	for name, open := range storages(t) {
		t.Run(name, func(t *testing.T) {
			b, other := newBench(t), newBench(t)
			b.List, other.List = b.list(open()), other.list(open())
			t.Cleanup(b.Stop)
			same := func(what string) {
				t.Helper()
				if err := other.Load(t.Context()); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				if got, want := asJSON(t, other.All()), asJSON(t, b.All()); got != want {
					t.Errorf("%s: the other one has\n%s, want\n%s", what, got, want)
				}
			}
			same("empty")
			if err := b.allow("10.0.1.5", "scanner@contoso.test", "*@printers.test"); err != nil {
				t.Fatal(err)
			}
			if err := b.allow("2001:db8::5", "fax@contoso.test"); err != nil {
				t.Fatal(err)
			}
			same("allowed")
			if !other.Admits(other.of, addr("10.0.1.5")) || other.Check(other.of, addr("10.0.1.5"), "fax@contoso.test") == nil {
				t.Error("the other one does not let the device in, or as anybody")
			}
			if err := b.allow("10.0.1.5", "fax@contoso.test"); err != nil {
				t.Fatal(err)
			}
			same("a further sender")
			if _, err := b.Block(t.Context(), "otto", b.cfg, Request{Listener: "office", Address: addr("10.0.1.6"), Why: "a \"guest's\"\nlaptop \x00"}); err != nil {
				t.Fatal(err)
			}
			same("blocked")
			if err := b.open("10.0.2.0/24", time.Hour); err != nil {
				t.Fatal(err)
			}
			if err := b.send("10.0.2.5", "scanner@contoso.test"); err != nil {
				t.Fatal(err)
			}
			same("learnt")
			if len(b.All()) != 4 {
				t.Errorf("the list has %+v", b.All())
			}
			for _, address := range []string{"10.0.1.5", "2001:db8::5"} {
				if err := b.Remove(t.Context(), "otto", "office", addr(address)); err != nil {
					t.Fatal(err)
				}
			}
			same("removed")
			if other.Admits(other.of, addr("10.0.1.5")) {
				t.Error("the other one lets in a device that was removed")
			}
			again := b.list(open())
			if err := again.Load(t.Context()); err != nil || asJSON(t, again.All()) != asJSON(t, b.All()) {
				t.Errorf("after a restart: %+v, %v", again.All(), err)
			}
		})
	}
}

// A note that cannot be read allows nothing, and keeps no other device out.
func TestUnreadableNote(t *testing.T) {
	q := openPostgres(t, testpostgres.Database(t))
	s := Shared{q}
	d := Device{Listener: "office", Address: netip.MustParseAddr("10.0.1.5"), Senders: patterns(t, "a@contoso.test"), At: time.Now()}
	if err := s.Save(t.Context(), nil, d, false); err != nil {
		t.Fatal(err)
	}
	if err := q.SetNote(t.Context(), queue.Note{Scope: scope, Key: "office 10.0.1.6", Value: `{"listener":"office","address":`}, time.Hour); err != nil {
		t.Fatal(err)
	}
	list, err := s.Load(context.Background())
	if err != nil || len(list) != 1 || list[0].Address != d.Address || len(list[0].Senders) != 1 || list[0].Senders[0] != d.Senders[0] {
		t.Errorf("the list is %+v, %v", list, err)
	}
}

func asJSON(t *testing.T, list []Device) string {
	t.Helper()
	text, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
