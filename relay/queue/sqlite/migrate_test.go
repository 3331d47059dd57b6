package sqlite

import (
	"database/sql"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/queue"
)

// oldDatabase makes the database of testdata/schema1.sql.
func oldDatabase(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	c := openOld(t, dir)
	content, err := os.ReadFile("testdata/schema1.sql")
	if err != nil {
		t.Fatal(err)
	}
	if err := migrateTo(t.Context(), c, 0, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ExecContext(t.Context(), string(content)); err != nil {
		t.Fatal(err)
	}
	for id := range oldRecords() {
		var from, to, dsn string
		if err := c.QueryRowContext(t.Context(), "SELECT mail_from, recipients, dsn FROM message WHERE id=?", id).Scan(&from, &to, &dsn); err != nil {
			t.Fatal(err)
		}
		sum := queue.Seal(crc32.Checksum([]byte("content"), queue.Castagnoli), from, to, dsn)
		if _, err := c.ExecContext(t.Context(), "UPDATE message SET sum=? WHERE id=?", sum, id); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// openOld opens a database without converting it.
func openOld(t *testing.T, dir string) *sql.Conn {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(filepath.Join(dir, DatabaseName), writerPragmas))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	c, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// fixedClock is a queue.Source whose time stands still at so many seconds.
type fixedClock int64

func (c fixedClock) Wall() time.Time      { return time.Unix(int64(c), 0) }
func (fixedClock) Elapsed() time.Duration { return 0 }

// oldRecords is what testdata/schema1.sql reads as.
func oldRecords() map[string]queue.Record {
	at := func(seconds int64) time.Time { return time.Unix(1767323045+seconds, 0) }
	later := func(micros int64) time.Time { return time.UnixMicro(4102444800000000 + micros) }
	contoso := queue.Lane{Connection: "contoso", Mailbox: "a@contoso.test"}
	entry := func(l queue.Lane, subject, messageID string) queue.Entry {
		return queue.Entry{Envelope: queue.Envelope{From: l.Mailbox, To: []string{"x@example.test"}}, Lane: l, Subject: subject, MessageID: messageID,
			Listener: "devices", User: "crm", Client: "10.0.0.1"}
	}
	visitor := func(l queue.Lane, subject, messageID, client string) queue.Entry {
		e := entry(l, subject, messageID)
		e.Listener, e.User, e.Client = "visitors", l.Principal, client
		return e
	}
	first := entry(contoso, "new", "<1@x>")
	first.Envelope.To = append(first.Envelope.To, "Ü@example.test")
	first.Envelope.UTF8 = true
	first.Envelope.DSN = queue.DSN{Return: "HDRS", EnvelopeID: "e1", Recipients: map[string]queue.RecipientDSN{"x@example.test": {Notify: []string{"FAILURE"}}}}
	first.From, first.Sender, first.ReplyTo, first.Signature, first.Trace = "shown@contoso.test", "sender@contoso.test", "reply@contoso.test", "sales", 3
	progress := func(document string, leftover, inDoubt bool) queue.Progress {
		return queue.Progress{Document: []byte(document), Leftover: leftover, InDoubt: inDoubt}
	}
	records := map[string]queue.Record{}
	for n, r := range []queue.Record{
		{Entry: first, Status: queue.Status{State: queue.Queued, Due: at(0), Fence: 0, StartTag: 41, HasContent: true}},
		{Entry: visitor(queue.Lane{Connection: "tenants", Principal: "anna@contoso.test", Mailbox: "anna@contoso.test"}, "claimed", "<2@x>", "10.0.0.2"),
			Status: queue.Status{State: queue.Delivering, Due: at(1), Attempts: 1, Progress: progress(`{"draft_wanted":true}`, true, false), Fence: 4, StartTag: 2, HasContent: true}},
		{Entry: entry(contoso, "uploading", "<3@x>"), Status: queue.Status{State: queue.Deferred, Due: later(0), Attempts: 2, Warned: true, Reason: "network", Detail: "reset",
			Progress: progress(`{"path":"draft","draft_wanted":true,"draft_id":"AAk=","attached":2,"upload_url":"https://graph.test/u?token=1&x=\"y\"","upload_offset":327680}`, true, false), Fence: 2, StartTag: 39, HasContent: true}},
		{Entry: entry(contoso, "in doubt", "<4@x>"), Status: queue.Status{State: queue.Deferred, Due: later(1), Attempts: 1, Reason: "confirming",
			Progress: progress(`{"path":"draft","draft_wanted":true,"draft_id":"AAl=","send":"requested","send_wanted":"2026-01-02T03:04:08.250001Z","settle":"2026-01-02T03:09:08.250001Z"}`, true, true), Fence: 1, StartTag: 38, HasContent: true}},
		{Entry: visitor(queue.Lane{Connection: "tenants", Principal: "id@fabrikam.test", Mailbox: "b@fabrikam.test"}, "held", "<5@x>", "10.0.0.3"),
			Status: queue.Status{State: queue.Held, Due: at(4), Attempts: 1, Reason: "send_unknown", Progress: progress(`{"path":"draft","late_draft":true}`, true, false), Fence: 3, StartTag: 0, HasContent: true}},
		{Entry: entry(contoso, "sent", "<6@x>"), Status: queue.Status{State: queue.Sent, Due: at(15), Attempts: 1, Finished: at(15),
			Progress: progress(`{"path":"mime","draft_wanted":true,"draft_id":"AAm=","send":"accepted","send_wanted":"2026-01-02T03:04:10.000000Z","settle":"2026-01-02T03:09:10.000000Z"}`, true, true), Fence: 1, StartTag: 37}},
		{Entry: entry(contoso, "failed", "<7@x>"), Status: queue.Status{State: queue.Failed, Due: at(16), Attempts: 3, Finished: at(16), Reason: "too_large", Detail: "no", Fence: 1, StartTag: 36, HasContent: true}},
		{Entry: entry(contoso, "not sent", "<8@x>"), Status: queue.Status{State: queue.Deferred, Due: later(2), Attempts: 1, Reason: "network",
			Progress: progress(`{"path":"draft","draft_wanted":true,"draft_id":"AAn=","send":"refused","send_wanted":"2026-01-02T03:04:12.000000Z","settle":"2026-01-02T03:04:12.000000Z"}`, true, false), Fence: 1, StartTag: 35, HasContent: true}},
	} {
		r.ID, r.Received, r.Arrived, r.Size = "000000000000000"+string(rune('0'+n)), at(int64(n)), at(int64(n)), 7
		records[r.ID] = r
	}
	return records
}

// TestMigration opens a database of schema 1, which has to read back as what it was, and
// goes on with it.
func TestMigration(t *testing.T) {
	dir := oldDatabase(t)
	if _, err := Open(t.Context(), Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "older graphrelay") {
		t.Fatalf("opened beside the relay that may be running: %v", err)
	}
	s := open(t, Options{Dir: dir, Exclusive: true, Source: fixedClock(4102444800 - 1800)}) // before its messages are due
	list, err := s.List(t.Context(), queue.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	want := oldRecords()
	for _, r := range list {
		w := want[r.ID]
		delete(want, r.ID)
		if w.State == queue.Delivering { // its process is dead
			w.State, w.Due, w.Fence = queue.Queued, r.Due, w.Fence+1
		}
		w.PausedUntil = r.PausedUntil // see oldPauses
		if !reflect.DeepEqual(r, w) {
			t.Errorf("got %+v\nwith %s\nwant %+v\nwith %s", r, r.Progress.Document, w, w.Progress.Document)
		}
		if err := checkContent(t, s, r.ID); err != nil && !(r.State == queue.Sent && errors.Is(err, queue.ErrNotFound)) {
			t.Error(err)
		}
	}
	if len(want) != 0 {
		t.Errorf("lost: %+v", want)
	}
	_, events, err := s.Get(t.Context(), "0000000000000002")
	if err != nil || len(events) != 2 || events[0].What != "draft created" || events[0].RequestID != "r1" {
		t.Errorf("history %+v, %v", events, err)
	}
	if err := s.SetAudit(t.Context(), queue.Audit{ID: "1"}); err != nil {
		t.Error(err)
	}
	oldCleanup(t, s)
	oldPauses(t, s)
	oldTags(t, s)
}

func oldCleanup(t *testing.T, s opened) {
	t.Helper()
	got, err := s.NextCleanup(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	want := queue.Lane{Connection: "tenants", Principal: "anna@contoso.test", Mailbox: "anna@contoso.test"}
	const document = `{"path":"draft","draft_wanted":true,"draft_id":"AAo=","late_draft":true,"attached":1,"send":"requested","send_wanted":"2026-01-02T04:04:05.25+01:00","settle":"2026-01-02T03:09:05.123456789Z"}`
	if got.ID != "000000000000000z" || got.Lane != want || got.State != queue.Failed || got.MessageID != "<9@x>" || !got.Since.Equal(time.Unix(1767323070, 0)) ||
		string(got.Progress.Document) != document || !got.Progress.Leftover {
		t.Errorf("the cleanup is %+v with %s", got, got.Progress.Document)
	}
}

// oldPauses ends the pauses, and claims what they kept.
func oldPauses(t *testing.T, s opened) {
	t.Helper()
	claim := func() (ids []string) {
		tasks, _, err := s.Claim(t.Context(), queue.Claim{Node: "n", Max: 10, PerLane: 10})
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			ids = append(ids, task.ID)
		}
		return ids
	}
	if got := claim(); got != nil {
		t.Errorf("claimed %q from paused lanes", got)
	}
	for _, tt := range []struct {
		lane queue.Lane
		id   string
	}{
		{queue.Lane{Connection: "contoso"}, "0000000000000000"},
		{queue.Lane{Connection: "tenants", Principal: "anna@contoso.test", Mailbox: "anna@contoso.test"}, "0000000000000001"},
	} {
		if err := s.Resume(t.Context(), tt.lane); err != nil {
			t.Errorf("%s: %v", tt.lane, err)
		}
		if got := claim(); len(got) != 1 || got[0] != tt.id {
			t.Errorf("claimed %q after the pause of %s", got, tt.lane)
		}
	}
}

// oldTags queues two more messages: those of a sender follow its earlier one, others
// come in where the lane is.
func oldTags(t *testing.T, s opened) {
	t.Helper()
	entry := oldRecords()["0000000000000002"].Entry
	for from, want := range map[string]int64{"a@contoso.test": 42, "other@contoso.test": 42} {
		entry.Envelope.From = from
		w, err := s.Create(t.Context())
		if err == nil {
			err = w.Commit(t.Context(), entry)
		}
		if err != nil {
			t.Fatal(err)
		}
		var tag int64
		if err := s.storage.read.QueryRowContext(t.Context(), "SELECT start_tag FROM message WHERE id=?", w.ID()).Scan(&tag); err != nil || tag != want {
			t.Errorf("the start tag of %s is %d, want %d; %v", from, tag, want, err)
		}
	}
}
