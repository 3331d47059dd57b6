package operations_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/operations"
	"graphrelay/relay/queue"
	"graphrelay/relay/queue/sqlite"
	"graphrelay/relay/reason"
)

const lane = "contoso/crm@contoso.test"

// open returns the operations on a queue with messages that have these subjects, and their IDs.
func open(t *testing.T, subjects ...string) (o operations.Local, ids []string) {
	t.Helper()
	q, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), Exclusive: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	for _, subject := range subjects {
		w, err := q.Create(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write([]byte("Received: by relay\r\nSubject: x\r\n\r\ntext\r\n"))
		e := queue.Entry{Envelope: queue.Envelope{From: "crm@contoso.test", To: []string{"anna@example.com"}},
			Lane: queue.ParseLane(lane), Subject: subject, Listener: "devices", Client: "192.0.2.1", Trace: int64(len("Received: by relay\r\n"))}
		if err := w.Commit(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, w.ID())
	}
	return operations.Local{Store: q, Connections: func() []string { return []string{"contoso", "other"} }}, ids
}

// audits returns what was done, one line each, sorted: records of one millisecond are in no order.
func audits(t *testing.T, o operations.Operations) (lines []string) {
	t.Helper()
	list, err := o.Audits(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		lines = append(lines, fmt.Sprintf("%s: %s %s: %d", a.By, a.Action, a.On, a.Changed))
	}
	slices.Sort(lines)
	return lines
}

func TestAct(t *testing.T) {
	o, ids := open(t, "one", "two")
	named := []string{ids[0], "0000000000000000"}
	for _, dry := range []bool{true, false} {
		results, err := o.Act(t.Context(), "anna", queue.Hold, named, dry)
		if err != nil || len(results) != 2 || results[0] != (operations.Result{ID: ids[0]}) || results[1].ID != named[1] || !errors.Is(results[1].Err, queue.ErrNotFound) {
			t.Errorf("dry %v: %v, %v", dry, results, err)
		}
		want := queue.Held
		if dry {
			want = queue.Queued
		}
		m, err := o.Message(t.Context(), ids[0])
		if err != nil || m.State != want || m.Events == nil {
			t.Errorf("dry %v: it is %+v, %v", dry, m, err)
		}
	}
	if results, err := o.Act(t.Context(), "anna", queue.Hold, ids[:1], true); err != nil || !errors.Is(results[0].Err, queue.ErrState) {
		t.Errorf("a held message may be held: %v, %v", results, err)
	}
	if got, want := audits(t, o), []string{"anna: hold " + strings.Join(named, " ") + ": 1"}; !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("on record are %q, want %q", got, want)
	}
}

func TestActAll(t *testing.T) {
	o, _ := open(t, "one", "two", "three")
	f := queue.Filter{Subject: "t", States: operations.Waiting()}
	steps := []struct {
		f    queue.Filter
		dry  bool
		want int64
	}{{f, true, 2}, {queue.Filter{Limit: 1}, true, 1}, {queue.Filter{Subject: "t", Limit: 1}, false, 1}, {f, false, 1}, {f, false, 0}}
	for _, s := range steps {
		if n, err := o.ActAll(t.Context(), "anna", queue.Hold, s.f, s.dry); err != nil || n != s.want {
			t.Errorf("%+v: %d, %v; want %d", s, n, err, s.want)
		}
	}
	if _, err := o.ActAll(t.Context(), "anna", queue.Hold, queue.Filter{States: []queue.State{queue.Sent}}, false); !errors.Is(err, queue.ErrState) {
		t.Errorf("sent messages: %v", err)
	}
	want := []string{"anna: hold --limit 1 --state all --subject t: 1", "anna: hold --subject t: 1", "anna: hold --subject t: 0"}
	if got := audits(t, o); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("on record are %q, want %q", got, want)
	}
}

