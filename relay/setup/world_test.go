package setup

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/oauth2"

	"graphrelay/graph/entra"
	"graphrelay/graph/simulator"
	"graphrelay/internal/testlog"
	"graphrelay/relay/config"
	"graphrelay/relay/credential"
)

const (
	administrator = "admin@contoso.test"
	scanner       = "scanner@contoso.test"
)

// tenant is a simulated tenant, and the machine on which a set-up runs.
type tenant struct {
	t      *testing.T
	sim    *simulator.Simulator
	url    string
	file   string
	screen *screen
	// request is called for each request; if it returns true, the request has its effect, and
	// its answer is lost.
	mu      sync.Mutex
	request func(r *http.Request) (lost bool)
	killed  func()                     // called when the request has had its effect; may be nil
	refuse  func(r *http.Request) bool // with 400; set before the first request
}

func newTenant(t *testing.T, world simulator.World) *tenant {
	t.Helper()
	w := &tenant{t: t, file: filepath.Join(t.TempDir(), "relay.yaml"), screen: &screen{t: t, account: administrator}}
	w.sim = simulator.New(simulator.Options{Mailboxes: []string{"contoso.test"}, DeviceInterval: time.Second, World: world})
	server := httptest.NewServer(http.HandlerFunc(w.serve))
	w.url = server.URL
	t.Cleanup(func() {
		w.screen.wait()
		server.Close()
		w.sim.Close()
	})
	return w
}

func (w *tenant) serve(out http.ResponseWriter, r *http.Request) {
	if w.refuse != nil && w.refuse(r) {
		out.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(out, `{"error": {"code": "Request_UnsupportedQuery", "message": "no"}}`)
		return
	}
	w.mu.Lock()
	lost := w.request != nil && w.request(r)
	w.mu.Unlock()
	if !lost {
		w.sim.ServeHTTP(out, r)
		return
	}
	w.sim.ServeHTTP(httptest.NewRecorder(), r)
	w.mu.Lock()
	if w.killed != nil {
		w.killed()
	}
	w.mu.Unlock()
	panic(http.ErrAbortHandler)
}

// onRequest sets what is called for each request.
func (w *tenant) onRequest(f func(r *http.Request) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.request, w.killed = f, nil
}

// killAfter has kill called when the first request that f picks has had its effect.
func (w *tenant) killAfter(kill func(), f func(r *http.Request) bool) {
	w.onRequest(f)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.killed = kill
}

// options returns the options of an unattended set-up, for which an administrator is signed
// in elsewhere.
func (w *tenant) options(c Choices) Options {
	w.t.Helper()
	c.LoginURL, c.GraphURL = w.url, w.url
	if c.Clients == "" {
		c.Clients = Both
	}
	if c.Mailboxes == nil {
		c.Mailboxes = []string{scanner}
	}
	c.Networks = []string{"127.0.0.1"}
	if c.Scope == Tenant {
		c.ReadUsers = "yes"
	}
	w.t.Setenv("TEST_ADMIN_TOKEN", w.adminToken(administrator))
	return Options{Config: w.file, Choices: c, AdminTokenEnv: "TEST_ADMIN_TOKEN", Out: w.screen, pace: quick(), create: copyKeys(w.t), cost: bcrypt.MinCost}
}

// keys makes the certificates of all tests, since that takes long.
var keys = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "graphrelay-setup-")
	if err == nil {
		_, err = credential.Create(filepath.Join(dir, "keys"), "graphrelay", time.Now())
	}
	return dir, err
})

func TestMain(m *testing.M) {
	if os.Getenv(fakeAzure) != "" {
		os.Exit(azure(os.Args[1:]))
	}
	code := m.Run()
	if dir, err := keys(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// copyKeys returns a credential.Create that copies the certificates of all tests.
func copyKeys(t *testing.T) func(dir, _ string, _ time.Time) (*credential.Store, error) {
	t.Helper()
	from, err := keys()
	if err != nil {
		t.Fatal(err)
	}
	return func(dir, _ string, _ time.Time) (*credential.Store, error) {
		err := os.CopyFS(dir, os.DirFS(filepath.Join(from, "keys")))
		_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, _ error) error { // CopyFS gives others a right to read
			if d.IsDir() {
				return os.Chmod(path, 0o700)
			}
			return os.Chmod(path, 0o600)
		})
		if err != nil {
			return nil, err
		}
		return credential.Open(dir)
	}
}

// quick is a pace at which the simulator's delays of tests pass.
func quick() pace {
	return pace{poll: 10 * time.Millisecond, known: 20 * time.Second, settle: 400 * time.Millisecond, rights: 20 * time.Millisecond}
}

// adminToken signs an account in with the browser's flow.
func (w *tenant) adminToken(account string) string {
	w.t.Helper()
	who := entra.Interactive{App: entra.App{Tenant: anyTenant, ClientID: commandLineTools, LoginURL: w.url, GraphURL: w.url},
		Scopes: []string{w.url + "/" + scopeApplications, w.url + "/" + scopeGrants, w.url + "/" + scopeOrganization}}
	verifier := oauth2.GenerateVerifier()
	answer := w.authorize(who.AuthURL("http://localhost:1", "s", verifier, ""), account)
	token, err := who.Exchange(w.t.Context(), "http://localhost:1", answer.Query().Get("code"), verifier)
	if err != nil {
		w.t.Fatal(err)
	}
	return token.AccessToken
}

