package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/graph"
	"graphrelay/internal/testlog"
)

func testDirectory(log *testlog.Buffer, find func(address string) (graph.User, error)) *Directory {
	d := NewDirectory(nil, slog.New(slog.NewTextHandler(log, nil)))
	d.find = func(_ context.Context, address string) (graph.User, error) { return find(address) }
	return d
}

// One request serves all who ask for an address; what it brought is known for its time.
func TestDirectoryRemembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log testlog.Buffer
		var asked atomic.Int32
		d := testDirectory(&log, func(address string) (graph.User, error) {
			asked.Add(1)
			time.Sleep(time.Second)
			if address == "nobody@contoso.test" {
				return graph.User{}, graph.ErrNoUser
			}
			return graph.User{ID: "id", UserPrincipalName: "Anna@contoso.test"}, nil
		})
		want := func(address string, w Lookup, requests int32) {
			t.Helper()
			if u, got := d.Owner(t.Context(), office, address); got != w || got == Found && u.ID != "id" {
				t.Errorf("%s: %v, %+v", address, got, u)
			}
			if asked.Load() != requests {
				t.Errorf("%s: %d requests, want %d", address, asked.Load(), requests)
			}
		}
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { d.Owner(t.Context(), office, "Sales@contoso.test") })
		}
		wg.Wait()
		want("sales@contoso.test", Found, 1)
		want("anna@contoso.test", Found, 1) // its owner came with it
		want("nobody@contoso.test", NotFound, 2)
		time.Sleep(notFoundFor + time.Second)
		want("nobody@contoso.test", NotFound, 3)
		want("sales@contoso.test", Found, 3)
		time.Sleep(foundFor)
		want("sales@contoso.test", Found, 4)
	})
}

// A directory that may not be read is asked seldom and warned of once; one that does not
// answer keeps nobody waiting for long.
func TestDirectoryFails(t *testing.T) {
	for _, tt := range []struct {
		name    string
		err     error
		answer  Lookup
		silence time.Duration
		warned  int
	}{
		{"denied", &graph.Error{Status: 403, Code: "Authorization_RequestDenied"}, Unknown, deniedPause, 1},
		{"no such thing", &graph.Error{Status: 404}, Unknown, deniedPause, 0},
		{"down", &graph.Error{Status: 503}, Unavailable, failurePause, 0},
		{"no network", errors.New("unreachable"), Unavailable, failurePause, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log testlog.Buffer
				asked := 0
				d := testDirectory(&log, func(string) (graph.User, error) { asked++; return graph.User{}, tt.err })
				for _, requests := range []int{1, 2} {
					for range 3 {
						if _, got := d.Owner(t.Context(), office, fmt.Sprint(requests, "@contoso.test")); got != tt.answer {
							t.Errorf("got %v", got)
						}
						synctest.Wait()
					}
					if asked != requests {
						t.Errorf("%d requests, want %d", asked, requests)
					}
					time.Sleep(tt.silence + time.Second)
				}
				if n := strings.Count(log.String(), "grant it User.Read.All"); n != tt.warned {
					t.Errorf("warned %d times:\n%s", n, log.String())
				}
			})
		})
	}
}

