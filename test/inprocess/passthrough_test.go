package inprocess

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/smtp"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"graphrelay/graph/simulator"
	"graphrelay/internal/testlog"
	"graphrelay/relay/config"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

const (
	principalA = "aaaaaaaa-1111-2222-3333-444444444444@contoso.test"
	principalB = "bbbbbbbb-1111-2222-3333-444444444444@fabrikam.test"
)

// startPassThrough starts a relay that holds no credential.
func startPassThrough(t *testing.T, o simulator.Options) *rig {
	t.Helper()
	o.RequireContract, o.SendDelay = true, -1
	o.Apps = []simulator.App{
		{Tenant: "contoso.test", ClientID: "aaaaaaaa-1111-2222-3333-444444444444", Secret: "secret-of-a"},
		{Tenant: "contoso.test", ClientID: "dddddddd-1111-2222-3333-444444444444", Secret: "secret-of-d", Roles: []string{"Mail.Send"}},
		{Tenant: "contoso.test", ClientID: "eeeeeeee-1111-2222-3333-444444444444", Secret: "secret-of-e", Roles: []string{"User.Read.All"}},
		{Tenant: "fabrikam.test", ClientID: "bbbbbbbb-1111-2222-3333-444444444444", Secret: "secret-of-b"},
	}
	r := &rig{T: t, log: &testlog.Buffer{}}
	r.sim, r.url = Simulate(t, o)
	dir := t.TempDir()
	var err error
	r.cfg, err = config.Parse(fmt.Appendf(nil, `
hostname: relay.test
data_dir: %s
listeners: [{name: visitors, address: "127.0.0.1:0", auth: required, pass_through: visitors}]
connections: [{name: visitors, sign_in: pass_through, endpoints: {login: %q, graph: %[2]q}}]
delivery: {retry_delays: [20ms]}
admin: {address: "localhost:0"}
`, filepath.ToSlash(dir), r.url), filepath.Join(dir, "relay.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) start() {
	r.Helper()
	var err error
	if r.relay, err = Open(r.T, r.cfg, r.log); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) stop() {
	r.Helper()
	if err := r.relay.Stop(); err != nil {
		r.Error(err)
	}
}

func plain(user, password string) smtp.Auth { return smtp.PlainAuth("", user, password, "127.0.0.1") }

// bearer signs in with a token, as Microsoft's clients do.
type bearer struct{ mechanism, user, token string }

func (b bearer) Start(*smtp.ServerInfo) (string, []byte, error) {
	if b.mechanism == "OAUTHBEARER" {
		return b.mechanism, fmt.Appendf(nil, "n,a=%s,\x01host=relay.test\x01port=587\x01auth=Bearer %s\x01\x01", b.user, b.token), nil
	}
	return b.mechanism, fmt.Appendf(nil, "user=%s\x01auth=Bearer %s\x01\x01", b.user, b.token), nil
}

func (b bearer) Next(challenge []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	if !strings.Contains(string(challenge), `"status"`) {
		return nil, fmt.Errorf("challenge %q", challenge)
	}
	return []byte{}, nil // to the error that comes in JSON
}

// Applications sign in with their own secret and send through their own tenant. Nothing
// of the secret is on the disk.
func TestPassThrough(t *testing.T) {
	r := startPassThrough(t, simulator.Options{})
	r.start()
	t.Cleanup(r.stop)
	for i, v := range []struct{ user, secret, from string }{
		{principalA, "secret-of-a", "anna@contoso.test"}, {strings.ToUpper(principalA), "secret-of-a", "bob@contoso.test"}, {principalB, "secret-of-b", "carl@fabrikam.test"},
	} {
		if err := r.send(plain(v.user, v.secret), v.from, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	WaitSent(t, r.sim, 3)
	if n := r.sim.Stats().Calls[simulator.OpToken]; n != 2 {
		t.Errorf("%d tokens for two applications", n)
	}
	for name, auth := range map[string]smtp.Auth{
		"wrong secret":       plain(principalA, "secret-of-b"),
		"unknown app":        plain("cccccccc-1111-2222-3333-444444444444@contoso.test", "secret-of-a"),
		"unknown tenant":     plain("aaaaaaaa-1111-2222-3333-444444444444@nowhere.test", "secret-of-a"),
		"no tenant":          plain("aaaaaaaa-1111-2222-3333-444444444444", "secret-of-a"),
		"path in the tenant": plain("aaaaaaaa-1111-2222-3333-444444444444@contoso.test/../x", "secret-of-a"),
		"no app":             plain("anna@contoso.test", "secret-of-a"),
	} {
		if err := r.send(auth, "anna@contoso.test", name); err == nil || !strings.HasPrefix(err.Error(), "535") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := r.send(nil, "anna@contoso.test", "none"); err == nil || !strings.HasPrefix(err.Error(), "530") {
		t.Errorf("without AUTH: %v", err)
	}
	if strings.Contains(r.log.String(), "secret-of-") {
		t.Error("a secret is in the log")
	}
	m := r.relay.Get(t, "/metrics")
	for _, line := range []string{`graphrelay_messages_delivered_total{connection="visitors",path="draft"} 3`,
		`graphrelay_graph_requests_total{operation="send",status="202"} 3`, `graphrelay_token_requests_total{connection="visitors",result="ok"} 2`} {
		if !strings.Contains(m, line) {
			t.Errorf("the metrics lack %s", line)
		}
	}
	if strings.Contains(m, "aaaaaaaa-1111") {
		t.Error("the metrics are by client")
	}
}

// If Entra cannot be asked, the answer is not that of a wrong password.
func TestPassThroughLoginDown(t *testing.T) {
	r := startPassThrough(t, simulator.Options{})
	r.start()
	t.Cleanup(r.stop)
	if _, err := r.sim.AddFault(simulator.Fault{Operation: simulator.OpToken, Status: 503, Code: "temporarily_unavailable"}); err != nil {
		t.Fatal(err)
	}
	if err := r.send(plain(principalA, "secret-of-a"), "anna@contoso.test", "s"); err == nil || !strings.HasPrefix(err.Error(), "454") {
		t.Errorf("got %v", err)
	}
}

func (r *rig) wantHeld(n int) {
	r.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		held, err := r.relay.Store.List(r.Context(), queue.Filter{States: []queue.State{queue.Held}, Reasons: []reason.Reason{reason.NotConnected}})
		if err != nil || time.Now().After(end) {
			r.Fatal(held, err, r.log.String())
		}
		if len(held) == n {
			return
		}
	}
}

// Mail that is in the queue at a start waits until its own client signs in.
func TestPassThroughRestart(t *testing.T) {
	r := startPassThrough(t, simulator.Options{})
	r.start()
	if _, err := r.sim.AddFault(simulator.Fault{Operation: simulator.OpCreate, Status: 503}); err != nil {
		t.Fatal(err)
	}
	if err := r.send(plain(principalA, "secret-of-a"), "anna@contoso.test", "1"); err != nil {
		t.Fatal(err)
	}
	if err := r.send(plain(principalB, "secret-of-b"), "carl@fabrikam.test", "2"); err != nil {
		t.Fatal(err)
	}
	r.stop()
	r.sim.ClearFaults()
	r.start()
	t.Cleanup(func() { r.stop() })
	r.wantHeld(2)
	if err := r.send(plain(principalA, "secret-of-a"), "anna@contoso.test", "3"); err != nil {
		t.Fatal(err)
	}
	WaitSent(t, r.sim, 2)
	r.wantHeld(1)
	if err := r.relay.Reload(r.cfg); err != nil { // keeps who is signed in
		t.Fatal(err)
	}
	if err := r.send(plain(principalB, "secret-of-b"), "carl@fabrikam.test", "4"); err != nil {
		t.Fatal(err)
	}
	WaitSent(t, r.sim, 4)
}

// ownToken returns a token for Graph that the client requested itself.
func (r *rig) ownToken(app, secret string) string {
	r.Helper()
	id, tenant, _ := strings.Cut(app, "@")
	resp, err := http.PostForm(r.url+"/"+tenant+"/oauth2/v2.0/token", url.Values{"grant_type": {"client_credentials"},
		"client_id": {id}, "client_secret": {secret}, "scope": {r.url + "/.default"}})
	_, body := page(r.T, resp, err)
	_, rest, _ := strings.Cut(body, `"access_token":"`)
	token, _, _ := strings.Cut(rest, `"`)
	return token
}

// ownersToken returns a token of an owner who has signed in, with only Mail.Send.
func (r *rig) ownersToken(owner string) string {
	r.Helper()
	id, tenant, _ := strings.Cut(principalA, "@")
	verifier := oauth2.GenerateVerifier()
	c := oauth2.Config{ClientID: id, RedirectURL: "http://localhost/", Scopes: []string{r.url + "/Mail.Send"},
		Endpoint: oauth2.Endpoint{AuthURL: r.url + "/" + tenant + "/oauth2/v2.0/authorize", TokenURL: r.url + "/" + tenant + "/oauth2/v2.0/token", AuthStyle: oauth2.AuthStyleInParams}}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.PostForm(c.AuthCodeURL("s", oauth2.S256ChallengeOption(verifier)), url.Values{"account": {owner}})
	if err != nil {
		r.Fatal(err)
	}
	_ = resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		r.Fatal(err)
	}
	token, err := c.Exchange(r.Context(), back.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		r.Fatal(err)
	}
	return token.AccessToken
}

// A client's token is used for its mailbox until Graph refuses it. Then its mail waits
// for the next token.
func TestBearer(t *testing.T) {
	t.Parallel()
	for _, mechanism := range []string{"XOAUTH2", "OAUTHBEARER"} {
		t.Run(mechanism, func(t *testing.T) {
			t.Parallel()
			r := startPassThrough(t, simulator.Options{})
			r.start()
			t.Cleanup(r.stop)
			token := r.ownToken(principalA, "secret-of-a")
			good := bearer{mechanism, "Anna@contoso.test", token}
			if err := r.send(good, "anna@contoso.test", "1"); err != nil {
				t.Fatal(err)
			}
			WaitSent(t, r.sim, 1)
			for name, bad := range map[string]bearer{
				"an app's, for anybody": {mechanism, "anna@contoso.test", r.ownToken("dddddddd-1111-2222-3333-444444444444@contoso.test", "secret-of-d")},
				"another owner's":       {mechanism, "anna@contoso.test", r.ownersToken("mallory@contoso.test")},
				"no right to send":      {mechanism, "anna@contoso.test", r.ownToken("eeeeeeee-1111-2222-3333-444444444444@contoso.test", "secret-of-e")},
				"another token":         {mechanism, "anna@contoso.test", token + "x"}, "no mailbox": {mechanism, "missing@contoso.test", token}, "no address": {mechanism, "anna", token},
				"an application's name": {mechanism, "FFFFFFFF-1111-2222-3333-444444444444@contoso.test", token}, // its mail would go with this token
			} {
				if err := r.send(bad, "anna@contoso.test", name); err == nil || !strings.HasPrefix(err.Error(), "535") {
					t.Errorf("%s: %v", name, err)
				}
			}
			r.sim.RevokeTokens()
			if err := r.send(good, "anna@contoso.test", "2"); err != nil {
				t.Fatal(err) // it was known, and is seen to be refused when it is used
			}
			r.wantHeld(1)
			good.token = r.ownToken(principalA, "secret-of-a")
			if err := r.send(good, "anna@contoso.test", "3"); err != nil {
				t.Fatal(err)
			}
			WaitSent(t, r.sim, 3)
			sendOnly := bearer{mechanism, "bob@contoso.test", r.ownersToken("bob@contoso.test")}
			if err := r.send(sendOnly, "bob@contoso.test", "send only"); err != nil {
				t.Error(err) // whether drafts may be made is the connection's mail_readwrite to say
			}
			if strings.Contains(r.log.String(), token) || strings.Contains(r.log.String(), base64.StdEncoding.EncodeToString([]byte(token))) {
				t.Error("a token is in the log")
			}
		})
	}
}
