package operators

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"

	"graphrelay/relay/config"
)

// hashFor returns a hash of a password that is quick to verify.
func hashFor(t *testing.T, password string) config.Secret {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return config.NewSecret(string(hash))
}

// staff is a configuration with an operator of each role, whose password is the name.
func staff(t *testing.T) config.Admin {
	t.Helper()
	var a config.Admin
	for name, role := range map[string]config.Role{"vera": config.RoleViewer, "otto": config.RoleOperator, "anna": config.RoleAdmin} {
		a.Operators = append(a.Operators, config.Operator{Name: name, PasswordHash: hashFor(t, name), Role: role})
	}
	return a
}

func (b *browser) signIn(name, password string) *http.Response {
	b.t.Helper()
	return b.do(http.MethodPost, signInPath, url.Values{"name": {name}, "password": {password}, "next": {"/console/messages?q=1"}})
}

func TestPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, staff(t))
		b := s.browser()
		b.address = "192.0.2.7"
		want(t, b.get(signInPath+"?next=/console/x"), http.StatusOK, `<input type="hidden" name="next" value="/console/x">`)
		missing := want(t, b.signIn("nobody", "vera"), http.StatusForbidden, "The name or the password is wrong.")
		if wrong := want(t, b.signIn("vera", "guess"), http.StatusForbidden, ""); wrong != missing {
			t.Error("the answer tells which names exist")
		}
		if len(b.cookies) != 0 {
			t.Error("a wrong password begins a session")
		}
		want(t, b.signIn("vera", "vera"), http.StatusSeeOther, "/console/messages?q=1")
		want(t, b.get("/console/"), http.StatusOK, "vera (console, 192.0.2.7)")
		want(t, b.get(signInPath), http.StatusSeeOther, ConsolePath)
		b.do(http.MethodPost, signOutPath, nil)
		want(t, b.get("/console/"), http.StatusSeeOther, "sign-in")
		for _, next := range []string{"https://evil.test/", "//evil.test", "/\\evil.test", "/metrics"} {
			b.cookies = map[string]*http.Cookie{}
			got := b.do(http.MethodPost, signInPath, url.Values{"name": {"vera"}, "password": {"vera"}, "next": {next}})
			if to := got.Header.Get("Location"); to != ConsolePath {
				t.Errorf("%s leads to %s", next, to)
			}
		}
		lines := s.audits.all()
		for _, line := range []string{"unknown (console, 192.0.2.0/24)|sign-in refused|the last as vera|2", "vera (console, 192.0.2.7)|sign in|as viewer|1", "vera (console, 192.0.2.7)|sign out||1"} {
			if !slices.Contains(lines, line) {
				t.Errorf("there is no audit %s in\n%s", line, strings.Join(lines, "\n"))
			}
		}
		for _, line := range lines {
			if strings.Contains(line, "nobody") || strings.Contains(line, "guess") {
				t.Errorf("an audit shows what a stranger wrote: %s", line)
			}
		}
	})
}

// TestRoles has a row for each kind of route, and what each role gets there.
func TestRoles(t *testing.T) {
	s := newSite(t, staff(t))
	for _, c := range []struct {
		method, path string
		want         map[string]int
	}{
		{http.MethodGet, "/console/", map[string]int{"": 303, "vera": 200, "otto": 200, "anna": 200}},
		{http.MethodPost, "/console/", map[string]int{"": 401, "vera": 403, "otto": 200, "anna": 200}}, // which requires nothing
		{http.MethodPut, "/api/v1/messages", map[string]int{"": 401, "vera": 403, "otto": 200, "anna": 200}},
		{http.MethodPost, "/console/act", map[string]int{"": 401, "vera": 403, "otto": 200, "anna": 200}},
		{http.MethodPost, "/console/configure", map[string]int{"": 401, "vera": 403, "otto": 403, "anna": 200}},
		{http.MethodGet, "/api/v1/messages", map[string]int{"": 401, "vera": 200, "otto": 200, "anna": 200}},
		{http.MethodPost, "/api/act", map[string]int{"": 401, "vera": 403, "otto": 200, "anna": 200}},
		{http.MethodDelete, "/api/configure", map[string]int{"": 401, "vera": 403, "otto": 403, "anna": 200}},
	} {
		for name, status := range c.want {
			b := s.browser()
			if name != "" {
				b.signIn(name, name)
			}
			if got := b.do(c.method, c.path, nil); got.StatusCode != status {
				t.Errorf("%s %s as %q: %d, want %d", c.method, c.path, name, got.StatusCode, status)
			}
		}
	}
	b := s.browser()
	b.signIn("vera", "vera")
	want(t, b.do(http.MethodPost, "/api/act", nil), http.StatusForbidden, "This needs the role operator, and vera has the role viewer.")
}

