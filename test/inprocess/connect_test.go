package inprocess

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/smtp"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"graphrelay/graph/simulator"
	"graphrelay/internal/testlog"
	"graphrelay/relay/config"
	"graphrelay/relay/mailboxes"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

const tokenKey = "EHq8pkIS0zXBqH2rUY1iHwxpV9Ejh5XzWzA2lfoXd3M="

// startOwners starts a relay for mailboxes whose owners sign in.
func startOwners(t *testing.T, o simulator.Options) *rig {
	t.Helper()
	o.RequireContract = true
	s, graphURL := Simulate(t, o)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close() // the page has to know its port beforehand
	_, port, _ := net.SplitHostPort(l.Addr().String())
	dir := t.TempDir()
	cfg, err := config.Parse(fmt.Appendf(nil, `
hostname: relay.test
data_dir: %s
listeners: [{name: local, address: "127.0.0.1:0", auth: optional, networks: [127.0.0.0/8]}]
users: [{name: crm, password_hash: "$2a$10$/tej6ss74DEVvMI13aZpsOEeHNkMKWSM3lr9912awyjPsLoRglj4C", senders: ["*@contoso.test"]}]
connections:
  - name: owners
    sign_in: delegated
    tenant: contoso.test
    client_id: 22222222-2222-2222-2222-222222222222
    domains: [contoso.test]
    endpoints: {login: %q, graph: %[2]q}
mailboxes: {token_key: %q}
delivery: {retry_delays: [20ms]}
admin: {address: "127.0.0.1:%s"}
`, filepath.ToSlash(dir), graphURL, tokenKey, port), filepath.Join(dir, "relay.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{T: t, sim: s, cfg: cfg, log: &testlog.Buffer{}}
	t.Cleanup(func() { // after the relay's own
		for _, v := range s.Violations() {
			t.Errorf("contract broken: %+v", v)
		}
	})
	r.relay = Run(t, cfg, r.log)
	return r
}

func (r *rig) connector() *mailboxes.Connector {
	r.Helper()
	k, err := mailboxes.OpenConnector(r.Context(), r.cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = k.Close() })
	return k
}

// signIn connects a mailbox in a browser, signed in as its owner.
func (r *rig) signIn(k *mailboxes.Connector, mailbox, account string) (*mailboxes.SignIn, error) {
	r.Helper()
	return r.signInTo(k, mailbox, account, false)
}

// signInTo connects a mailbox in a browser, signed in as an account.
func (r *rig) signInTo(k *mailboxes.Connector, mailbox, account string, shared bool) (*mailboxes.SignIn, error) {
	r.Helper()
	const redirect = "http://localhost:9025/connect/callback"
	s, err := k.Begin("", mailbox, shared)
	if err != nil {
		r.Fatal(err)
	}
	verifier := oauth2.GenerateVerifier()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.PostForm(s.AuthURL(redirect, "s", verifier), url.Values{"account": {account}, "accept": {"1"}})
	if err != nil {
		r.Fatal(err)
	}
	_ = resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		r.Fatal(resp.Status, err)
	}
	return s, s.Exchange(r.Context(), redirect, back.Query().Get("code"), verifier)
}

