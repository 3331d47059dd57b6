package credential

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"graphrelay/graph"
	"graphrelay/graph/entra"
	"graphrelay/graph/simulator"
	"graphrelay/internal/testlog"
)

// testKeys are made once, since that takes long, and shorter than real ones.
var testKeys = sync.OnceValue(func() (list []*rsa.PrivateKey) {
	for range 3 {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		list = append(list, k)
	}
	return list
})

// direct calls a handler without a network, so that a synctest bubble controls the clock.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Host = r.URL.Host
	if r.Body == nil {
		r.Body = http.NoBody
	}
	recorder := httptest.NewRecorder()
	d.ServeHTTP(recorder, r)
	return recorder.Result(), nil
}

// killed is the panic of a process that is killed.
type killed struct{ at string }

// world is a simulated tenant, and a relay that renews its certificates in it.
type world struct {
	t        *testing.T
	sim      *simulator.Simulator
	dir      string
	app      entra.App
	objectID string

	kill     func(at string) bool   // whether the process dies at this point
	lose     func(call string) bool // whether the answer of a call is lost after its effect
	readable bool                   // the application may read itself
	events   []string               // what the process did with effect outside of its memory
	mu       sync.Mutex             // of events
	log      testlog.Buffer
	store    *Store // of the running process, nil if there is none
	stop     context.CancelFunc
	died     chan string
}

// adminID is the client ID of an application that may administer others.
const adminID = "99999999-9999-9999-9999-999999999999"

// newWorld registers an application with two new certificates. It must be called in a bubble.
func newWorld(t *testing.T, w simulator.World) *world {
	sim := simulator.New(simulator.Options{Mailboxes: []string{"contoso.test"}, World: w,
		Apps: []simulator.App{{ClientID: adminID, Secret: "secret", Roles: []string{"Application.ReadWrite.All"}}}})
	t.Cleanup(sim.Close)
	v := &world{t: t, sim: sim, dir: filepath.Join(t.TempDir(), "certificates"), app: entra.App{Tenant: "contoso.test", LoginURL: "http://graph.test", GraphURL: "http://graph.test"}}
	s := newStore(v.dir)
	s.newKey = v.newKey
	for _, r := range []role{current, standby} {
		if err := os.MkdirAll(v.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		k, err := s.makeKey(r, "relay.test", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		k.Stage = inUse
		s.keys = append(s.keys, k)
	}
	var ders [][]byte
	for _, c := range s.Certificates() {
		ders = append(ders, c.Raw)
	}
	objectID, appID, err := sim.RegisterApp("relay", ders)
	if err != nil {
		t.Fatal(err)
	}
	v.objectID, v.app.ClientID = objectID, appID
	keys := sim.RegisteredApps()[0].Keys
	if err := s.Register(objectID, keys[0].KeyID, keys[1].KeyID); err != nil {
		t.Fatal(err)
	}
	return v
}

var made atomic.Int64

func (v *world) newKey() (*rsa.PrivateKey, error) {
	keys := testKeys()
	return keys[int(made.Add(1))%len(keys)], nil
}

// event is called at each step with an effect outside of the process's memory.
func (v *world) event(what string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.events = append(v.events, what)
	if v.kill != nil && v.kill(what) {
		panic(killed{what})
	}
}

// start starts a process that renews.
func (v *world) start() {
	v.t.Helper()
	s, err := Open(v.dir)
	if err != nil {
		v.t.Fatalf("a restart fails: %v\n%s", err, v.log.String())
	}
	s.newKey, s.touched = v.newKey, v.event
	ctx, cancel := context.WithCancel(v.t.Context())
	v.store, v.stop, v.died = s, cancel, make(chan string, 1)
	died := v.died
	go func() {
		defer close(died)
		defer func() {
			switch p := recover().(type) {
			case nil:
			case killed:
				died <- p.at
			default:
				panic(p)
			}
		}()
		(&Renewal{Store: s, Entra: &calls{v, s}, Log: slog.New(slog.NewTextHandler(&v.log, nil))}).Run(ctx)
	}()
}

// run lets time pass in steps. A process that is killed is started again a minute later. At
// each step, and after each kill, a token has to be had from what is on the disk.
func (v *world) run(length, step time.Duration) {
	v.t.Helper()
	for end := time.Now().Add(length); time.Now().Before(end); {
		select {
		case at := <-v.died:
			v.token("after a kill at " + at)
			time.Sleep(time.Minute)
			v.start()
		case <-time.After(step):
			v.token("at " + time.Now().Format(time.DateTime))
		}
	}
}

// token gets a token with what is on the disk, as a process that starts now would.
func (v *world) token(when string) {
	v.t.Helper()
	s, err := Open(v.dir)
	if err == nil {
		_, err = SignIn{App: v.app, Store: s}.Source(v.client(v.t.Context()), "").Token()
	}
	if err != nil {
		v.t.Fatalf("no token %s: %v\n%s", when, err, v.log.String())
	}
}

func (v *world) client(ctx context.Context) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: direct{v.sim}})
}

// end stops the process, and checks what it has left.
func (v *world) end() {
	v.t.Helper()
	v.stop()
	for range v.died {
	}
	registered := v.sim.RegisteredApps()[0].Keys
	status := v.store.Status()
	if len(status) != 2 || len(registered) != 2 {
		v.t.Errorf("%d certificates on the disk and %d registered, want 2: %+v, %+v\n%s", len(status), len(registered), status, registered, v.log.String())
	}
	entries, err := os.ReadDir(v.dir)
	if err != nil || len(entries) != 4 { // with the lock
		v.t.Errorf("left %v, %v", entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			v.t.Errorf("%s has the mode %v, %v", e.Name(), info.Mode(), err)
		}
	}
}

