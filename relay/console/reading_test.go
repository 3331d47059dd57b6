package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"graphrelay/relay/operations"
	"graphrelay/relay/operators"
	"graphrelay/relay/queue"
)

// readings returns who has read what, oldest first.
func (m *mailConsole) readings() (lines []string) {
	m.Helper()
	list, err := m.store.Audits(m.Context(), 100)
	if err != nil {
		m.Fatal(err)
	}
	slices.SortFunc(list, func(a, b queue.Audit) int { return a.At.Compare(b.At) })
	for _, a := range list {
		lines = append(lines, a.By+": "+a.Action+" "+a.On)
	}
	return lines
}

// TestReadingIsRecorded checks that each page or download that shows content leaves one record, and
// that what shows none leaves none.
func TestReadingIsRecorded(t *testing.T) {
	m := newMailConsole(t)
	id, other, gone := m.put(attachedEntry(), attached), m.put(queue.Entry{Subject: "other"}, "x"), m.put(queue.Entry{Subject: "gone"}, "x")
	if err := m.store.Apply(t.Context(), gone, queue.Delete, "anna"); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/console/messages", "/console/messages/" + id, "/console/audit", "/console/messages/" + gone + "/source", "/console/messages/" + gone + "/export",
		"/console/messages/export.zip?id=" + gone} {
		m.do(operators.Operator, http.MethodGet, path, nil)
	}
	m.do(operators.Viewer, http.MethodGet, "/console/messages/"+id+"/source", nil)
	if got := m.readings(); len(got) > 0 {
		t.Errorf("without reading content, on record is %q", got)
	}
	const by = "anna (console): "
	var want []string
	for path, line := range map[string]string{
		"/console/messages/" + id + "/content":                                                "read content " + id,
		"/console/messages/" + id + "/source":                                                 "read source " + id,
		"/console/messages/" + id + "/export":                                                 "export " + id,
		"/console/messages/export.zip?" + url.Values{"id": {id, other, gone, "<x>"}}.Encode(): "export " + id + " " + other,
		"/console/messages/export.zip?scope=all&q=other":                                      "export " + other,
	} {
		want = append(want, by+line)
		m.page(path)
	}
	got := m.readings()
	slices.Sort(got)
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("on record is %q, want %q", got, want)
	}
}

// unrecorded are operations whose audit log cannot be written.
type unrecorded struct{ operations.Operations }

func (unrecorded) RecordReading(context.Context, string, operations.Reading, ...string) error {
	return errors.New("the disk is full")
}

// TestUnrecordedIsNotShown checks that nobody reads what cannot be recorded.
func TestUnrecordedIsNotShown(t *testing.T) {
	m := newMailConsole(t)
	id := m.put(attachedEntry(), attached)
	c, mux := testConsole(testRelay{})
	c.cfg.Ops, c.cfg.Live = unrecorded{operations.Local{Store: m.store}}, mailRelay{store: m.store}
	for _, path := range []string{id + "/content", id + "/source", id + "/export", "export.zip?id=" + id, "export.zip?scope=all"} {
		if w := as(mux, operators.Operator, http.MethodGet, "/console/messages/"+path, nil); w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "a.pdf") || strings.Contains(w.Body.String(), "PK") {
			t.Errorf("%s answers %d", path, w.Code)
		}
	}
}
