package access

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"

	"graphrelay/relay/config"
	"graphrelay/relay/smtpd"
)

// signIn is the code of the answer to a sign-in, 235 if it is let in.
func (p *Policy) signIn(t *testing.T, from, user, password string) int {
	t.Helper()
	err := p.Authenticate(t.Context(), smtpd.Identity{Client: netip.MustParseAddr(from)}, user, password)
	var r *smtpd.Refusal
	switch {
	case err == nil:
		return 235
	case errors.As(err, &r):
		return r.Code
	}
	t.Fatal(err)
	return 0
}

func (p *Policy) wants(t *testing.T, code int, from, user, password string) {
	t.Helper()
	if got := p.signIn(t, from, user, password); got != code {
		t.Errorf("%s as %s from %s gave %d, want %d", password, user, from, got, code)
	}
}

// manyUsers is a policy of many users, whose hashes are cheap, with a block after
// three wrong passwords.
func manyUsers(t *testing.T) *Policy {
	p := testPolicy(t)
	p.guard = newGuard(3, 15*time.Minute)
	for i := range 1000 {
		p.users[fmt.Sprint("user", i)] = p.users["crm"]
	}
	return p
}

// Of a thousand guesses ten are looked at; the user is not kept out elsewhere, and
// signs in from there again after the block.
func TestGuessesAreBlocked(t *testing.T) {
	p := testPolicy(t)
	synctest.Test(t, func(t *testing.T) {
		looked := 0
		for i := range 1000 {
			switch code := p.signIn(t, "192.0.2.1", "crm", fmt.Sprint("guess ", i)); code {
			case 535:
				looked++
			case 421:
			default:
				t.Fatalf("guess %d gave %d", i, code)
			}
		}
		if looked != 10 {
			t.Errorf("%d guesses were looked at, want 10", looked)
		}
		p.wants(t, 421, "192.0.2.1", "crm", "secret")
		for _, elsewhere := range []string{"192.0.2.2", "198.51.100.1", "2001:db8::1"} {
			p.wants(t, 235, elsewhere, "crm", "secret")
		}
		p.wants(t, 421, "192.0.2.1", "crm", "secret") // also now that it is known
		time.Sleep(15 * time.Minute)
		p.wants(t, 235, "192.0.2.1", "crm", "secret")
	})
}

// A block is whole however long it took to come to it.
func TestBlockIsWhole(t *testing.T) {
	p := testPolicy(t)
	synctest.Test(t, func(t *testing.T) {
		for range 9 {
			p.wants(t, 535, "192.0.2.1", "crm", "guess")
		}
		time.Sleep(14 * time.Minute)
		p.wants(t, 535, "192.0.2.1", "crm", "guess")
		time.Sleep(14 * time.Minute)
		p.wants(t, 421, "192.0.2.1", "crm", "secret")
	})
}

// Who guesses for many users is blocked as an address; with IPv6, whichever of its
// addresses it uses, and then its network. A user who signs in from there goes on.
func TestGuessesForManyUsers(t *testing.T) {
	for name, tt := range map[string]struct {
		from   func(i int) string
		looked int
		good   string
	}{
		"IPv4":         {func(int) string { return "192.0.2.1" }, 9, "192.0.2.1"},
		"IPv6":         {func(i int) string { return fmt.Sprintf("2001:db8::%x", i+1) }, 9, "2001:db8::ffff:1"},
		"IPv6 network": {func(i int) string { return fmt.Sprintf("2001:db8:0:%x::1", i) }, 30, "2001:db8:0:1::1"},
	} {
		t.Run(name, func(t *testing.T) {
			p := manyUsers(t)
			synctest.Test(t, func(t *testing.T) {
				p.wants(t, 235, tt.good, "crm", "secret")
				looked := 0
				for i := range 1000 {
					if p.signIn(t, tt.from(i), fmt.Sprint("user", i), "guess") == 535 {
						looked++
					}
				}
				if looked != tt.looked {
					t.Errorf("%d guesses were looked at, want %d", looked, tt.looked)
				}
				p.wants(t, 235, tt.good, "crm", "secret")
				p.wants(t, 535, tt.good, "crm", "mistyped") // still its own to mistype
				p.wants(t, 421, tt.good, "user999", "guess")
			})
		})
	}
}

