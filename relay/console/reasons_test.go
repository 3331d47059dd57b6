package console

import (
	"html"
	"strings"
	"testing"

	"graphrelay/relay/flow"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// end has the message that is due end in a way.
func (m *mailConsole) end(o queue.Outcome) {
	m.Helper()
	tasks, _, err := m.store.Claim(m.Context(), queue.Claim{Node: "n", Max: 1, PerLane: 1})
	if err != nil || len(tasks) != 1 {
		m.Fatal(tasks, err)
	}
	if err := m.store.Finish(m.Context(), tasks[0].Ref, o); err != nil {
		m.Fatal(err)
	}
}

// TestReasonsInWords checks that pages show reasons in words, beside the reason itself, and those of
// refusals in the words that they have there.
func TestReasonsInWords(t *testing.T) {
	m := newMailConsole(t)
	id := m.put(queue.Entry{}, "x")
	m.end(queue.Outcome{State: queue.Failed, Reason: reason.MailboxUnknown})
	c, mux := testConsole(testRelay{series: flow.Series{Failures: []flow.Tally{{Reason: "network", N: 3}, {Reason: "of a newer version", N: 1}}, Refusals: []flow.Tally{{Reason: "storage", N: 4}}}})
	c.cfg.Edge = &testEdge{listeners: testListeners()} // which have refused for reason.Network
	for name, page := range map[string]struct{ body, words, reason, never string }{
		"messages":  {m.page("/console/messages"), reason.MailboxUnknown.Words(), "mailbox_unknown", ""},
		"message":   {m.page("/console/messages/" + id), reason.MailboxUnknown.Words(), "mailbox_unknown", ""},
		"filter":    {m.page("/console/messages?reason=mailbox_unknown"), reason.LargeFile.Words(), "large_file", ""},
		"overview":  {get(mux, "/console/").Body.String(), reason.Network.Words(), "network", reason.Network.RefusalWords()},
		"unknown":   {get(mux, "/console/").Body.String(), "", "of a newer version", ""},
		"refusals":  {get(mux, "/console/").Body.String(), reason.Storage.RefusalWords(), "storage", reason.Storage.Words()},
		"listeners": {get(mux, "/console/listeners").Body.String(), reason.Network.RefusalWords(), "network", reason.Network.Words()},
	} {
		text := html.UnescapeString(page.body)
		if want := page.words + " <code class=\"code\">" + page.reason + "</code>"; !strings.Contains(text, strings.TrimPrefix(want, " ")) || page.never != "" && strings.Contains(text, page.never) {
			t.Errorf("%s: the page lacks %s, or has %q", name, want, page.never)
		}
	}
	if body := m.page("/console/messages?reason=mailbox_unknown"); !strings.Contains(body, `value="mailbox_unknown" checked`) || len(listedIDs(body)) != 1 {
		t.Errorf("the search for the reason shows %s", body)
	}
}