// Many mailboxes send, each with the token of its own owner and as a lane of its own,
// while tokens expire and each refresh token can be used once.
func TestConnectedMailboxes(t *testing.T) {
	t.Parallel()
	const owners, each = 60, 3
	r := startOwners(t, simulator.Options{SendDelay: -1, TokenLifetime: 3 * time.Second, RevokeRotated: true})
	k := r.connector()
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := worker; i < owners; i += 8 {
				address := fmt.Sprintf("user%d@contoso.test", i)
				if _, err := r.signIn(k, address, address); err != nil {
					t.Error(err)
					return
				}
				for n := range each {
					if err := r.send(nil, address, fmt.Sprint(address, n)); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	WaitSent(t, r.sim, owners*each)
	for _, m := range r.sim.Sent() {
		if !strings.HasPrefix(m.Subject, m.Mailbox) {
			t.Errorf("%q was sent from %s", m.Subject, m.Mailbox)
		}
	}
	if n := r.sim.Stats().ForeignTokens; n != 0 {
		t.Errorf("%d requests with another mailbox's token", n)
	}
	lanes := map[queue.Lane]bool{}
	sent, err := r.relay.Store.List(t.Context(), queue.Filter{States: []queue.State{queue.Sent}})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range sent {
		lanes[m.Lane] = true
	}
	if len(lanes) != owners {
		t.Errorf("%d lanes", len(lanes))
	}
}

// Mail of a mailbox whose consent has ended is held, and the reason says what to do. It
// is sent once the mailbox is connected again, without a restart and no matter who
// connected it.
func TestConsentEnds(t *testing.T) {
	t.Parallel()
	r := startOwners(t, simulator.Options{SendDelay: -1})
	k := r.connector()
	if err := r.send(nil, "anna@contoso.test", "early"); err == nil || !strings.Contains(err.Error(), "not connected") {
		t.Errorf("before it is connected: %v", err)
	}
	if _, err := r.signIn(k, "Anna@contoso.test", "anna@contoso.test"); err != nil {
		t.Fatal(err)
	}
	if err := r.send(nil, "anna@contoso.test", "1"); err != nil {
		t.Fatal(err)
	}
	WaitSent(t, r.sim, 1)
	r.sim.Revoke("anna@contoso.test")
	for _, subject := range []string{"2", "3"} {
		if err := r.send(nil, "anna@contoso.test", subject); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		held, err := r.relay.Store.List(t.Context(), queue.Filter{States: []queue.State{queue.Held}})
		if err != nil || time.Now().After(end) {
			t.Fatal(held, err)
		}
		if len(held) == 2 {
			if m := held[0]; m.Reason != "not_connected" || !strings.Contains(m.Detail, "AADSTS50173") || !strings.Contains(m.Detail, "connect") {
				t.Errorf("%s: %s", m.Reason, m.Detail)
			}
			break
		}
	}
	resp, err := http.Get(r.cfg.Admin.BaseURL() + "/metrics")
	if _, metrics := page(t, resp, err); !strings.Contains(metrics, `graphrelay_connected_mailboxes{connection="owners",state="refused"} 1`) {
		t.Error("the metric does not tell")
	}
	if log := r.log.String(); !strings.Contains(log, "has to be connected again by its owner") {
		t.Errorf("the operator is not told:\n%s", log)
	}
	if _, err := r.signIn(k, "anna@contoso.test", "anna@contoso.test"); err != nil {
		t.Fatal(err)
	}
	WaitSent(t, r.sim, 3)
}

// A mailbox that was disconnected sends nothing more, though the relay has a token that Graph
// still takes. Its mail goes on when it is connected again.
func TestDisconnectedSendsNothing(t *testing.T) {
	t.Parallel()
	const address = "anna@contoso.test"
	r := startOwners(t, simulator.Options{SendDelay: -1})
	k := r.connector()
	if _, err := r.signIn(k, address, address); err != nil {
		t.Fatal(err)
	}
	if err := r.send(nil, address, "before"); err != nil {
		t.Fatal(err)
	}
	WaitSent(t, r.sim, 1)
	lane := queue.Lane{Connection: "owners", Mailbox: address}
	if err := r.relay.Store.Pause(t.Context(), lane, queue.Forever, reason.Operator); err != nil {
		t.Fatal(err)
	}
	if err := r.send(nil, address, "waiting"); err != nil {
		t.Fatal(err)
	}
	if err := k.Disconnect(t.Context(), address); err != nil {
		t.Fatal(err)
	}
	if err := r.relay.Store.Resume(t.Context(), lane); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		held, err := r.relay.Store.List(t.Context(), queue.Filter{States: []queue.State{queue.Held}, Reasons: []reason.Reason{reason.NotConnected}})
		if err != nil || len(r.sim.Sent()) > 1 || time.Now().After(end) {
			t.Fatalf("held %v, %v; %d sent", held, err, len(r.sim.Sent()))
		}
		if len(held) == 1 {
			break
		}
	}
	if _, err := r.signIn(k, address, address); err != nil {
		t.Fatal(err)
	}
	WaitSent(t, r.sim, 2)
}

// Signing in as another account connects nothing and replaces nothing.
func TestConnectAnothersMailbox(t *testing.T) {
	r := startOwners(t, simulator.Options{SendDelay: -1, FullAccess: map[string][]string{"team@contoso.test": {"bob@contoso.test"}}})
	k := r.connector()
	if _, err := r.signIn(k, "anna@contoso.test", "anna@contoso.test"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.signIn(k, "anna@contoso.test", "mallory@contoso.test"); err == nil || !strings.Contains(err.Error(), "may not use the mailbox anna@contoso.test") {
		t.Errorf("another's: %v", err)
	}
	if err := r.send(nil, "anna@contoso.test", "still"); err != nil {
		t.Fatal(err)
	}
	WaitSent(t, r.sim, 1)
	if _, err := r.signIn(k, "team@contoso.test", "bob@contoso.test"); err != nil {
		t.Errorf("with full access: %v", err)
	}
	for _, bad := range []string{"", "anna", "anna@", "a b@contoso.test", "<script>@contoso.test\r\n"} {
		if _, err := k.Begin("", bad, false); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if _, err := k.Begin("nothing", "anna@contoso.test", false); err == nil {
		t.Error("a connection that does not exist was taken")
	}
}

// A shared mailbox needs an account with rights in it that has agreed to the scopes for
// mailboxes of others. The relay asks for those only if it is told to, or uses them if they
// were agreed to before.
func TestConnectSharedMailbox(t *testing.T) {
	for _, tt := range []struct {
		name    string
		account string
		shared  bool
		agreed  []string // by an administrator
		lost    []string // scopes that Entra leaves out
		want    string   // error; empty: connected
	}{
		{name: "as another without a word", account: "bob@contoso.test", want: "the account bob@contoso.test may not use the mailbox team@contoso.test; sign in as its owner, or, if it is a shared mailbox in which the account has Full Access, connect it as one: --shared"},
		{name: "as one", account: "bob@contoso.test", shared: true},
		{name: "agreed to before", account: "bob@contoso.test", agreed: []string{"Mail.ReadWrite.Shared", "Mail.Send.Shared"}},
		{name: "agreed to in part", account: "bob@contoso.test", agreed: []string{"Mail.ReadWrite.Shared"}, want: "--shared"},
		{name: "no access", account: "eve@contoso.test", shared: true, want: "the account eve@contoso.test may not use the mailbox team@contoso.test; give it Full Access"},
		{name: "no access, agreed to before", account: "eve@contoso.test", agreed: []string{"Mail.ReadWrite.Shared", "Mail.Send.Shared"}, want: "may not use"},
		{name: "scope left out", account: "bob@contoso.test", shared: true, lost: []string{"Mail.Send.Shared"}, want: "lacks Mail.Send.Shared; add Mail.Send.Shared to the delegated permissions"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := startOwners(t, simulator.Options{
				SendDelay: -1, World: simulator.World{SharedScopes: true, SendAsOnly: true},
				Apps:       []simulator.App{{AdminConsent: tt.agreed, DeniedScopes: tt.lost}},
				FullAccess: map[string][]string{"team@contoso.test": {"bob@contoso.test"}},
				SendAs:     map[string][]string{"bob@contoso.test": {"team@contoso.test"}},
			})
			k := r.connector()
			s, err := r.signInTo(k, "team@contoso.test", tt.account, tt.shared)
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v", err)
				}
				if list, err := k.List(t.Context()); err != nil || len(list) > 0 {
					t.Errorf("stored %v, %v", list, err)
				}
				return
			}
			if err != nil || !s.Shared() || s.Account() != tt.account {
				t.Fatalf("shared %v, account %q: %v", s.Shared(), s.Account(), err)
			}
			if list, err := k.List(t.Context()); err != nil || len(list) != 1 || list[0].Account != tt.account {
				t.Errorf("stored %v, %v", list, err)
			}
			if err := r.send(nil, "team@contoso.test", "shared"); err != nil {
				t.Fatal(err)
			}
			WaitSent(t, r.sim, 1)
			if m := r.sim.Sent()[0]; m.Mailbox != "team@contoso.test" || m.From.Address != "team@contoso.test" {
				t.Errorf("sent from %s by %s", m.From.Address, m.Mailbox)
			}
		})
	}
}

