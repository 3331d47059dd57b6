package graph_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"graphrelay/graph"
	"graphrelay/graph/simulator"
)

func TestTokenRequest(t *testing.T) {
	_, rec, c := simulated(t, simulator.Options{})
	if _, err := c.Token(t.Context(), mailbox); err != nil {
		t.Fatal(err)
	}
	r := rec.of("POST", "/contoso/oauth2/v2.0/token")
	if len(r) != 1 {
		t.Fatalf("%d requests", len(r))
	}
	form, err := url.ParseQuery(string(r[0].Body))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(form.Get("scope"), "/.default") || form.Get("client_id") != "app" ||
		form.Get("client_secret") != secret || form.Get("grant_type") != "client_credentials" {
		t.Errorf("form %v", form)
	}
}

// A token is valid for one cloud's Graph only. The scope names the one in use.
func TestTokenIsForTheCloud(t *testing.T) {
	_, rec, _ := simulated(t, simulator.Options{})
	for _, graphURL := range []string{"https://graph.microsoft.com", "https://graph.microsoft.us",
		"https://dod-graph.microsoft.us", "https://microsoftgraph.chinacloudapi.cn"} {
		c := newClient(t, serve(t, rec), func(cfg *graph.Config) { cfg.SignIn = signIn(cfg.GraphURL, graphURL, secret) })
		_, _ = c.Token(t.Context(), mailbox) // the simulator may know no such Graph
		asked := rec.of("POST", "/token")
		form, err := url.ParseQuery(string(asked[len(asked)-1].Body))
		if err != nil || form.Get("scope") != graphURL+"/.default" {
			t.Errorf("%s: asked for %q, %v", graphURL, form.Get("scope"), err)
		}
	}
}

// Concurrent requests share one token request, and the token is cached.
func TestTokenIsShared(t *testing.T) {
	sim, _, c := simulated(t, simulator.Options{Latency: time.Millisecond})
	together(50, func(int) {
		if _, err := c.Token(t.Context(), mailbox); err != nil {
			t.Error(err)
		}
	})
	if n := sim.Stats().Calls[simulator.OpToken]; n != 1 {
		t.Errorf("%d token requests", n)
	}
}

func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// A refused token is renewed once, by one request, however many requests were refused.
func TestTokenIsRenewedWhenRefused(t *testing.T) {
	sim, _, c := simulated(t, simulator.Options{Concurrency: -1, SendDelay: -1})
	id := draft(t, c)
	sim.RevokeTokens()
	together(50, func(int) {
		if _, _, err := c.Mailbox(mailbox).Item(t.Context(), id); err != nil {
			t.Error(err)
		}
	})
	if n := sim.Stats().Calls[simulator.OpToken]; n != 2 {
		t.Errorf("%d token requests, want 2", n)
	}
}

// If Graph refuses every token, the client makes one more request and gives up.
func TestTokenRefusedForGood(t *testing.T) {
	var calls atomic.Int32
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		reply(401, `{"error":{"code":"InvalidAuthenticationToken"}}`)(w, r)
	})
	_, err := c.Mailbox(mailbox).Send(t.Context(), "AAQ", nil)
	if e := graphError(t, err); e.Class != graph.ClassConnection || e.Reason != graph.ReasonAuth || calls.Load() != 2 {
		t.Errorf("%v after %d calls", e, calls.Load())
	}
}

// A token is renewed five minutes before its expiry, or after half of a short lifetime.
func TestTokenIsRenewedAhead(t *testing.T) {
	t.Parallel()
	ahead := func(lifetime time.Duration) bool {
		sim, _, c := simulated(t, simulator.Options{TokenLifetime: lifetime})
		first, err := c.Token(t.Context(), mailbox)
		if err != nil {
			t.Fatal(err)
		}
		var asked time.Time
		for next := first; next.AccessToken == first.AccessToken; time.Sleep(10 * time.Millisecond) {
			asked = time.Now()
			if next, err = c.Token(t.Context(), mailbox); err != nil {
				t.Fatal(err)
			}
		}
		if n := sim.Stats().Calls[simulator.OpToken]; n != 2 {
			t.Errorf("%d token requests, want 2", n)
		}
		return asked.Before(first.Expiry)
	}
	// On a busy machine nobody may have asked between the renewal and the end.
	if !ahead(2*time.Second) && !ahead(8*time.Second) && !ahead(40*time.Second) {
		t.Error("the first token was used to its end")
	}
}