// What is done until an operator goes away is on record all the same.
func TestActAllInterrupted(t *testing.T) {
	o, _ := open(t, "one")
	ctx, cancel := context.WithCancel(t.Context())
	o.Store = cancelling{o.Store.(*queue.Queue), cancel}
	if n, err := o.ActAll(ctx, "anna", queue.Hold, queue.Filter{}, false); n != 1 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d, %v", n, err)
	}
	if got, want := audits(t, o), []string{"anna: hold --state all: 1"}; !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("on record are %q, want %q", got, want)
	}
}

// cancelling is a queue whose caller goes away during an action.
type cancelling struct {
	*queue.Queue
	cancel func()
}

func (c cancelling) ApplyAll(ctx context.Context, f queue.Filter, a queue.Action, by string) (int, error) {
	n, err := c.Queue.ApplyAll(ctx, f, a, by)
	c.cancel()
	return n, errors.Join(err, ctx.Err())
}

func TestContent(t *testing.T) {
	o, ids := open(t, "one")
	var b strings.Builder
	if err := o.Content(t.Context(), ids[0], &b); err != nil || b.String() != "Subject: x\r\n\r\ntext\r\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
	if _, err := o.Act(t.Context(), "anna", queue.Delete, ids, false); err != nil {
		t.Fatal(err)
	}
	if err := o.Content(t.Context(), ids[0], &b); !errors.Is(err, operations.ErrNoContent) || err.Error() != "its content is gone, since it is deleted" {
		t.Errorf("of a deleted one: %v", err)
	}
	if err := o.Content(t.Context(), "nonsense", &b); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("of none: %v", err)
	}
}

// Who has read a message is on record, with all IDs and with nothing of the content.
func TestRecordReading(t *testing.T) {
	subjects := make([]string, 30)
	for i := range subjects {
		subjects[i] = "confidential"
	}
	o, ids := open(t, subjects...)
	ctx := t.Context()
	if err := errors.Join(o.RecordReading(ctx, "anna", operations.ReadSource, ids[0]), o.RecordReading(ctx, "bert", operations.Exported, append([]string{"<no ID>"}, ids...)...),
		o.RecordReading(ctx, "carl", operations.Exported, "", "confidential")); err != nil {
		t.Fatal(err)
	}
	list, err := o.Audits(ctx, 10)
	slices.SortFunc(list, func(a, b queue.Audit) int { return strings.Compare(a.By, b.By) })
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	for i, want := range []queue.Audit{{By: "anna", Action: "read source", On: ids[0]}, {By: "bert", Action: "export", On: strings.Join(ids, " ")}} {
		got := list[i]
		if want.ID, want.At = got.ID, got.At; got != want || time.Since(got.At) > time.Hour {
			t.Errorf("on record is %+v, want %+v", got, want)
		}
	}
}

func TestPauseAndResume(t *testing.T) {
	o, _ := open(t, "one")
	ctx := t.Context()
	for name, text := range map[string]string{"contos": `no connection "contos"`, "contoso/": "no mailbox", "contoso/anna": "no address", "": "no connection"} {
		if err := o.Pause(ctx, "anna", name, 0); !errors.Is(err, operations.ErrLane) || !strings.Contains(err.Error(), text) {
			t.Errorf("pause %q: %v", name, err)
		}
	}
	if _, err := o.Resume(ctx, "anna", lane); !errors.Is(err, operations.ErrNotPaused) {
		t.Errorf("resume without a pause: %v", err)
	}
	if err := errors.Join(o.Pause(ctx, "anna", "contoso", 0), o.Pause(ctx, "anna", lane, time.Hour)); err != nil {
		t.Fatal(err)
	}
	lanes, err := o.Lanes(ctx)
	if err != nil || len(lanes) != 2 || !lanes[0].PausedUntil.Equal(queue.Forever) || time.Until(*lanes[1].PausedUntil).Round(time.Hour) != time.Hour {
		t.Errorf("lanes are %+v, %v", lanes, err)
	}
	var whole *operations.PausedAsWholeError
	if _, err := o.Resume(ctx, "anna", "contoso/bert@contoso.test"); !errors.As(err, &whole) || whole.Lane != "contoso" {
		t.Errorf("a lane that is paused with others: %v", err)
	}
	if n, err := o.Resume(ctx, "anna", "contoso"); n != 2 || err != nil {
		t.Errorf("resume all: %d, %v", n, err)
	}
	if _, err := o.Resume(ctx, "anna", "contoso"); !errors.Is(err, operations.ErrNotPaused) {
		t.Errorf("resume all again: %v", err)
	}
	got := audits(t, o)
	if done := slices.DeleteFunc(got, func(line string) bool { return !strings.HasSuffix(line, ": 1") }); !slices.Equal(done, []string{"anna: pause " + lane + ": 1", "anna: pause contoso: 1", "anna: resume contoso: 1"}) {
		t.Errorf("done was %q", done)
	}
}

