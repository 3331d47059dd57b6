package entra_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"graphrelay/graph"
	"graphrelay/graph/entra"
	"graphrelay/graph/simulator"
)

const anna = "anna@contoso.test"

// memory implements RefreshTokens like the relay's store.
type memory struct {
	mu      sync.Mutex
	token   map[string]string
	version map[string]int64
	refused map[string]string
}

func newMemory() *memory {
	return &memory{token: map[string]string{}, version: map[string]int64{}, refused: map[string]string{}}
}

func (m *memory) RefreshToken(_ context.Context, mailbox string) (string, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.token[mailbox] == "" || m.refused[mailbox] != "" {
		return "", 0, graph.ErrNotConnected
	}
	return m.token[mailbox], m.version[mailbox], nil
}

func (m *memory) Grant(context.Context, string) (int64, error) { return 0, nil }

func (m *memory) Renew(_ context.Context, mailbox string, version int64, token string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.version[mailbox] == version {
		m.token[mailbox], m.version[mailbox] = token, version+1
	}
}

func (m *memory) Refuse(_ context.Context, mailbox string, version int64, why string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.version[mailbox] == version {
		m.refused[mailbox] = why
	}
}

// owner is a person with a mailbox and a browser.
type owner struct {
	*testing.T
	sim *simulator.Simulator
	url string
	d   entra.Delegated
	m   *memory
}

func newOwner(t *testing.T, o simulator.Options) *owner {
	sim := simulator.New(o)
	server := httptest.NewServer(sim)
	t.Cleanup(func() { server.Close(); sim.Close() })
	m := newMemory()
	app := entra.App{Tenant: "contoso.test", ClientID: "22222222-2222-2222-2222-222222222222", LoginURL: server.URL, GraphURL: server.URL}
	return &owner{t, sim, server.URL, entra.Delegated{App: app, Tokens: m}, m}
}

// browse posts a form and returns where the answer redirects to.
func (o *owner) browse(to string, form url.Values) *http.Response {
	o.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.PostForm(to, form)
	if err != nil {
		o.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp
}

func code(err error) string {
	var r *oauth2.RetrieveError
	if errors.As(err, &r) {
		return r.ErrorCode
	}
	return ""
}

// The ways in which a device code ends, with the endpoint's polling interval.
func TestDeviceCode(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options simulator.Options
		account string
		decline bool
		want    string
	}{
		{name: "accepted", account: anna},
		{name: "declined", account: anna, decline: true, want: "authorization_declined"},
		{name: "expired", options: simulator.Options{DeviceLife: 2 * time.Second}, want: "expired_token"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.options.DeviceInterval = time.Second
			o := newOwner(t, tt.options)
			device, err := o.d.DeviceCode(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if tt.account != "" {
				go func() { // some polls later, as people are
					for o.sim.Stats().Calls[simulator.OpToken] < 2 {
						time.Sleep(time.Millisecond)
					}
					form := url.Values{"user_code": {device.UserCode}, "account": {tt.account}}
					if tt.decline {
						form.Set("decline", "1")
					}
					if r := o.browse(device.VerificationURI, form); r.StatusCode != http.StatusOK {
						t.Errorf("%s", r.Status)
					}
				}()
			}
			token, err := o.d.WaitForDevice(t.Context(), device)
			if got := code(err); got != tt.want || tt.want == "" && (err != nil || token.RefreshToken == "") {
				t.Errorf("%v, %v", token, err)
			}
			if err != nil && strings.Contains(err.Error(), device.DeviceCode) {
				t.Errorf("the device code is in %v", err)
			}
		})
	}
}

// A client that polls too early is told to slow down, and succeeds in the end.
func TestDeviceCodeSlowDown(t *testing.T) {
	o := newOwner(t, simulator.Options{DeviceInterval: 5 * time.Second})
	device, err := o.d.DeviceCode(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	device.Interval = 1
	go func() {
		for o.sim.Stats().Calls[simulator.OpToken] < 2 {
			time.Sleep(time.Millisecond)
		}
		o.browse(device.VerificationURI, url.Values{"user_code": {device.UserCode}, "account": {anna}})
	}()
	start := time.Now()
	if _, err := o.d.WaitForDevice(t.Context(), device); err != nil {
		t.Fatal(err)
	}
	if n := o.sim.Stats().Calls[simulator.OpToken]; n != 3 || time.Since(start) < 7*time.Second { // 1, 2, and 6 s after that
		t.Errorf("%d polls in %s", n, time.Since(start))
	}
}

const redirect = "http://localhost:9025/connect/callback"

func (o *owner) codeOf(to string, form url.Values) url.Values {
	o.Helper()
	resp := o.browse(to, form)
	u, err := resp.Location()
	if err != nil {
		o.Fatalf("%s: %v", resp.Status, err)
	}
	return u.Query()
}

// A code is valid once, for the client that began, with the same verifier (PKCE) and redirect
// URI.
func TestAuthorizationCode(t *testing.T) {
	for _, tt := range []struct {
		name               string
		verifier, redirect string // other than at the beginning
		twice              bool
		want               string
	}{
		{name: "right"},
		{name: "another verifier", verifier: oauth2.GenerateVerifier(), want: "invalid_grant"},
		{name: "another redirect", redirect: "http://localhost:9025/other", want: "invalid_grant"},
		{name: "twice", twice: true, want: "invalid_grant"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newOwner(t, simulator.Options{Apps: []simulator.App{{RedirectURIs: []string{"http://localhost/connect/callback"}}}})
			verifier := oauth2.GenerateVerifier()
			q := o.codeOf(o.d.AuthURL(redirect, "st&te", verifier, anna), url.Values{"account": {anna}, "accept": {"1"}})
			if q.Get("state") != "st&te" {
				t.Errorf("came back with %v", q)
			}
			if tt.verifier != "" {
				verifier = tt.verifier
			}
			back := redirect
			if tt.redirect != "" {
				back = tt.redirect
			}
			token, err := o.d.Exchange(t.Context(), back, q.Get("code"), verifier)
			if tt.twice {
				token, err = o.d.Exchange(t.Context(), back, q.Get("code"), verifier)
			}
			if code(err) != tt.want || tt.want == "" && (err != nil || token.RefreshToken == "") {
				t.Errorf("%v, %v", token, err)
			}
			if err != nil && (strings.Contains(err.Error(), q.Get("code")) || strings.Contains(err.Error(), verifier)) {
				t.Errorf("a secret is in %v", err)
			}
		})
	}
}

