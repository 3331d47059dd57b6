package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/config"
	"graphrelay/relay/devices"
	"graphrelay/relay/operations"
	"graphrelay/relay/operators"
	"graphrelay/relay/reason"
	"graphrelay/relay/refusals"
	"graphrelay/relay/smtpd"
)

// testEdge has two listeners, and records what is asked of it.
type testEdge struct {
	listeners []operations.Listener
	asked     []string
	err       error
}

func (e *testEdge) Listeners(context.Context) ([]operations.Listener, error) {
	return e.listeners, e.err
}

func (e *testEdge) ask(format string, args ...any) error {
	e.asked = append(e.asked, fmt.Sprintf(format, args...))
	return e.err
}

func (e *testEdge) AllowDevice(_ context.Context, by string, d devices.Request) (devices.Device, error) {
	return devices.Device{Listener: d.Listener, Address: d.Address}, e.ask("%s allows %+v", by, d)
}

func (e *testEdge) BlockDevice(_ context.Context, by string, d devices.Request) (devices.Device, error) {
	return devices.Device{}, e.ask("%s blocks %+v", by, d)
}

func (e *testEdge) RemoveDevice(_ context.Context, by, listener string, a netip.Addr) error {
	return e.ask("%s removes %s at %s", by, a, listener)
}

func (e *testEdge) OpenWindow(_ context.Context, by string, o devices.Opening) (devices.Window, error) {
	return devices.Window{Listener: o.Listener, Network: o.Network, Until: at}, e.ask("%s opens %+v", by, o)
}

func (e *testEdge) CloseWindow(_ context.Context, by, listener string) error {
	return e.ask("%s closes %s", by, listener)
}

// hostile is text as clients choose it.
const hostile = `"><script>alert(1)</script><img src=x onerror=alert(2)>`

func testListeners() []operations.Listener {
	device := netip.MustParseAddr("192.168.7.20")
	pattern, err := config.ParsePattern("scanner@contoso.test")
	if err != nil {
		panic(err)
	}
	refused := refusals.Refusal{Client: device, User: hostile, Hello: hostile, From: hostile, To: hostile, Reason: reason.Network,
		Answer: "554 5.7.1 " + hostile, Remedy: "Add it.", First: at.Add(-time.Hour), Last: at.Add(-time.Minute), Count: 12}
	return []operations.Listener{
		{Name: "office", Address: "0.0.0.0:25", TLS: smtpd.TLSNone, Auth: smtpd.AuthNone, Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}, Open: 3,
			Sessions:     []smtpd.Session{{Client: device, Since: at, Hello: hostile, User: hostile, State: smtpd.SessionIdle, Bytes: 2500}},
			Refusals:     []refusals.Refusal{refused},
			AllowDevices: true, Devices: []devices.Device{{Listener: "office", Address: device, Senders: []config.Pattern{pattern}, Learnt: true, By: hostile, At: at, Why: hostile}},
			RefusedDevices: []devices.RefusedDevice{{Refusal: refused, Lines: "networks:\n  - " + hostile, Where: "there", Allowable: true}},
			Window:         &devices.Window{Listener: "office", Network: netip.MustParsePrefix("192.168.7.0/24"), Domain: "contoso.test", By: hostile, Opened: at, Until: at.Add(12 * time.Minute), Learnt: 3}},
		{Name: "crm", Address: "0.0.0.0:587", TLS: smtpd.TLSStart, Auth: smtpd.AuthRequired},
	}
}

// as does a request as a person with a role.
func as(h http.Handler, role operators.Role, method, path string, form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://localhost"+path, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r.WithContext(operators.With(r.Context(), operators.Person{Name: "anna", Role: role, Way: operators.ByConsole})))
	return w
}