func TestTokenFailures(t *testing.T) {
	down := "http://127.0.0.1:1"
	for _, tt := range []struct {
		name   string
		login  string
		secret string
		fault  simulator.Fault
		reason graph.Reason
		after  time.Duration
	}{
		{"wrong secret", "", "wr0ng~secret", simulator.Fault{}, graph.ReasonAuth, 0},
		{"endpoint down", down, secret, simulator.Fault{}, graph.ReasonNetwork, 0},
		{"429", "", secret, simulator.Fault{Status: 429, RetryAfter: "7"}, graph.ReasonUnavailable, 7 * time.Second},
		{"503", "", secret, simulator.Fault{Status: 503}, graph.ReasonUnavailable, 0},
		{"reset", "", secret, simulator.Fault{Reset: true}, graph.ReasonNetwork, 0},
		{"hangs", "", secret, simulator.Fault{Hang: guard}, graph.ReasonNetwork, 0},
		{"redirect", "", secret, simulator.Fault{Status: 302}, graph.ReasonAuth, 0},
		{"empty 200", "", secret, simulator.Fault{Status: 200}, graph.ReasonNetwork, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sim, _, _ := simulated(t, simulator.Options{})
			if tt.fault != (simulator.Fault{}) {
				tt.fault.Operation = simulator.OpToken
				if _, err := sim.AddFault(tt.fault); err != nil {
					t.Fatal(err)
				}
			}
			c := newClient(t, serve(t, sim), func(cfg *graph.Config) {
				cfg.SignIn = signIn(cmp.Or(tt.login, cfg.GraphURL), cfg.GraphURL, tt.secret)
				if tt.fault.Hang > 0 {
					cfg.Timeout = time.Second
				}
			})
			_, err := c.Mailbox(mailbox).Send(t.Context(), "AAQ", nil)
			sim.Close() // which ends the hang
			e := graphError(t, err)
			if e.Class != graph.ClassConnection || e.Reason != tt.reason || e.RetryAfter != tt.after || e.Ambiguous {
				t.Errorf("got %s %s %s ambiguous %v", e.Class, e.Reason, e.RetryAfter, e.Ambiguous)
			}
			if strings.Contains(err.Error(), tt.secret) {
				t.Errorf("the secret is in %q", err)
			}
		})
	}
}

// A canceled request waits neither for the endpoint nor for another request's renewal.
func TestTokenRequestCanBeGivenUp(t *testing.T) {
	release := make(chan struct{})
	var asked atomic.Int32
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer close(release)
	c := newClient(t, url)
	ctx, cancel := context.WithCancel(within(t, guard))
	done := make(chan error, 2)
	for range 2 {
		go func() { _, err := c.Mailbox(mailbox).Send(ctx, "AAQ", nil); done <- err }()
	}
	for asked.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	for range 2 {
		select {
		case err := <-done:
			if e := graphError(t, err); e.Reason != graph.ReasonCanceled || e.Class != graph.ClassTemporary {
				t.Errorf("got %s %s: %v", e.Class, e.Reason, e)
			}
		case <-time.After(guard):
			t.Fatal("still waiting")
		}
	}
}

// No error shows the bearer token, even where Graph repeats it.
func TestErrorsKeepTheBearerToken(t *testing.T) {
	for _, h := range []http.HandlerFunc{
		reply(401, ""), reply(500, ""), reply(302, "", "Location", "http://127.0.0.1:1/"),
		reply(403, `{"error":{"code":"`+token+`","message":"the token '`+token+`' may not"}}`),
		func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		_, err := answering(t, h).Mailbox(mailbox).Send(t.Context(), "AAQ", nil)
		if err == nil || strings.Contains(err.Error(), token) || strings.Contains(err.Error(), secret) {
			t.Errorf("got %v", err)
		}
	}
}

// No error shows the client secret, even if the token endpoint repeats it.
func TestErrorsKeepTheClientSecret(t *testing.T) {
	echo := reply(400, `{"error":"`+secret+`","error_description":"client_secret=`+secret+` is wrong"}`, "Content-Type", "application/json")
	_, err := newClient(t, serve(t, echo)).Token(t.Context(), mailbox)
	if e := graphError(t, err); strings.Contains(e.Error(), secret) || !strings.Contains(e.Error(), "client_secret=[redacted] is wrong") {
		t.Errorf("got %v", e)
	}
}

type observed struct {
	mu       sync.Mutex
	requests map[string]int
	throttle int
	tokens   map[bool]int
}

func (o *observed) Request(op string, status int, _ time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.requests[op+" "+http.StatusText(status)]++
}

func (o *observed) LookupUnreliable() {}

func (o *observed) Throttled() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.throttle++
}

