package sqlite

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// A column takes no value of another type.
func TestStrictTables(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Exclusive: true})
	if _, err := put(t, s, 10); err != nil {
		t.Fatal(err)
	}
	rows, err := s.storage.read.QueryContext(t.Context(), "SELECT name FROM pragma_table_list WHERE type='table' AND schema='main' AND NOT strict AND name NOT IN ('body', 'sqlite_schema')")
	if loose, err := ids(rows, err); err != nil || len(loose) != 0 {
		t.Errorf("not strict: %q, %v", loose, err)
	}
	for _, column := range []string{"received", "arrived", "size", "sum", "body", "lane", "utf8", "trace", "due", "start_tag", "attempts", "warned", "fence", "finished", "leftover", "in_doubt"} {
		if err := s.storage.writer.conn.run("UPDATE message SET " + column + "='soon'"); err == nil {
			t.Errorf("%s takes a text", column)
		}
	}
}

// loosen makes a table take values of any type, as a damaged page may hold them.
func loosen(t *testing.T, s opened, table string) {
	t.Helper()
	for _, statement := range []string{
		"PRAGMA writable_schema = ON",
		"UPDATE sqlite_schema SET sql = replace(replace(replace(sql, 'STRICT, ', ''), 'INTEGER', 'BLOB'), 'TEXT', 'BLOB') WHERE name = '" + table + "'",
		"PRAGMA writable_schema = RESET",
	} {
		if err := s.storage.writer.conn.run(statement); err != nil {
			t.Fatal(err)
		}
	}
}

// A record of which a part cannot be read is held, and the others go on.
func TestUnreadableRecord(t *testing.T) {
	for _, column := range []string{"received", "arrived", "size", "utf8", "trace", "attempts", "warned", "fence", "finished", "leftover", "in_doubt"} {
		t.Run(column, func(t *testing.T) {
			s := open(t, Options{Dir: t.TempDir(), Exclusive: true})
			loosen(t, s, "message")
			var all []string
			for range 3 {
				id, err := put(t, s, 10)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, id)
			}
			if err := s.storage.writer.conn.run("UPDATE message SET "+column+"='soon' WHERE id=?", all[0]); err != nil {
				t.Fatal(err)
			}
			tasks, _, err := s.Claim(t.Context(), queue.Claim{Node: "n", Max: 10, PerLane: 10})
			if err != nil || len(tasks) != 2 || tasks[0].ID != all[1] {
				t.Fatalf("claimed %v, %v", tasks, err)
			}
			list, err := s.List(t.Context(), queue.Filter{})
			if err != nil || len(list) != 3 {
				t.Fatalf("listed %v, %v", list, err)
			}
			r, _, err := s.Get(t.Context(), all[0])
			if err != nil || r.State != queue.Held || r.Reason != reason.Storage || !strings.Contains(r.Detail, "cannot be read") {
				t.Errorf("it is %s, %s: %s; %v", r.State, r.Reason, r.Detail, err)
			}
			if _, err := put(t, s, 10); err != nil {
				t.Errorf("later mail: %v", err)
			}
		})
	}
}

// A message whose state is none is held at the next start: otherwise nobody would ever see it.
// One whose content is nowhere is damaged.
func TestUnknownState(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir, Exclusive: true})
	var all []string
	for range 3 {
		id, err := put(t, s, 10)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, id)
	}
	for _, change := range []string{"state='queuee' WHERE id='" + all[0] + "'", "body=7 WHERE id='" + all[1] + "'"} {
		if err := s.storage.writer.conn.run("UPDATE message SET " + change); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, Options{Dir: dir, Exclusive: true})
	r, _, err := s.Get(t.Context(), all[0])
	if err != nil || r.State != queue.Held || r.Reason != reason.Storage || !strings.Contains(r.Detail, "state") {
		t.Errorf("it is %s, %s: %s; %v", r.State, r.Reason, r.Detail, err)
	}
	if _, err := s.Open(t.Context(), all[1]); !errors.Is(err, queue.ErrDamaged) {
		t.Errorf("the content that is nowhere: %v", err)
	}
	if err := s.Apply(t.Context(), all[0], queue.Release, "test"); err != nil {
		t.Error(err)
	}
	tasks, _, err := s.Claim(t.Context(), queue.Claim{Node: "n", Max: 10, PerLane: 10})
	if err != nil || len(tasks) != 3 {
		t.Errorf("claimed %d, %v", len(tasks), err)
	}
}

// A conversion holds the record of which a number cannot be read, and keeps the others.
func TestUnreadableRecordIsConverted(t *testing.T) {
	dir := oldDatabase(t)
	change := func(statement string) {
		t.Helper()
		db := openOld(t, dir)
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	change("UPDATE message SET due='soon' WHERE id='0000000000000002'")
	change("UPDATE message SET attempts='many' WHERE id='0000000000000005'") // which was sent
	s := open(t, Options{Dir: dir, Exclusive: true, Source: fixedClock(4102444800 - 1800)})
	got := map[string]string{}
	list, err := s.List(t.Context(), queue.Filter{})
	if err != nil || len(list) != len(oldRecords()) {
		t.Fatalf("listed %d, %v", len(list), err)
	}
	for _, r := range list {
		got[r.ID] = fmt.Sprint(r.State, " ", r.Reason)
	}
	if got["0000000000000002"] != "held storage" || got["0000000000000003"] != "deferred confirming" || got["0000000000000005"] != "sent storage" {
		t.Errorf("they are %v", got)
	}
}
