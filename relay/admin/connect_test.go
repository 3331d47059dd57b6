package admin

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"graphrelay/graph"
	"graphrelay/internal/sealed"
	"graphrelay/relay/mailboxes"
)

// domainSignIn is a testSignIn through a connection with these domains.
type domainSignIn struct {
	testSignIn
	domains []string
}

func (s domainSignIn) Domains() []string { return s.domains }

// connect sends the form, and returns the answer.
func connect(domains []string, form url.Values) *httptest.ResponseRecorder {
	h := New(Config{Registry: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler), Connect: &ConnectPage{
		BaseURL: "http://localhost:9025", Key: sealed.NewKey(), Log: slog.New(slog.DiscardHandler), KeptSent: "30 days", KeptContent: "2 days", KeptFailed: "a day",
		Logins: []string{"https://login.test"},
		Begin: func(_, mailbox string, _ bool) (SignIn, error) {
			if !strings.Contains(mailbox, "@") {
				return nil, errors.New("that is no mail address; write one such as anna@contoso.test")
			}
			return domainSignIn{testSignIn{mailbox: mailbox}, domains}, nil
		},
	}}).http.Handler
	r := httptest.NewRequest(http.MethodPost, "http://localhost:9025/connect", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestUnservedIsRefused checks that nobody is sent to Microsoft for a mailbox from which the relay
// would send nothing.
func TestUnservedIsRefused(t *testing.T) {
	for _, test := range []struct {
		mailbox, user string
		domains       []string
		want          string // in the page; empty: the browser is sent to Microsoft
	}{
		{"anna@contoso.test", "", []string{"contoso.test"}, ""},
		{"anna@elsewhere.test", "", []string{"contoso.test", "fabrikam.test"}, "addresses at contoso.test, fabrikam.test. Correct the address"},
		{"anna@elsewhere.test", "1", []string{"contoso.test"}, "add its domain to the connection owners"},
		{"anna@elsewhere.test", "", nil, "Tick the box"},
		{"anna@elsewhere.test", "1", nil, ""},
		{"anna@elsewhere.test", "", []string{"1.test", "2.test", "3.test", "4.test", "5.test", "6.test"}, "5.test, others."},
		{"anna", "", nil, "That is no mail address; write one such as anna@contoso.test."},
		{"<script>@elsewhere.test", "", []string{"contoso.test"}, "from &lt;script&gt;@elsewhere.test"},
	} {
		w := connect(test.domains, url.Values{"mailbox": {test.mailbox}, "user": {test.user}})
		switch {
		case test.want == "" && w.Code != http.StatusSeeOther:
			t.Errorf("%s: %d %s", test.mailbox, w.Code, w.Body)
		case test.want != "" && (w.Code != http.StatusBadRequest || w.Header().Get("Location") != "" || len(w.Result().Cookies()) != 0 || !strings.Contains(w.Body.String(), test.want)):
			t.Errorf("%s: %d, the page lacks %q: %s", test.mailbox, w.Code, test.want, w.Body)
		}
	}
	w := connect([]string{"contoso.test"}, url.Values{"mailbox": {"a@elsewhere.test"}, "shared": {"1"}, "user": {"1"}})
	for _, want := range []string{`value="a@elsewhere.test"`, `name="shared" value="1" checked`, `name="user" value="1" checked`, "for 30 days", "or 2 days longer", "for a day"} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the form lacks %s: %s", want, w.Body)
		}
	}
	if policy := w.Header().Get("Content-Security-Policy"); strings.Contains(policy, "unsafe") || !strings.Contains(policy, "form-action 'self' https://login.test;") {
		t.Errorf("policy %q", policy)
	}
}

// TestOwnersWords checks what owners are told of refused sign-ins.
func TestOwnersWords(t *testing.T) {
	for _, test := range []struct{ code, description, want string }{
		{"access_denied", "AADSTS65004: User declined to consent to access the app.", declined},
		{"access_denied", "", declined},
		{"invalid_client", "AADSTS650052: The app needs access to a service", wrongSetUp},
		{"interaction_required", "AADSTS50076: Due to a configuration change made by your administrator, you must use multi-factor authentication", secondStep},
		{"access_denied", "AADSTS53003: Access has been blocked by Conditional Access policies.", policyBlocked},
		{"access_denied", "AADSTS530003: Your device is required to be managed to access this resource.", policyBlocked},
		{"consent_required", "AADSTS90094: An administrator has to grant the permission", askConsent},
		{"invalid_request", "AADSTS50020: User account 'a@live.com' from identity provider 'live.com' does not exist in tenant", otherAccount},
		{"invalid_grant", "AADSTS70008: The provided authorization code or refresh token is expired", tooLong},
		{"interaction_required", "AADSTS99999999: never heard of", secondStep},
		{"unheard_of", "AADSTS99999999: never heard of", unknownReason},
		{"temporarily_unavailable", "", passingFault},
	} {
		got := refusedSignIn(test.code, test.description)
		if got.Text != test.want || !strings.Contains(got.Code, test.code) || !strings.Contains(got.Code, test.description) {
			t.Errorf("%s %s: %+v", test.code, test.description, got)
		}
	}
	long := refusedSignIn("x", strings.Repeat("ü\r\n", 5000))
	if len(long.Code) > maxHelpDesk+10 || strings.ContainsAny(long.Code, "\r\n") {
		t.Errorf("%d bytes for the help desk", len(long.Code))
	}
	for _, test := range []struct {
		err  error
		want string
	}{
		{&mailboxes.NotAllowedError{Account: "bob@contoso.test", Mailbox: "anna@contoso.test"}, "You signed in as bob@contoso.test. This account may not use the mailbox anna@contoso.test. Start again"},
		{&mailboxes.NotAllowedError{Mailbox: "info@contoso.test", Shared: true}, "The account with which you signed in may not use the shared mailbox info@contoso.test. Ask your help desk"},
		{&mailboxes.NotAllowedError{Mailbox: "info@contoso.test", Unsure: true}, "Try again in a few minutes"},
		{&graph.Error{Op: "token", Status: 400, Code: "invalid_grant", Message: "AADSTS54005: OAuth2 Authorization code was already redeemed"}, tooLong},
		{&graph.Error{Op: "token", Class: graph.ClassTemporary, Status: 503}, passingFault},
		{errors.New("disk full"), "Tell your administrator"},
	} {
		if got := failedSignIn(test.err); !strings.Contains(got.Text, test.want) || got.Code == "" {
			t.Errorf("%v: %+v", test.err, got)
		}
	}
	for number, words := range byNumber {
		if words == "" || strings.Trim(number, "0123456789") != "" {
			t.Errorf("%s: %q", number, words)
		}
	}
}