// The own sign-in asks for nothing in mailboxes of others.
func TestConnectAsksForNoMore(t *testing.T) {
	r := startOwners(t, simulator.Options{SendDelay: -1})
	k := r.connector()
	for _, shared := range []bool{false, true} {
		s, err := k.Begin("", "anna@contoso.test", shared)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(s.AuthURL("http://localhost/connect/callback", "s", oauth2.GenerateVerifier()))
		if err != nil {
			t.Fatal(err)
		}
		if asked := strings.Contains(u.Query().Get("scope"), ".Shared"); asked != shared {
			t.Errorf("shared %v: scope %s", shared, u.Query().Get("scope"))
		}
		if hinted := u.Query().Has("login_hint"); hinted == shared {
			t.Errorf("shared %v: login_hint %q", shared, u.Query().Get("login_hint"))
		}
	}
}

// The SMTP user of a mailbox can send only from that mailbox and sign in only with the
// newest password, and is removed with the mailbox.
func TestConnectedUser(t *testing.T) {
	r := startOwners(t, simulator.Options{SendDelay: -1})
	k := r.connector()
	s, err := r.signIn(k, "anna@contoso.test", "anna@contoso.test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.signIn(k, "bob@contoso.test", "bob@contoso.test"); err != nil {
		t.Fatal(err)
	}
	name, first, err := s.MakeUser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	auth := func(password string) smtp.Auth { return smtp.PlainAuth("", name, password, "127.0.0.1") }
	if err := r.send(auth(first), "Anna@contoso.test", "own"); err != nil {
		t.Error(err)
	}
	if err := r.send(auth(first), "bob@contoso.test", "another's"); err == nil || !strings.HasPrefix(err.Error(), "550 ") {
		t.Errorf("as another: %v", err)
	}
	_, second, err := s.MakeUser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.send(auth(first), "anna@contoso.test", "old"); err == nil || !strings.HasPrefix(err.Error(), "535") {
		t.Errorf("with the old password: %v", err)
	}
	if err := r.send(auth(second), "anna@contoso.test", "new"); err != nil {
		t.Error(err)
	}
	WaitSent(t, r.sim, 2)
	if err := k.Disconnect(t.Context(), "ANNA@contoso.test"); err != nil {
		t.Fatal(err)
	}
	if err := r.send(auth(second), "anna@contoso.test", "gone"); err == nil || !strings.HasPrefix(err.Error(), "535") {
		t.Errorf("after the mailbox has gone: %v", err)
	}
	if err := k.Disconnect(t.Context(), "anna@contoso.test"); err == nil {
		t.Error("disconnected twice")
	}
}

