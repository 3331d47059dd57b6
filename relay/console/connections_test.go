package console

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/config"
	"graphrelay/relay/connection"
	"graphrelay/relay/operations"
	"graphrelay/relay/operators"
	"graphrelay/relay/reason"
	"graphrelay/relay/trial"
)

// testSignIns has some connections, and records what is asked of it.
type testSignIns struct {
	operations.Operations
	connections []operations.Connection
	asked       []string
	err         error
}

func (s *testSignIns) Connections(context.Context) ([]operations.Connection, error) {
	return s.connections, s.err
}

func (s *testSignIns) TryConnection(_ context.Context, by string, q trial.Request) error {
	s.asked = append(s.asked, fmt.Sprintf("%s tries %+v", by, q))
	return s.err
}

func (s *testSignIns) StopTrial(_ context.Context, by string) error {
	s.asked = append(s.asked, by+" stops")
	return s.err
}

func (s *testSignIns) Resume(_ context.Context, by, lane string) (int, error) {
	s.asked = append(s.asked, by+" resumes "+lane)
	return 2, s.err
}

func testConnections() []operations.Connection {
	soon, past, before, forever := time.Now().Add(9*24*time.Hour+time.Hour), time.Now().Add(-50*time.Hour), at.Add(-time.Minute), at.Add(time.Hour)
	return []operations.Connection{
		{Name: "contoso", SignIn: config.SignInSecret, Tenant: hostile, ClientID: hostile, Domains: []string{"contoso.test", hostile}, State: operations.ConnectionPaused,
			PausedUntil: &forever, PausedFor: reason.SignIn, Activity: connection.Activity{SignInFailing: true, LastError: hostile, LastErrorAt: &before, Requests: 1234, Throttled: 5},
			Credential: "client secret", Expires: &soon, Notice: "make a new one",
			Checked: &trial.Checked{At: before, Check: connection.Check{Rights: []string{"Mail.Send", hostile}}},
			Trial:   &trial.Trial{Probe: true, Mailbox: hostile, By: hostile, Started: before, Step: 3, Steps: 20, Lines: []trial.Line{{Tone: trial.Fault, Text: hostile}}}},
		{Name: "fabrikam", State: operations.ConnectionWorking, Credential: "certificate", Expires: &past, Connected: 2, Refused: []string{hostile},
			Trial: &trial.Trial{Started: before, Ended: &before, Good: true}},
		{Name: "new", State: operations.ConnectionUnknown, Credential: "client secret"},
	}
}

func TestConnections(t *testing.T) {
	c, mux := testConsole(testRelay{})
	c.cfg.SignIns = &testSignIns{connections: testConnections()}
	body := as(mux, operators.Admin, http.MethodGet, "/console/connections", nil).Body.String()
	for _, want := range []string{"No mail of this connection is sent", "sign_in", "9 days left", "expired", "when it expires is not known", "1,234 requests", "5 of them throttled",
		"step 3 of 20", `<progress max="20" value="3"`, "2 connected by their owners", "Resume contoso", "Stop", "Mail.Send", "make a new one"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(body, "<script>alert") || strings.Contains(body, "<img") || strings.Count(body, "&lt;script&gt;alert(1)") < 8 {
		t.Error("texts from outside are not shown as text")
	}
	if strings.Count(body, "disabled") != 3 || strings.Contains(body, "/connections/probe?") {
		t.Error("a second trial at a time is offered")
	}
	body = as(mux, operators.Viewer, http.MethodGet, "/console/connections", nil).Body.String()
	if strings.Contains(body, `action="/console/connections`) || strings.Contains(body, "/connections/probe") {
		t.Error("a viewer is offered to act")
	}
	if body = as(mux, operators.Admin, http.MethodGet, "/console/connections/probe?connection=contoso", nil).Body.String(); !strings.Contains(body, `type="email"`) {
		t.Errorf("the form is %s", body)
	}
	if w := as(mux, operators.Admin, http.MethodGet, "/console/connections/probe?connection=none", nil); w.Code != http.StatusNotFound {
		t.Errorf("an unknown connection: %d", w.Code)
	}
}

func TestConnectionActions(t *testing.T) {
	form := url.Values{"connection": {"contoso"}, "mailbox": {" anna@contoso.test "}}
	for _, test := range []struct {
		path  string
		role  operators.Role // the least
		asked string
	}{
		{"check", operators.Operator, "tries {Connection:contoso Probe:false Mailbox:}"},
		{"probe", operators.Admin, "tries {Connection:contoso Probe:true Mailbox:anna@contoso.test}"},
		{"stop", operators.Operator, "stops"},
		{"resume", operators.Operator, "resumes contoso"},
	} {
		c, mux := testConsole(testRelay{})
		s := &testSignIns{connections: testConnections()}
		c.cfg.SignIns, c.cfg.Ops = s, s
		if as(mux, test.role-1, http.MethodPost, "/console/connections/"+test.path, form); len(s.asked) != 0 {
			t.Errorf("%s: a %s did it", test.path, test.role-1)
		}
		w := as(mux, test.role, http.MethodPost, "/console/connections/"+test.path, form)
		if w.Code != http.StatusSeeOther || !slices.Equal(s.asked, []string{"anna (console) " + test.asked}) {
			t.Errorf("%s: %d, asked %q", test.path, w.Code, s.asked)
		}
	}
}
