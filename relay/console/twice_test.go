package console

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"graphrelay/relay/operators"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// TestMayArriveTwice checks that nobody sends a message that may have been sent before without having
// read that it may then arrive twice, and that of other messages nothing is said.
func TestMayArriveTwice(t *testing.T) {
	m := newMailConsole(t)
	unknown := m.put(queue.Entry{Subject: "unknown"}, "x")
	m.end(queue.Outcome{State: queue.Held, Reason: reason.SendUnknown})
	doubt := m.put(queue.Entry{Subject: "doubt"}, "x")
	m.end(queue.Outcome{State: queue.Held, Reason: reason.Operator, Progress: queue.Progress{InDoubt: true}})
	plain := m.put(queue.Entry{Subject: "plain"}, "x")
	if err := m.store.Apply(t.Context(), plain, queue.Hold, "anna"); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]int{unknown: 2, doubt: 1, plain: 0} { // before the actions, and before sending again
		page := m.page("/console/messages/" + id)
		if got := strings.Count(page, "a second time"); got != want || want > 0 && strings.LastIndex(page, "a second time") > strings.Index(page, ">Send again<") {
			t.Errorf("%s: %d warnings, want %d", m.subject(id), got, want)
		}
	}
	act := func(action string, form url.Values) string {
		t.Helper()
		form.Set("action", action)
		w := m.do(operators.Operator, http.MethodPost, "/console/messages/act", form)
		location := w.Header().Get("Location")
		if w.Code != http.StatusSeeOther || !strings.HasPrefix(location, "/console/messages/confirm?") {
			return ""
		}
		return m.page(location)
	}
	for _, action := range []string{"release", "retry"} {
		for name, form := range map[string]url.Values{
			"one":      {"id": {unknown}},
			"among":    {"id": {plain, unknown, doubt}},
			"all":      {"scope": {"all"}},
			"selected": {"scope": {"all"}, "reason": {"operator", "send_unknown"}, "state": {"held"}, "q": {"unknown"}},
		} {
			if page := act(action, form); !strings.Contains(page, "1 message may have been sent before, and its recipients would get it a second time") {
				t.Errorf("%s %s: asked is %s", action, name, page)
			}
		}
		for name, form := range map[string]url.Values{"state": {"scope": {"all"}, "state": {"deferred"}}, "reason": {"scope": {"all"}, "reason": {"operator"}}, "text": {"scope": {"all"}, "q": {"plain"}}} {
			if page := act(action, form); strings.Contains(page, "a second time") || page == "" {
				t.Errorf("%s %s: asked is %s", action, name, page)
			}
		}
	}
	if page := act("delete", url.Values{"id": {unknown}}); strings.Contains(page, "a second time") || page == "" {
		t.Errorf("before a deletion: asked is %s", page)
	}
	if got := m.state(unknown); got != queue.Held {
		t.Errorf("unasked it is %s", got)
	}
	if page := act("release", url.Values{"id": {plain, doubt}}); page != "" || m.state(plain) != queue.Queued || m.state(doubt) != queue.Queued {
		t.Errorf("without a doubt: %s %s %s", m.state(plain), m.state(doubt), page)
	}
	if page := act("release", url.Values{"id": {unknown}, "confirmed": {"1"}}); page != "" || m.state(unknown) != queue.Queued {
		t.Errorf("asked, it is %s; %s", m.state(unknown), page)
	}
}

func (m *mailConsole) subject(id string) string {
	m.Helper()
	r, _, err := m.store.Get(m.Context(), id)
	if err != nil {
		m.Fatal(err)
	}
	return r.Subject
}