// Sign-ins never count, however many, and undo a mistyped password.
func TestGoodSignInsDoNotCount(t *testing.T) {
	p := testPolicy(t)
	synctest.Test(t, func(t *testing.T) {
		var all sync.WaitGroup
		for range 200 {
			all.Go(func() { p.wants(t, 235, "192.0.2.1", "crm", "secret") })
		}
		all.Wait()
		for range 20 {
			for range 9 {
				p.wants(t, 535, "192.0.2.1", "crm", "mistyped")
			}
			p.wants(t, 235, "192.0.2.1", "crm", "secret")
		}
		if n := p.guard.hosts.at(smtpd.HostPrefix(office), time.Now()).failures; n != 0 {
			t.Errorf("the address has %d failures", n)
		}
	})
}

// A sign-in of one's own does not buy guesses for others.
func TestGoodSignInsUndoTheirOwn(t *testing.T) {
	p := manyUsers(t)
	synctest.Test(t, func(t *testing.T) {
		looked := 0
		for i := range 200 {
			if p.signIn(t, "192.0.2.1", fmt.Sprint("user", i), "guess") == 535 {
				looked++
			}
			p.wants(t, 235, "192.0.2.1", "crm", "secret")
		}
		if looked != 9 {
			t.Errorf("%d guesses were looked at, want 9", looked)
		}
	})
}

// Wrong passwords are answered later and later.
func TestDelays(t *testing.T) {
	p := testPolicy(t)
	synctest.Test(t, func(t *testing.T) {
		var delays []time.Duration
		for range 11 {
			start := time.Now()
			p.signIn(t, "192.0.2.1", "crm", "guess")
			delays = append(delays, time.Since(start))
		}
		const ms = time.Millisecond
		want := []time.Duration{250 * ms, 500 * ms, 1000 * ms, 2000 * ms, 4000 * ms, 4000 * ms, 4000 * ms, 4000 * ms, 4000 * ms, 4000 * ms, 0}
		if fmt.Sprint(delays) != fmt.Sprint(want) {
			t.Errorf("the delays are %v", delays)
		}
	})
}

// Many addresses that guess for one user make its sign-ins wait, but for those from
// where it has signed in; nobody is kept out.
func TestGuessesFromManyAddresses(t *testing.T) {
	p := testPolicy(t)
	synctest.Test(t, func(t *testing.T) {
		p.wants(t, 235, "198.51.100.1", "crm", "secret")
		for i := range 100 {
			p.wants(t, 535, fmt.Sprintf("10.0.%d.1", i), "crm", "guess")
		}
		for from, least := range map[string]time.Duration{"198.51.100.1": 0, "203.0.113.1": maxDelay} {
			start := time.Now()
			p.wants(t, 235, from, "crm", "secret")
			if took := time.Since(start); took != least {
				t.Errorf("from %s it took %v, want %v", from, took, least)
			}
		}
	})
}

// Guesses that come at the same time are not looked at beyond the limit but for those
// that are being looked at.
func TestGuessesAtTheSameTime(t *testing.T) {
	p := testPolicy(t)
	synctest.Test(t, func(t *testing.T) {
		var all sync.WaitGroup
		var mu sync.Mutex
		codes := map[int]int{}
		for i := range 200 {
			all.Go(func() {
				code := p.signIn(t, "192.0.2.1", "crm", fmt.Sprint("guess ", i))
				mu.Lock()
				defer mu.Unlock()
				codes[code]++
			})
		}
		all.Wait()
		if codes[535] > 10+runtime.GOMAXPROCS(0) || codes[535]+codes[421] != 200 {
			t.Errorf("the answers were %v", codes)
		}
	})
}