func TestListeners(t *testing.T) {
	c, mux := testConsole(testRelay{})
	c.cfg.Edge = &testEdge{listeners: testListeners()}
	body := as(mux, operators.Admin, http.MethodGet, "/console/listeners", nil).Body.String()
	for _, want := range []string{"office", "from 10.0.0.0/24", "from everywhere", "in 12 min", "3 devices were", "2.5 kB", "12", "The oldest 1 of 3", "Nobody is connected",
		`href="/console/listeners/allow?listener=office&amp;client=192.168.7.20"`, "Close it now", "Remove", "Block", "Add it.", "learnt in the window of"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(body, "<script>alert") || strings.Contains(body, "<img") || strings.Count(body, "&lt;script&gt;alert(1)") < 12 {
		t.Error("texts of clients are not shown as text")
	}
	body = as(mux, operators.Viewer, http.MethodGet, "/console/listeners", nil).Body.String()
	for _, never := range []string{"Allow…", `action="/console/listeners`, "/listeners/learn"} {
		if strings.Contains(body, never) {
			t.Errorf("a viewer is offered %q", never)
		}
	}
	body = as(mux, operators.Admin, http.MethodGet, "/console/listeners/allow?listener=office&client=203.0.113.9", nil).Body.String()
	if !strings.Contains(body, `value="203.0.113.9"`) || !strings.Contains(body, "is a public address") {
		t.Errorf("the form is %s", body)
	}
	body = as(mux, operators.Admin, http.MethodGet, "/console/listeners/learn?listener=crm", nil).Body.String()
	if !strings.Contains(body, `max="60"`) || !strings.Contains(body, "does not permit this") {
		t.Errorf("the form is %s", body)
	}
	if w := as(mux, operators.Admin, http.MethodGet, "/console/listeners/allow?listener=%3Cb%3E", nil); w.Code != http.StatusNotFound || strings.Contains(w.Body.String(), "<b>") {
		t.Errorf("an unknown listener: %d", w.Code)
	}
}

func TestListenerActions(t *testing.T) {
	device := url.Values{"listener": {"office"}, "client": {" 192.168.7.20 "}, "why": {"room 5"}, "senders": {"scanner@contoso.test, *@fax.test"}}
	window := url.Values{"listener": {"office"}, "minutes": {"15"}, "network": {"192.168.7.0/24"}, "domain": {"@contoso.test"}}
	for _, test := range []struct {
		path  string
		form  url.Values
		role  operators.Role // the least
		asked string
	}{
		{"allow", device, operators.Admin, "allows {Listener:office Address:192.168.7.20 Senders:[scanner@contoso.test *@fax.test] Why:room 5}"},
		{"block", device, operators.Operator, "blocks {Listener:office Address:192.168.7.20 Senders:[] Why:room 5}"},
		{"remove", device, operators.Operator, "removes 192.168.7.20 at office"},
		{"learn", window, operators.Admin, "opens {Listener:office Length:15m0s Network:192.168.7.0/24 Domain:contoso.test Why:}"},
		{"close", window, operators.Operator, "closes office"},
	} {
		c, mux := testConsole(testRelay{})
		edge := &testEdge{listeners: testListeners()}
		c.cfg.Edge = edge
		if as(mux, test.role-1, http.MethodPost, "/console/listeners/"+test.path, test.form); len(edge.asked) != 0 {
			t.Errorf("%s: a %s did it", test.path, test.role-1)
		}
		w := as(mux, test.role, http.MethodPost, "/console/listeners/"+test.path, test.form)
		if w.Code != http.StatusSeeOther || !slices.Equal(edge.asked, []string{"anna (console) " + test.asked}) {
			t.Errorf("%s: %d, asked %q", test.path, w.Code, edge.asked)
		}
		edge.err = errors.New("no " + hostile)
		w = as(mux, test.role, http.MethodPost, "/console/listeners/"+test.path, test.form)
		edge.err = nil
		r := httptest.NewRequest(http.MethodGet, "http://localhost/console/listeners", nil)
		for _, cookie := range w.Result().Cookies() {
			r.AddCookie(cookie)
		}
		shown := httptest.NewRecorder()
		mux.ServeHTTP(shown, r.WithContext(operators.With(r.Context(), operators.Person{Role: operators.Viewer})))
		if !strings.Contains(shown.Body.String(), `role="alert">No &#34;&gt;&lt;script&gt;`) {
			t.Errorf("%s: an error is not shown as text", test.path)
		}
	}
	c, mux := testConsole(testRelay{})
	edge := &testEdge{listeners: testListeners()}
	c.cfg.Edge = edge
	for _, bad := range []url.Values{
		{"listener": {"office"}, "client": {"printer"}, "senders": {"a@contoso.test"}},
		{"listener": {"office"}, "client": {"192.168.7.20"}, "senders": {"contoso.test"}},
		{"minutes": {"many"}, "network": {"192.168.7.0/24"}}, {"minutes": {"15"}, "network": {"192.168.7.0"}}, {"minutes": {"99999999999999"}, "network": {"192.168.7.0/24"}},
	} {
		as(mux, operators.Admin, http.MethodPost, "/console/listeners/allow", bad)
		as(mux, operators.Admin, http.MethodPost, "/console/listeners/learn", bad)
	}
	if len(edge.asked) != 0 {
		t.Errorf("asked %q", edge.asked)
	}
}