func (o *observed) Token(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tokens[err == nil]++
}

func TestObserver(t *testing.T) {
	o := &observed{requests: map[string]int{}, tokens: map[bool]int{}}
	watch := func(cfg *graph.Config) { cfg.Observer = o }
	c := answering(t, reply(429, ""), watch)
	_, _ = c.Mailbox(mailbox).Send(t.Context(), "AAQ", nil)
	c = answering(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, watch)
	_, _, _ = c.Mailbox(mailbox).Item(t.Context(), "AAQ")
	c = newClient(t, "http://127.0.0.1:1", watch)
	_, _ = c.Mailbox(mailbox).Send(t.Context(), "AAQ", nil)
	if o.requests["send Too Many Requests"] != 1 || o.requests["get "] != 1 || o.throttle != 1 || o.tokens[true] != 2 || o.tokens[false] != 1 {
		t.Errorf("got %+v", o)
	}
}

// A token that is due for renewal is used until it expires if the endpoint is unavailable.
func TestTokenServesToItsEnd(t *testing.T) {
	t.Parallel()
	sim, _, c := simulated(t, simulator.Options{TokenLifetime: 20 * time.Second})
	first, err := c.Token(t.Context(), mailbox)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sim.AddFault(simulator.Fault{Operation: simulator.OpToken, Status: 503, Count: 1000}); err != nil {
		t.Fatal(err)
	}
	for sim.Stats().Calls[simulator.OpToken] < 3 {
		if got, err := c.Token(t.Context(), mailbox); err != nil || got != first {
			t.Fatalf("%v, %v", got, err)
		}
		time.Sleep(time.Millisecond)
	}
}

// ownTokens gives each mailbox a token of its own.
type ownTokens struct{ asked sync.Map }

func (*ownTokens) PerMailbox() bool { return true }

func (o *ownTokens) Source(_ context.Context, mailbox string) oauth2.TokenSource {
	n, _ := o.asked.LoadOrStore(mailbox, new(atomic.Int32))
	n.(*atomic.Int32).Add(1)
	return oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "token of " + mailbox})
}

// The token of a mailbox is used for no other one. The case of the address does not matter.
func TestTokenOfAMailbox(t *testing.T) {
	var wrong atomic.Int32
	own := &ownTokens{}
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name := strings.Split(r.URL.Path, "/")[3]; r.Header.Get("Authorization") != "Bearer token of "+strings.ToLower(name) {
			wrong.Add(1)
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	c := newClient(t, url, func(cfg *graph.Config) { cfg.SignIn = own })
	together(40, func(i int) {
		name := []string{"a@contoso.test", "A@Contoso.test", "b@contoso.test", "c@contoso.test"}[i%4]
		if _, err := c.Mailbox(name).Send(t.Context(), "AAQ", nil); err != nil {
			t.Error(err)
		}
	})
	own.asked.Range(func(name, n any) bool {
		if n.(*atomic.Int32).Load() != 1 {
			t.Errorf("%d tokens for %s", n.(*atomic.Int32).Load(), name)
		}
		return true
	})
	if wrong.Load() != 0 {
		t.Errorf("%d requests with another mailbox's token", wrong.Load())
	}
}

// grantTokens gives tokens that rest on a grant.
type grantTokens struct {
	ownTokens
	grant atomic.Int64 // 0: none
}

func (g *grantTokens) Grant(context.Context, string) (int64, error) {
	if id := g.grant.Load(); id != 0 {
		return id, nil
	}
	return 0, graph.ErrNotConnected
}

func (g *grantTokens) Source(context.Context, string) oauth2.TokenSource {
	return oauth2.StaticTokenSource(&oauth2.Token{AccessToken: fmt.Sprint("token of grant ", g.grant.Load())})
}

// A token is used as long as its grant: not once that has ended, nor once there is another.
func TestTokenOfAnEndedGrant(t *testing.T) {
	own := &grantTokens{}
	c := newClient(t, "http://127.0.0.1:1", func(cfg *graph.Config) { cfg.SignIn = own })
	for _, grant := range []int64{1, 1, 2, 0, 3} {
		own.grant.Store(grant)
		token, err := c.Token(t.Context(), mailbox)
		var e *graph.Error
		switch {
		case grant == 0 && (!errors.As(err, &e) || e.Reason != graph.ReasonNotConnected):
			t.Errorf("without a grant: %v, %v", token, err)
		case grant != 0 && (err != nil || token.AccessToken != fmt.Sprint("token of grant ", grant)):
			t.Errorf("grant %d: %v, %v", grant, token, err)
		}
	}
}