// calls implements Entra with the simulator.
type calls struct {
	v *world
	s *Store
}

func (c *calls) Try(ctx context.Context, certificate tls.Certificate) error {
	_, err := entra.Certificate{App: c.v.app, Certificate: certificate}.Source(c.v.client(ctx), "").Token()
	if Refused(err) {
		return fmt.Errorf("%w: %v", ErrRefused, err)
	}
	return err
}

func (c *calls) AddKey(ctx context.Context, objectID string, certificate []byte, proof string) (string, error) {
	var added struct{ KeyID string }
	err := c.post(ctx, "add_key", objectID+"/addKey", map[string]any{"proof": proof,
		"keyCredential": map[string]any{"type": "AsymmetricX509Cert", "usage": "Verify", "key": certificate}}, &added)
	return added.KeyID, err
}

func (c *calls) RemoveKey(ctx context.Context, objectID, keyID, proof string) error {
	err := c.post(ctx, "remove_key", objectID+"/removeKey", map[string]any{"keyId": keyID, "proof": proof}, nil)
	var e *graph.Error
	if errors.As(err, &e) && e.Status == http.StatusBadRequest {
		return graph.ErrNoKey
	}
	return err
}

func (c *calls) FindKey(_ context.Context, _ string, certificate []byte) (string, error) {
	if c.v.readable {
		for _, k := range c.v.sim.RegisteredApps()[0].Keys {
			if strings.EqualFold(k.Thumbprint, thumbprint(&tls.Certificate{Certificate: [][]byte{certificate}})) {
				return k.KeyID, nil
			}
		}
		return "", graph.ErrNoKey
	}
	return "", &graph.Error{Op: "find_key", Status: http.StatusForbidden}
}

func (c *calls) post(ctx context.Context, op, path string, body map[string]any, into any) error {
	c.v.event("before " + op)
	ctx = c.v.client(ctx)
	token, err := SignIn{App: c.v.app, Store: c.s}.Source(ctx, "").Token()
	if err != nil {
		return &graph.Error{Op: "token"}
	}
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.v.app.GraphURL+"/v1.0/applications/"+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	token.SetAuthHeader(req)
	resp, err := (&http.Client{Transport: direct{c.v.sim}}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	c.v.event("after " + op)
	switch {
	case c.v.lose != nil && c.v.lose(op):
		return &graph.Error{Op: op, Ambiguous: true}
	case resp.StatusCode >= 300:
		return &graph.Error{Op: op, Status: resp.StatusCode}
	case into != nil:
		return json.NewDecoder(resp.Body).Decode(into)
	}
	return nil
}

const (
	day  = 24 * time.Hour
	year = currentLife
)

// Certificates are renewed over more than two lives of the current one, with each step killed
// once. Never is there no token to be had.
func TestTwoLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newWorld(t, simulator.World{KeyLag: 20 * time.Second})
		v.readable = true
		seen := map[string]bool{}
		v.kill = func(at string) bool {
			at, _, _ = strings.Cut(at, " certificate-") // each attempt makes another file
			at = fmt.Sprint(at, len(v.sim.RegisteredApps()[0].Keys), time.Now().Year(), time.Now().YearDay()/8)
			first := !seen[at]
			seen[at] = true
			return first
		}
		first := v.sim.RegisteredApps()[0].Keys
		v.start()
		v.run(2*year+60*day, 3*day)
		v.end()
		if len(seen) < 50 {
			t.Errorf("killed %d times only", len(seen))
		}
		for _, k := range v.sim.RegisteredApps()[0].Keys {
			if k.KeyID == first[0].KeyID || k.KeyID == first[1].KeyID || k.End.Before(time.Now()) {
				t.Errorf("%+v is still registered", k)
			}
		}
		if strings.Contains(v.log.String(), "PRIVATE") {
			t.Error("the log has a key")
		}
	})
}

// One renewal of both certificates is killed at each step in turn.
func TestKilledAnywhere(t *testing.T) {
	for _, lost := range []bool{false, true} {
		events := renewBoth(t, -1, lost)
		if len(events) < 30 {
			t.Errorf("%d steps only: %v", len(events), events)
		}
		every := 1 // the second time the steps are the same
		if lost {
			every = 3
		}
		if testing.Short() {
			every = 7
		}
		for n := 0; n < len(events); n += every {
			renewBoth(t, n, lost)
		}
	}
}

// renewBoth renews both certificates, in a process that is killed at the step with the number
// n. It returns the steps. With lost, the answer of each first request of a kind is lost.
func renewBoth(t *testing.T, n int, lost bool) (events []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		v := newWorld(t, simulator.World{KeyLag: 20 * time.Second})
		time.Sleep(standbyLife/2 + time.Hour)
		v.kill = func(string) bool { return len(v.events) == n+1 }
		if lost {
			gone := map[string]bool{}
			v.lose = func(call string) bool { first := !gone[call]; gone[call] = true; return first }
		}
		v.start()
		v.run(8*day, 12*time.Hour)
		v.stop()
		for range v.died {
		}
		events = v.events
		if lost || n >= 0 { // the key ID of one may be unknown: it stays registered
			if keys := v.sim.RegisteredApps()[0].Keys; len(v.store.Status()) != 2 || len(keys) > 4 {
				t.Errorf("killed at %d: %+v\n%s", n, v.store.Status(), v.log.String())
			}
			for _, s := range v.store.Status() {
				if s.Use != "current" && s.Use != "standby" || time.Until(s.Until) < year/2 {
					t.Errorf("killed at %d: %+v\n%s", n, s, v.log.String())
				}
			}
			return
		}
		v.end()
	})
	return events
}