// browser keeps cookies and follows redirects.
func (r *rig) browser() *http.Client {
	jar, _ := cookiejar.New(nil)
	return &http.Client{Jar: jar}
}

func page(t *testing.T, resp *http.Response, err error) (int, string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// The page works from the form to the password, and refuses what it must.
func TestConnectPage(t *testing.T) {
	r := startOwners(t, simulator.Options{SendDelay: -1})
	base := r.cfg.Admin.BaseURL() + "/connect"
	owner := r.browser()
	begin := func(c *http.Client, mailbox string) (entra *url.URL) {
		t.Helper()
		resp, err := c.PostForm(base, url.Values{"mailbox": {mailbox}, "user": {"1"}})
		if status, text := page(t, resp, err); status != http.StatusOK || !strings.Contains(text, "Simulated sign-in") {
			t.Fatalf("%d %s", status, text)
		}
		return resp.Request.URL
	}
	login := begin(owner, "anna@contoso.test")

	// A callback of a sign-in that another browser began is refused, and does not disturb
	// that sign-in.
	stranger := r.browser()
	resp, err := stranger.PostForm(login.String(), url.Values{"account": {"mallory@contoso.test"}})
	if status, text := page(t, resp, err); status != http.StatusBadRequest || !strings.Contains(text, "not started in this browser") {
		t.Errorf("another browser: %d %s", status, text)
	}
	resp, err = owner.PostForm(login.String(), url.Values{"account": {"anna@contoso.test"}})
	status, text := page(t, resp, err)
	if status != http.StatusOK || resp.Header.Get("Cache-Control") != "no-store" || !strings.Contains(resp.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("%d %v\n%s", status, resp.Header, text)
	}
	password := regexp.MustCompile(`id="password">([A-Z2-7]{26})<`).FindStringSubmatch(text)
	if password == nil {
		t.Fatalf("no password in\n%s", text)
	}
	if err := r.send(smtp.PlainAuth("", "anna@contoso.test", password[1], "127.0.0.1"), "anna@contoso.test", "s"); err != nil {
		t.Error(err)
	}
	WaitSent(t, r.sim, 1)
	resp, err = owner.Get(resp.Request.URL.String())
	if status, _ := page(t, resp, err); status != http.StatusBadRequest {
		t.Errorf("the same answer twice: %d", status)
	}

	login = begin(owner, "anna@contoso.test")
	resp, err = owner.PostForm(login.String(), url.Values{"decline": {"1"}})
	if status, text := page(t, resp, err); status != http.StatusBadRequest || !strings.Contains(text, "You did not allow the relay") || !strings.Contains(text, "access_denied: AADSTS65004") {
		t.Errorf("declined: %d %s", status, text)
	}
	resp, err = owner.PostForm(base, url.Values{"mailbox": {`"><script>alert(1)</script>`}})
	if status, text := page(t, resp, err); status != http.StatusBadRequest || strings.Contains(text, "<script>") {
		t.Errorf("hostile: %d %s", status, text)
	}
	for name, change := range map[string]func(*http.Request){
		"another host": func(r *http.Request) { r.Host = "evil.test" },
		"another site": func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"large": func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(strings.Repeat("a=b&", 10_000)+"mailbox=anna%40contoso.test")), -1
		},
	} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, base, strings.NewReader("mailbox=anna%40contoso.test"))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		change(req)
		resp, err := r.browser().Do(req)
		if status, text := page(t, resp, err); status < 400 {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	resp, err = http.Get(r.cfg.Admin.BaseURL() + "/metrics")
	if _, metrics := page(t, resp, err); strings.Contains(r.log.String()+metrics, password[1]) {
		t.Error("the password is in the log or the metrics")
	}
}

