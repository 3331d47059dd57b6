package console

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/graph"
	"graphrelay/relay/operations"
	"graphrelay/relay/operators"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

func testMailboxes() []operations.Mailbox {
	until, forever, oldest := at.Add(2*time.Hour), queue.Forever, at.Add(-time.Hour)
	return []operations.Mailbox{
		{Lane: operations.Lane{Lane: operations.LaneName{Connection: "contoso"}, PausedUntil: &until, PausedFor: reason.SignIn}},
		{Lane: operations.Lane{Lane: operations.LaneName{Connection: "contoso", Mailbox: "crm@contoso.test"}, PausedUntil: &forever, PausedFor: reason.Operator,
			Messages: map[queue.State]int64{queue.Deferred: 1200}, Oldest: &oldest},
			Graph:      &graph.Usage{Requests: 3, Concurrency: 4, Budgets: []graph.BudgetUsage{{Budget: graph.Budget{Amount: 150 << 20, Per: 5 * time.Minute}, Of: "uploaded bytes", Used: 12_000_000}}},
			Recipients: 8500, RecipientLimit: 10_000},
		{Lane: operations.Lane{Lane: operations.LaneName{Connection: "contoso", Mailbox: hostile}}, Recipients: 3},
	}
}

func TestMailboxes(t *testing.T) {
	_, mux := testConsole(testRelay{mailboxes: testMailboxes()})
	body := as(mux, operators.Operator, http.MethodGet, "/console/mailboxes", nil).Body.String()
	for _, want := range []string{"All of contoso", "cannot sign in to Microsoft 365", "(in 2 h)", "until it is resumed", "An operator asked for this", "1,200", "the oldest from",
		"3 of 4 at a time", "12 MB of 157 MB in 5 min", "8,500 of 10,000 in 24 hours", "near its limit", "3 in 24 hours", `name="lane" value="contoso/crm@contoso.test"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(body, "<script>alert") {
		t.Error("a name is not inert")
	}
	body = as(mux, operators.Viewer, http.MethodGet, "/console/mailboxes?q=CRM", nil).Body.String()
	if strings.Contains(body, `action="/console/mailboxes/`) || strings.Contains(body, "All of contoso") || !strings.Contains(body, "crm@contoso.test") {
		t.Errorf("a viewer who searches sees %s", body)
	}
	many := make([]operations.Mailbox, maxMailboxes+7)
	_, mux = testConsole(testRelay{mailboxes: many})
	if body := as(mux, operators.Viewer, http.MethodGet, "/console/mailboxes", nil).Body.String(); !strings.Contains(body, "7 more mailboxes are not shown") {
		t.Error("the page does not say that it is not complete")
	}
}

func TestMailboxActions(t *testing.T) {
	for _, test := range []struct {
		path  string
		form  url.Values
		asked []string
	}{
		{"pause", url.Values{"lane": {"contoso/crm@contoso.test"}, "for": {"4h"}}, []string{"anna (console) pauses contoso/crm@contoso.test for 4h0m0s"}},
		{"pause", url.Values{"lane": {"contoso"}, "for": {""}}, []string{"anna (console) pauses contoso for 0s"}},
		{"pause", url.Values{"lane": {"contoso"}, "for": {"-1h"}}, nil},
		{"pause", url.Values{"lane": {"contoso"}, "for": {"long"}}, nil},
		{"resume", url.Values{"lane": {"contoso"}}, []string{"anna (console) resumes contoso"}},
	} {
		var asked []string
		_, mux := testConsole(testRelay{asked: &asked})
		if w := as(mux, operators.Viewer, http.MethodPost, "/console/mailboxes/"+test.path, test.form); w.Code != http.StatusForbidden || len(asked) > 0 {
			t.Errorf("%s %v: a viewer did it: %d", test.path, test.form, w.Code)
		}
		w := as(mux, operators.Operator, http.MethodPost, "/console/mailboxes/"+test.path, test.form)
		if w.Code != http.StatusSeeOther || !slices.Equal(asked, test.asked) {
			t.Errorf("%s %v: %d, asked %q", test.path, test.form, w.Code, asked)
		}
	}
	c, mux := testConsole(testRelay{err: errors.New("no such lane")})
	as(mux, operators.Operator, http.MethodPost, "/console/mailboxes/resume", url.Values{"lane": {"x"}})
	for _, res := range c.results.All() {
		if !res.Failed || res.Text != "Cannot resume x: no such lane" {
			t.Errorf("%+v", res)
		}
	}
}