func TestAuthorizationRefused(t *testing.T) {
	o := newOwner(t, simulator.Options{Apps: []simulator.App{{RedirectURIs: []string{"https://relay.contoso.test/connect/callback"}}}})
	for name, to := range map[string]string{
		"another redirect": o.d.AuthURL("https://evil.test/", "s", oauth2.GenerateVerifier(), ""),
		"http elsewhere":   o.d.AuthURL("http://relay.contoso.test/connect/callback", "s", oauth2.GenerateVerifier(), ""),
	} {
		if r := o.browse(to, url.Values{"account": {anna}}); r.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", name, r.Status)
		}
	}
	good := o.d.AuthURL("https://relay.contoso.test/connect/callback", "s", oauth2.GenerateVerifier(), "")
	if q := o.codeOf(good, url.Values{"decline": {"1"}}); q.Get("error") != "access_denied" || q.Get("state") != "s" {
		t.Errorf("declined: %v", q)
	}
	plain := strings.Replace(good, "code_challenge_method=S256", "code_challenge_method=plain", 1)
	if q := o.codeOf(plain, url.Values{"account": {anna}}); q.Get("error") != "invalid_request" {
		t.Errorf("plain: %v", q)
	}
	o.d.GraphURL = "https://graph.microsoft.us" // of another cloud
	elsewhere := o.d.AuthURL("https://relay.contoso.test/connect/callback", "s", oauth2.GenerateVerifier(), "")
	if q := o.codeOf(elsewhere, url.Values{"account": {anna}}); q.Get("error") != "invalid_resource" {
		t.Errorf("another cloud: %v", q)
	}
}

// connect signs the owner in and stores the refresh token.
func (o *owner) connect() {
	o.Helper()
	verifier := oauth2.GenerateVerifier()
	q := o.codeOf(o.d.AuthURL(redirect, "s", verifier, anna), url.Values{"account": {anna}})
	token, err := o.d.Exchange(o.Context(), redirect, q.Get("code"), verifier)
	if err != nil {
		o.Fatal(err)
	}
	o.m.token[anna], o.m.version[anna], o.m.refused[anna] = token.RefreshToken, o.m.version[anna]+1, ""
}

// Each use of a refresh token returns the next one, which is stored. The old one is refused.
func TestRefresh(t *testing.T) {
	o := newOwner(t, simulator.Options{RevokeRotated: true})
	o.connect()
	var last string
	for range 3 {
		old := o.m.token[anna]
		token, err := o.d.Source(t.Context(), anna).Token()
		if err != nil || token.AccessToken == last || o.m.token[anna] == old {
			t.Fatalf("%v, %v", token, err)
		}
		last = token.AccessToken
		o.m.token[anna], old = old, o.m.token[anna]
		if _, err := o.d.Source(t.Context(), anna).Token(); !errors.Is(err, graph.ErrNotConnected) || o.m.refused[anna] == "" {
			t.Errorf("the old token: %v", err)
		}
		o.m.token[anna], o.m.refused[anna] = old, ""
	}
}

// A grant that the owner or an administrator has revoked is distinguished from a temporary
// error.
func TestRevoked(t *testing.T) {
	o := newOwner(t, simulator.Options{})
	if _, err := o.d.Source(t.Context(), anna).Token(); !errors.Is(err, graph.ErrNotConnected) {
		t.Errorf("never connected: %v", err)
	}
	o.connect()
	if _, err := o.sim.AddFault(simulator.Fault{Operation: simulator.OpToken, Status: 503, Code: "temporarily_unavailable", Nth: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.d.Source(t.Context(), anna).Token(); err == nil || errors.Is(err, graph.ErrNotConnected) || o.m.refused[anna] != "" {
		t.Errorf("passing: %v", err)
	}
	if _, err := o.d.Source(t.Context(), anna).Token(); err != nil {
		t.Error(err)
	}
	o.sim.Revoke(anna)
	secret := o.m.token[anna]
	_, err := o.d.Source(t.Context(), anna).Token()
	if !errors.Is(err, graph.ErrNotConnected) || !strings.Contains(o.m.refused[anna], "AADSTS50173") || strings.Contains(err.Error(), secret) {
		t.Errorf("revoked: %v, %q", err, o.m.refused[anna])
	}
	o.connect()
	if _, err := o.d.Source(t.Context(), anna).Token(); err != nil {
		t.Errorf("connected again: %v", err)
	}
}

// A confidential application sends its secret. No error shows it.
func TestConfidential(t *testing.T) {
	o := newOwner(t, simulator.Options{Apps: []simulator.App{{Secret: "s3cret~value", Confidential: true}}})
	o.d.Secret = "s3cret~value"
	o.connect()
	if _, err := o.d.Source(t.Context(), anna).Token(); err != nil {
		t.Error(err)
	}
	o.d.Secret = ""
	if _, err := o.d.Source(t.Context(), anna).Token(); code(err) != "invalid_client" || errors.Is(err, graph.ErrNotConnected) {
		t.Errorf("without its secret: %v", err)
	}
}