// The mailboxes stay connected over a reload with a new key before the old one, and over
// one with only the new key.
func TestTokenKeyRotates(t *testing.T) {
	r := startOwners(t, simulator.Options{SendDelay: -1})
	if _, err := r.signIn(r.connector(), "anna@contoso.test", "anna@contoso.test"); err != nil {
		t.Fatal(err)
	}
	const next = "6b6cqxOPB4ZZJ0G6nBxOG7s4z1vqzZkR0R8hZqk1d3A="
	for i, keys := range []string{next + "\n" + tokenKey, next} {
		changed := *r.cfg
		changed.Mailboxes.TokenKey = config.NewSecret(keys)
		if err := r.relay.Reload(&changed); err != nil {
			t.Fatal(err)
		}
		if err := r.send(nil, "anna@contoso.test", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		WaitSent(t, r.sim, i+1)
	}
	if _, err := mailboxes.OpenConnector(context.Background(), &config.Config{}, slog.New(slog.DiscardHandler)); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("without a delegated connection: %v", err)
	}
}

// On the page, somebody with rights in a shared mailbox is told to tick the box, and does.
func TestConnectPageShared(t *testing.T) {
	r := startOwners(t, simulator.Options{SendDelay: -1, World: simulator.World{SharedScopes: true},
		FullAccess: map[string][]string{"team@contoso.test": {"bob@contoso.test"}}})
	connect := func(more url.Values) (int, string) {
		t.Helper()
		c := r.browser()
		more.Set("mailbox", "team@contoso.test")
		resp, err := c.PostForm(r.cfg.Admin.BaseURL()+"/connect", more)
		if status, text := page(t, resp, err); status != http.StatusOK {
			t.Fatalf("%d %s", status, text)
		}
		resp, err = c.PostForm(resp.Request.URL.String(), url.Values{"account": {"bob@contoso.test"}})
		return page(t, resp, err)
	}
	if status, text := connect(url.Values{}); status != http.StatusBadRequest || !strings.Contains(text, "You signed in as bob@contoso.test.") || !strings.Contains(text, "tick the box for that") {
		t.Errorf("without the box: %d\n%s", status, text)
	}
	if status, text := connect(url.Values{"shared": {"1"}}); status != http.StatusOK || !strings.Contains(text, "from team@contoso.test, with the account bob@contoso.test") ||
		!strings.Contains(text, "Send As on this mailbox") {
		t.Errorf("with the box: %d\n%s", status, text)
	}
}