func TestDrain(t *testing.T) {
	o, _ := open(t)
	for _, drain := range []bool{true, false} {
		if err := o.Drain(t.Context(), "anna", "relay2", drain); !errors.Is(err, queue.ErrNotShared) || !strings.Contains(err.Error(), "stop the relay instead") {
			t.Errorf("drain %v: %v", drain, err)
		}
	}
	if got, want := audits(t, o), []string{"anna: drain relay2: 0", "anna: undrain relay2: 0"}; !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("on record are %q, want %q", got, want)
	}
}

// A record of what was done is bounded, whatever was named.
func TestAuditBounds(t *testing.T) {
	o, _ := open(t)
	if _, err := o.Act(t.Context(), "anna", queue.Hold, slices.Repeat([]string{strings.Repeat("x", 10_000)}, 23), false); err != nil {
		t.Fatal(err)
	}
	if got := audits(t, o); len(got) != 1 || len(got[0]) > 10_000 || !strings.HasSuffix(got[0], "x... and 3 more: 0") {
		t.Errorf("%q", got)
	}
}

func TestSelection(t *testing.T) {
	at := time.Date(2026, 11, 29, 14, 0, 0, 0, time.UTC)
	for want, f := range map[string]queue.Filter{
		"--all":                      {States: operations.Waiting()},
		"--state all":                {},
		"--state held,failed":        {States: []queue.State{queue.Held, queue.Failed}},
		"--limit 3 --message-id <x>": {States: operations.Waiting(), Limit: 3, MessageID: "<x>"},
		"--client 192.0.2. --from a --id 06 --lane c/m --older 2026-11-29T14:00:00Z --reason network,throttled --since 2026-11-29T14:00:00Z --state all --subject s --text x --to b --user u": {
			States: queue.States(), Client: "192.0.2.", From: "a", ID: "06", Lane: "c/m", Before: at, Since: at, Reasons: []reason.Reason{reason.Network, reason.Throttled},
			Subject: "s", Text: "x", To: "b", User: "u"},
	} {
		if got := operations.Selection(f); got != want {
			t.Errorf("%+v is %q, want %q", f, got, want)
		}
	}
}

// What programs read of a message without a history, and of one in a list.
func TestMessageJSON(t *testing.T) {
	o, ids := open(t, "one")
	m, err := o.Message(t.Context(), ids[0])
	if err != nil {
		t.Fatal(err)
	}
	listed, err := o.Messages(t.Context(), queue.Filter{})
	if err != nil || len(listed) != 1 || listed[0].Events != nil {
		t.Fatal(listed, err)
	}
	m.Events = []queue.Event{}
	for want, m := range map[bool]operations.Message{true: m, false: listed[0]} {
		data, err := json.Marshal(m)
		if err != nil || strings.Contains(string(data), `"events":[]`) != want || strings.Contains(string(data), `"dsn"`) {
			t.Errorf("%s, %v", data, err)
		}
	}
}