// A reload ends the sessions of operators who were removed or changed, and no others.
func TestOperatorsChange(t *testing.T) {
	cfg := staff(t)
	s := newSite(t, cfg)
	browsers := map[string]*browser{"link": s.browser()}
	browsers["link"].get(s.link())
	for _, o := range cfg.Operators {
		browsers[o.Name] = s.browser()
		browsers[o.Name].signIn(o.Name, o.Name)
	}
	check := func(a config.Admin, stay ...string) {
		t.Helper()
		reloaded := newSite(t, a, s)
		for name, b := range browsers {
			b.site = reloaded
			if got := b.get("/console/").StatusCode == http.StatusOK; got != slices.Contains(stay, name) {
				t.Errorf("%s is signed in: %t", name, got)
			}
		}
	}
	with := func(change func(*config.Operator)) config.Admin {
		a := config.Admin{Operators: slices.Clone(cfg.Operators)}
		change(&a.Operators[slices.IndexFunc(a.Operators, func(o config.Operator) bool { return o.Name == "vera" })])
		return a
	}
	check(cfg, "link", "vera", "otto", "anna")
	check(with(func(o *config.Operator) { o.Role = config.RoleAdmin }), "link", "otto", "anna")
	check(with(func(o *config.Operator) { o.PasswordHash = hashFor(t, "vera") }), "link", "otto", "anna")
	check(with(func(o *config.Operator) { o.Name = "veronica" }), "link", "otto", "anna")
	check(config.Admin{}, "link")
}

// A token is for the API alone, and counts in the place of a session.
func TestToken(t *testing.T) {
	secret, hash := NewToken()
	other, _ := NewToken()
	cfg := staff(t)
	cfg.Tokens = []config.Token{{Name: "backup", TokenHash: config.NewSecret(hash), Role: config.RoleOperator}}
	s := newSite(t, cfg)
	b := s.browser()
	b.signIn("anna", "anna")
	b.header.Set("Authorization", "Bearer "+secret)
	want(t, b.do(http.MethodPost, "/api/act", nil), http.StatusOK, "backup (API token, 127.0.0.1)")
	want(t, b.do(http.MethodPost, "/api/configure", nil), http.StatusForbidden, "backup has the role operator")
	b.header.Set("Authorization", "bearer "+secret)
	want(t, b.get("/api/"), http.StatusOK, "backup (API token")
	want(t, b.get("/console/"), http.StatusOK, "anna (console")
	for _, wrong := range []string{other, "", secret[1:], strings.ToLower(secret), hash} {
		b.header.Set("Authorization", "Bearer "+wrong)
		got := b.get("/api/")
		want(t, got, http.StatusUnauthorized, "Authorization: Bearer TOKEN")
		if got.Header.Get("WWW-Authenticate") != "Bearer" {
			t.Error("the answer does not ask for a token")
		}
	}
	b = s.browser()
	b.header.Set("Authorization", "Bearer "+secret)
	want(t, b.get("/console/"), http.StatusSeeOther, "sign-in")
	if lines := s.audits.all(); !slices.Contains(lines, "unknown (API token, 127.0.0.0/24)|sign-in refused||4") { // the fifth doubles nothing
		t.Errorf("%q", lines)
	}
}