// More verifications than can wait are refused for the moment; what is known needs none. Of
// those that wait, the client with the most makes room for another.
func TestBusy(t *testing.T) {
	p := testPolicy(t)
	synctest.Test(t, func(t *testing.T) {
		p.wants(t, 235, "192.0.2.1", "crm", "secret")
		going := make(chan struct{})
		var verified, turn atomic.Int32 // passwords of all, and the place of the second client's
		p.passwords.compare = func(hash, password []byte) error {
			<-going
			if n := verified.Add(1); string(password) == "guess from 10.0.0.2" {
				turn.Store(n)
			}
			return bcrypt.CompareHashAndPassword(hash, password)
		}
		var all sync.WaitGroup
		var mu sync.Mutex
		codes := map[int]int{}
		guess := func(from string) {
			all.Go(func() {
				code := p.signIn(t, from, "crm", "guess from "+from)
				mu.Lock()
				defer mu.Unlock()
				codes[code]++
			})
		}
		for range 400 {
			guess("10.0.0.1")
		}
		synctest.Wait()
		guess("10.0.0.2") // makes one of the first wait no longer
		all.Go(func() { p.wants(t, 235, "10.0.0.3", "crm", "secret") })
		synctest.Wait()
		mu.Lock()
		if n := codes[454]; n != 400-maxWaiting-max(runtime.GOMAXPROCS(0)/2, 1)+1 {
			t.Errorf("%d were sent away", n)
		}
		mu.Unlock()
		close(going)
		all.Wait()
		if codes[535] == 0 || codes[535]+codes[421]+codes[454] != 401 {
			t.Errorf("the answers were %v", codes)
		}
		if n := turn.Load(); n == 0 || n > maxWaiting/2 {
			t.Errorf("the second client's password was verified as number %d", n)
		}
	})
}

// The time of an answer does not tell whether there is such a user: whatever the costs of
// the hashes, a wrong password takes as long as the highest.
func TestNoUserShowsInTheTime(t *testing.T) {
	for _, costs := range [][]int{{10}, {10, 12}, {12, 12}, {4, 11, 10}} {
		cfg := &config.Config{}
		var names []string
		for i, cost := range costs {
			name := fmt.Sprint("user", i)
			names = append(names, name)
			cfg.Users = append(cfg.Users, config.User{Name: name, PasswordHash: config.NewSecret(fmt.Sprintf("$2a$%02d$%s", cost, bcryptSum))})
		}
		p := New(Options{Config: cfg}).passwords
		var work int
		p.compare = func(hash, _ []byte) error {
			cost, err := bcrypt.Cost(hash)
			if err != nil {
				t.Fatal(err)
			}
			work += 1 << cost
			return bcrypt.ErrMismatchedHashAndPassword
		}
		for _, name := range append(names, "nobody") {
			hash := ""
			for _, u := range cfg.Users {
				if u.Name == name {
					hash = u.PasswordHash.Reveal()
				}
			}
			work = 0
			if err := p.verify(t.Context(), office, name, "guess", hash, func() error { return nil }); !errors.Is(err, ErrWrongPassword) {
				t.Fatal(err)
			}
			if want := 1 << max(slices.Max(costs), bcrypt.DefaultCost); work != want {
				t.Errorf("%v: %s takes %d, want %d", costs, name, work, want)
			}
		}
	}
}

// What the guard knows lives over a reload, and whom it knows over a restart.
func TestGuardOutlivesReloads(t *testing.T) {
	p := testPolicy(t)
	synctest.Test(t, func(t *testing.T) {
		p.wants(t, 235, "192.0.2.1", "crm", "secret")
		for range 10 {
			p.wants(t, 535, "198.51.100.1", "crm", "guess")
		}
		next := New(p.Options) // a reload
		next.passwords.cost = bcrypt.MinCost
		for i := range 34 {
			next.signIn(t, "192.0.2.1", fmt.Sprint("guessed", i), "guess")
		}
		next.wants(t, 421, "192.0.2.1", "other", "secret")
		next.wants(t, 235, "192.0.2.1", "crm", "secret")
		next.wants(t, 421, "198.51.100.1", "crm", "secret")

		path := filepath.Join(t.TempDir(), "known-clients.json")
		if err := p.Guard.Save(path); err != nil {
			t.Fatal(err)
		}
		o := p.Options
		o.Guard = newGuard(10, 15*time.Minute) // a restart
		if err := o.Guard.Load(path); err != nil {
			t.Fatal(err)
		}
		next = New(o)
		next.passwords.cost = bcrypt.MinCost
		for i := range 34 {
			next.signIn(t, "192.0.2.1", fmt.Sprint("guessed", i), "guess")
		}
		next.wants(t, 421, "192.0.2.1", "other", "secret")
		next.wants(t, 235, "192.0.2.1", "crm", "secret")
		time.Sleep(knownFor)
		if err := o.Guard.Load(path); err != nil || o.Guard.known.has("crm", smtpd.HostPrefix(office), time.Now()) {
			t.Errorf("known for longer than %s, %v", knownFor, err)
		}
	})
}