// What the directory refuses or fails to say of one address keeps no other one from being
// looked up, unless several fail in a row.
func TestDirectoryFailsForOneAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log testlog.Buffer
		asked := 0
		failing := map[string]error{
			"odd@contoso.test": &graph.Error{Status: 400, Code: "Request_BadRequest"}, "long@contoso.test": graph.ErrNotAsked,
			"a@contoso.test": &graph.Error{Status: 503}, "b@contoso.test": &graph.Error{Status: 503}, "c@contoso.test": &graph.Error{Status: 503}, "d@contoso.test": &graph.Error{Status: 503},
		}
		d := testDirectory(&log, func(address string) (graph.User, error) {
			asked++
			return graph.User{ID: "id", UserPrincipalName: address}, failing[address]
		})
		want := func(address string, result Lookup, requests int) {
			t.Helper()
			if _, got := d.Owner(t.Context(), office, address); got != result {
				t.Errorf("%s: %v, want %v", address, got, result)
			}
			if synctest.Wait(); asked != requests {
				t.Errorf("%s: %d requests, want %d", address, asked, requests)
			}
		}
		want("odd@contoso.test", Unknown, 1)
		want("odd@contoso.test", Unknown, 1)
		want("long@contoso.test", Unknown, 2)
		want("anna@contoso.test", Found, 3)
		want("a@contoso.test", Unavailable, 4)
		want("bob@contoso.test", Found, 5)
		want("a@contoso.test", Unavailable, 5)
		want("b@contoso.test", Unavailable, 6)
		want("c@contoso.test", Unavailable, 7)
		want("d@contoso.test", Unavailable, 8) // the third in a row
		want("eve@contoso.test", Unavailable, 8)
		time.Sleep(failurePause + time.Second)
		want("eve@contoso.test", Found, 9)
		if got := strings.Count(log.String(), "level=WARN"); got != 1 || strings.Contains(log.String(), "User.Read.All") {
			t.Errorf("%d warnings:\n%s", got, log.String())
		}
	})
}

func TestDirectoryHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log testlog.Buffer
		d := testDirectory(&log, func(string) (graph.User, error) { time.Sleep(time.Hour); return graph.User{}, graph.ErrNoUser })
		start := time.Now()
		if _, got := d.Owner(t.Context(), office, "a@contoso.test"); got != Unavailable || time.Since(start) != askTimeout {
			t.Errorf("%v after %s", got, time.Since(start))
		}
		synctest.Wait()
		time.Sleep(2 * time.Hour)
	})
}

// Clients take turns. One that makes up senders delays itself, not others, and is refused
// after a while.
func TestDirectoryIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log testlog.Buffer
		var asked atomic.Int32
		d := testDirectory(&log, func(address string) (graph.User, error) {
			asked.Add(1)
			time.Sleep(300 * time.Millisecond)
			if strings.HasPrefix(address, "made-up") {
				return graph.User{}, graph.ErrNoUser
			}
			return graph.User{ID: "id", UserPrincipalName: address}, nil
		})
		ctx, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		var tooMany atomic.Int32
		for i := range 60 {
			all.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					if _, got := d.Owner(ctx, office, fmt.Sprintf("made-up-%d-%d@contoso.test", i, n)); got == TooMany {
						tooMany.Add(1)
						time.Sleep(time.Second)
					}
				}
			})
		}
		for i := range 5 {
			time.Sleep(time.Second)
			start := time.Now()
			client := netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})
			if _, got := d.Owner(t.Context(), client, fmt.Sprintf("anna%d@contoso.test", i)); got != Found || time.Since(start) > 700*time.Millisecond {
				t.Errorf("client %d: %v after %s", i, got, time.Since(start))
			}
			// An address that another client asks for too does not wait for that client's turn.
			start = time.Now()
			var twice sync.WaitGroup
			twice.Go(func() { d.Owner(ctx, office, fmt.Sprintf("bob%d@contoso.test", i)) })
			synctest.Wait()
			if _, got := d.Owner(t.Context(), client, fmt.Sprintf("bob%d@contoso.test", i)); got != Found || time.Since(start) > 700*time.Millisecond {
				t.Errorf("client %d: %v after %s, for an address that is asked for", i, got, time.Since(start))
			}
			twice.Wait()
		}
		time.Sleep(5 * time.Minute)
		if n := asked.Load(); n > 10*maxMisses || // without a limit, some 2000
			tooMany.Load() == 0 {
			t.Errorf("%d questions in five minutes, and %d refusals", n, tooMany.Load())
		}
		if _, got := d.Owner(t.Context(), office, "anna1@contoso.test"); got != Found {
			t.Errorf("what is known is no longer told: %v", got)
		}
		stop()
		all.Wait()
		synctest.Wait()
		d.mu.Lock()
		defer d.mu.Unlock()
		for key, e := range d.known.All() {
			if e.until.IsZero() {
				t.Errorf("%s is asked for ever", key)
			}
		}
	})
}