// Who guesses is slowed down, and then refused at that address alone. The password is not tried
// then, and a user of another address signs in at once.
func TestGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, staff(t))
		guesser, anna := s.browser(), s.browser()
		guesser.address, anna.address = "198.51.100.1", "192.0.2.7"
		start := time.Now()
		for range 5 {
			want(t, guesser.signIn("anna", "guess"), http.StatusForbidden, "")
		}
		if took := time.Since(start); took < 3*time.Second {
			t.Errorf("five guesses took %s", took)
		}
		want(t, guesser.signIn("anna", "anna"), http.StatusTooManyRequests, "too many wrong passwords")
		start = time.Now()
		want(t, anna.signIn("anna", "anna"), http.StatusSeeOther, "")
		if took := time.Since(start); took > 0 {
			t.Errorf("her sign-in took %s", took)
		}
		again := newSite(t, staff(t), s).browser()
		again.address = guesser.address
		want(t, again.signIn("anna", "anna"), http.StatusTooManyRequests, "")
		time.Sleep(15 * time.Minute)
		want(t, again.signIn("anna", "anna"), http.StatusSeeOther, "")
	})
}

// However many sign in at the same time, a few are served, and fewer of one client.
func TestManySignIns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, staff(t))
		var all sync.WaitGroup
		var mu sync.Mutex
		statuses := map[int]int{}
		for range 200 {
			all.Go(func() {
				b := s.browser()
				b.address = "198.51.100.1"
				status := b.signIn("nobody", "guess").StatusCode
				mu.Lock()
				defer mu.Unlock()
				statuses[status]++
			})
		}
		synctest.Wait()
		mu.Lock()
		if waiting := 200 - statuses[http.StatusServiceUnavailable]; waiting > maxClientSignIns+maxWaiting {
			t.Errorf("%d sign-ins of one client are served or wait", waiting)
		}
		mu.Unlock()
		anna := s.browser()
		anna.address = "192.0.2.7"
		start := time.Now()
		want(t, anna.signIn("anna", "anna"), http.StatusSeeOther, "")
		if took := time.Since(start); took > 0 {
			t.Errorf("her sign-in waited %s", took)
		}
		all.Wait()
	})
}

// The audit log has a bounded number of records of refused sign-ins, however many networks they
// come from, and the number of all of them.
func TestRefusalsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, config.Admin{})
		for range 3 {
			for n := range 1 << 12 {
				a := netip.AddrFrom4([4]byte{10, byte(n >> 8), byte(n), 1})
				s.state.audit.refused(t.Context(), s.log(), Person{Way: ByConsole, From: a})
			}
			time.Sleep(refusalPeriod)
		}
		lines := s.audits.all()
		if len(lines) != 3*(maxRefusals+1) {
			t.Errorf("%d records", len(lines))
		}
		if want := fmt.Sprintf("unknown (other networks)|sign-in refused||%d", 1<<11); !slices.Contains(lines, want) {
			t.Errorf("no record of the others: %q", lines[len(lines)-5:])
		}
		if n := s.state.audit.refusals.Len(); n > 4*maxRefusals {
			t.Errorf("%d are remembered", n)
		}
	})
}

// Only proxies of the configuration say whose request they pass on.
func TestClientBehindProxy(t *testing.T) {
	proxied := config.Admin{ProxyNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("10.0.0.0/8")}}
	for _, c := range []struct {
		cfg                 config.Admin
		remote, passed, via string
	}{
		{proxied, "127.0.0.1", "192.0.2.7", "192.0.2.7"},
		{proxied, "127.0.0.1", "203.0.113.1, 192.0.2.7, 10.1.1.1", "192.0.2.7"},
		{proxied, "127.0.0.1", "203.0.113.1, ::ffff:192.0.2.7", "192.0.2.7"},
		{proxied, "127.0.0.1", "", "127.0.0.1"},
		{proxied, "127.0.0.1", "192.0.2.7, nonsense", "127.0.0.1"},
		{proxied, "192.0.2.1", "192.0.2.7", "192.0.2.1"},
		{config.Admin{}, "127.0.0.1", "192.0.2.7", "127.0.0.1"},
	} {
		s := newSite(t, c.cfg)
		b := s.browser()
		b.address = c.remote
		b.header.Set("X-Forwarded-For", c.passed)
		b.get(s.link())
		want(t, b.get("/console/"), http.StatusOK, "root (console link, "+c.via+")")
	}
}