// authorize signs an account in at a sign-in page, and returns where that sends the browser.
func (w *tenant) authorize(page, account string) *url.URL {
	w.t.Helper()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	reply, err := client.PostForm(page, url.Values{"account": {account}})
	if err != nil {
		w.t.Fatal(err)
	}
	defer reply.Body.Close()
	to, err := reply.Location()
	if err != nil {
		body, _ := io.ReadAll(reply.Body)
		w.t.Fatalf("%v: %s", err, body)
	}
	return to
}

// run runs a set-up that has to succeed.
func (w *tenant) run(o Options) {
	w.t.Helper()
	if err := Run(w.t.Context(), o); err != nil {
		w.t.Fatalf("%v\n%s", err, w.screen.String())
	}
}

// apps returns the applications that are registered.
func (w *tenant) apps() (list []simulator.RegisteredApp) {
	for _, a := range w.sim.RegisteredApps() {
		if !a.Deleted {
			list = append(list, a)
		}
	}
	return list
}

// one returns the application, of which there has to be one.
func (w *tenant) one() simulator.RegisteredApp {
	w.t.Helper()
	list := w.apps()
	if len(list) != 1 {
		w.t.Fatalf("%d applications are registered: %+v\n%s", len(list), list, w.screen.String())
	}
	return list[0]
}

// state returns the state of the set-up.
func (w *tenant) state() *state {
	w.t.Helper()
	s, err := loadState(statePath(w.file))
	if err != nil || s == nil {
		w.t.Fatalf("no state: %v", err)
	}
	return s
}

// config loads the configuration that was written.
func (w *tenant) config() *config.Config {
	w.t.Helper()
	cfg, err := config.Load(w.file)
	if err != nil {
		w.t.Fatalf("%v\n%s", err, w.read(w.file))
	}
	cheap := func(warning string) bool { return strings.Contains(warning, "has cost 4") } // see Options.cost
	if warnings := slices.DeleteFunc(cfg.Warnings(), cheap); len(warnings) > 0 {
		w.t.Errorf("warnings: %q", warnings)
	}
	return cfg
}

func (w *tenant) read(path string) string {
	w.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

// screen is the terminal: it keeps what is shown, and signs in an administrator who follows
// the instructions. It types nothing by itself.
type screen struct {
	testlog.Buffer
	t       *testing.T
	account string // who signs in with a code; empty: nobody
	mu      sync.Mutex
	codes   map[string]bool // that were used
	posts   sync.WaitGroup
}

var deviceCode = regexp.MustCompile(`open\n\n    (\S+)\n\nand enter the code  (\S+)  `)

// Write implements io.Writer.
func (s *screen) Write(b []byte) (int, error) {
	n, err := s.Buffer.Write(b)
	shown := deviceCode.FindAllStringSubmatch(s.String(), -1)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, code := range shown {
		if s.account == "" || s.codes[code[2]] {
			continue
		}
		if s.codes == nil {
			s.codes = map[string]bool{}
		}
		s.codes[code[2]] = true
		s.posts.Go(func() {
			reply, err := http.PostForm(code[1], url.Values{"user_code": {code[2]}, "account": {s.account}})
			if err == nil {
				_ = reply.Body.Close()
			}
		})
	}
	return n, err
}

func (s *screen) wait() { s.posts.Wait() }

// keyboard types an answer after each text that is shown.
func (w *tenant) keyboard(answers ...[2]string) io.Reader { return w.typed(nil, answers...) }

// typed is keyboard, and then types what last brings, which may be nil.
func (w *tenant) typed(last <-chan string, answers ...[2]string) io.Reader {
	in, typing := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		from := 0
		for _, a := range answers {
			for {
				shown := w.screen.String()
				if i := strings.Index(shown[from:], a[0]); i >= 0 {
					from += i + len(a[0])
					break
				}
				select {
				case <-w.t.Context().Done():
					return
				case <-time.After(2 * time.Millisecond):
				}
			}
			if _, err := io.WriteString(typing, a[1]+"\n"); err != nil {
				return
			}
		}
		for last != nil {
			text, ok := <-last
			if !ok {
				return
			}
			_, _ = io.WriteString(typing, text+"\n")
		}
	}()
	w.t.Cleanup(func() {
		_ = in.Close()
		<-done
	})
	return in
}

// refused returns the error of a set-up that has to fail with this text.
func (w *tenant) refused(o Options, want ...string) {
	w.t.Helper()
	ctx, stop := context.WithTimeout(w.t.Context(), time.Minute)
	defer stop()
	err := Run(ctx, o)
	if err == nil || errors.Is(err, context.DeadlineExceeded) {
		w.t.Fatalf("not refused: %v\n%s", err, w.screen.String())
	}
	for _, text := range want {
		if !strings.Contains(err.Error(), text) {
			w.t.Errorf("the error is %q, without %q", err, text)
		}
	}
}

// waitFor polls until done returns true.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for start := time.Now(); time.Since(start) < 20*time.Second; time.Sleep(2 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Errorf("waited in vain for: %s", what)
	runtime.Goexit()
}