// The file of known clients is written when there is news, and a damaged one is no fault.
func TestKnownClientsFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "known-clients.json")
		g := newGuard(10, time.Minute)
		written := func() bool {
			t.Helper()
			_ = os.Remove(path)
			if err := g.Save(path); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(path)
			if err == nil && runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
				t.Errorf("the file has the mode %s", info.Mode())
			}
			return err == nil
		}
		for n, step := range []struct {
			wait    time.Duration
			written bool
		}{{0, true}, {time.Minute, false}, {2 * time.Hour, true}} {
			time.Sleep(step.wait)
			g.succeeded(office, "crm")
			if got := written(); got != step.written {
				t.Errorf("sign-in %d: written %v", n, got)
			}
		}
		if err := g.Load(filepath.Join(t.TempDir(), "none")); err != nil {
			t.Error(err)
		}
		text, _ := os.ReadFile(path)
		for _, damaged := range []string{"", "\x00\x00", "{", `{"user":"a","host":"x"}`, string(text) + `{"user":`, `{"user":"a","host":"192.0.2.0/24","until":"9999-01-01T00:00:00Z"}`} {
			if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
				t.Fatal(err)
			}
			fresh := newGuard(10, time.Minute)
			err := fresh.Load(path)
			if known := fresh.known.has("crm", smtpd.HostPrefix(office), time.Now()); known != strings.HasPrefix(damaged, string(text)) || (err == nil) != (damaged == "" || strings.HasSuffix(damaged, "}") && !strings.Contains(damaged, `"x"`)) {
				t.Errorf("%q: %v, known %v", damaged, err, known)
			}
			if fresh.known.has("a", netip.MustParsePrefix("192.0.2.0/24"), time.Now().Add(knownFor)) {
				t.Error("a client is known for ever")
			}
		}
	})
}

// What strangers make the guard remember is bounded, and pushes out neither a block
// that has just begun nor whom it knows.
func TestGuardMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(3, 15*time.Minute)
		g.succeeded(office, "crm")
		blocked := netip.MustParseAddr("198.51.100.1")
		for i := range 3 * maxTallies {
			if i == 2*maxTallies+maxTallies/2 {
				for range 3 {
					g.failed(blocked, "crm")
				}
			}
			client := netip.MustParseAddr(fmt.Sprintf("2001:db8:%x:%x::1", i>>8, i&0xff))
			if g.failed(client, fmt.Sprint(i)); i%1000 == 0 {
				time.Sleep(time.Second)
			}
		}
		if g.pairs.Len() > maxTallies || g.hosts.Len() > maxTallies || g.networks.Len() > maxTallies || g.users.Len() > maxTallies {
			t.Errorf("it remembers %d, %d, %d, %d", g.pairs.Len(), g.hosts.Len(), g.networks.Len(), g.users.Len())
		}
		if _, err := g.check(blocked, "crm"); !errors.Is(err, ErrBlocked) {
			t.Error("a block was forgotten")
		}
		g.hosts.Put(smtpd.HostPrefix(office), &tally{failures: 100, since: time.Now()})
		if _, err := g.check(office, "crm"); err != nil {
			t.Error("a user that signed in is not known any more")
		}
	})
}
