package durability

import (
	"flag"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"graphrelay/internal/testpostgres"
	"graphrelay/test/harness"
)

var kills = flag.Int("kills", 26, "how often TestCrashMatrix kills the relay")

// crossing is a kind of request before or after which the relay is killed.
type crossing struct {
	name  string
	match func(r *http.Request) bool
	after bool // once it has had its effect, before the answer arrives
}

// crossings returns all of them. Requests that only follow a crash stand behind the
// crossing that causes them.
func crossings() (list []crossing) {
	in := func(method, suffix string) func(*http.Request) bool {
		return func(r *http.Request) bool { return r.Method == method && strings.HasSuffix(r.URL.Path, suffix) }
	}
	for _, kind := range []struct {
		name  string
		match func(*http.Request) bool
	}{
		{"token", in("POST", "/token")},
		{"create", in("POST", "/messages")},
		{"find", in("GET", "/messages")},
		{"attach", in("POST", "/attachments")},
		{"count", in("GET", "/attachments")},
		{"create session", in("POST", "/createUploadSession")},
		{"upload", func(r *http.Request) bool { return r.Method == http.MethodPut }},
		{"upload state", func(r *http.Request) bool {
			return r.Method == http.MethodGet && strings.Contains(r.URL.Path, "AttachmentSessions")
		}},
		{"send", in("POST", "/send")},
		{"look", func(r *http.Request) bool {
			return r.Method == http.MethodGet && strings.Contains(r.URL.RawQuery, "expand")
		}},
	} {
		list = append(list, crossing{kind.name, kind.match, false}, crossing{kind.name, kind.match, true})
	}
	return list
}

// guillotine stands between relay and simulator and kills the relay at a crossing.
type guillotine struct {
	*httptest.Server

	mu    sync.Mutex
	armed *crossing
	relay *harness.Process // that is to be killed
	fell  chan struct{}
}

func newGuillotine(t *testing.T, target string) *guillotine {
	t.Helper()
	g := &guillotine{}
	proxy := proxyTo(t, target)
	proxy.ModifyResponse = func(r *http.Response) error { g.cross(r.Request, true); return nil }
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.cross(r, false)
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(g.Close)
	return g
}

// proxyTo passes requests on; upload URLs lead back to it.
func proxyTo(t *testing.T, target string) *httputil.ReverseProxy {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
}

// cross kills the relay if it waits for this request.
func (g *guillotine) cross(r *http.Request, after bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c := g.armed; c != nil && c.after == after && c.match(r) {
		g.armed = nil
		g.relay.Signal(syscall.SIGKILL)
		<-g.relay.Done
		close(g.fell)
	}
}

// begin starts the relay, to be killed at the crossing, unless that is nil.
func (g *guillotine) begin(t *testing.T, relay *harness.Relay, c *crossing) (fell <-chan struct{}) {
	t.Helper()
	g.mu.Lock() // its first request waits until it can be killed
	defer g.mu.Unlock()
	relay.Begin(t)
	g.relay, g.armed, g.fell = relay.Process, c, make(chan struct{})
	return g.fell
}

// TestCrashMatrix kills the relay before and after every kind of request to Graph, and at
// random instants, while mail with attachments flows. Every message that had a 250 is
// sent once, and no draft remains.
func TestCrashMatrix(t *testing.T) {
	t.Parallel()
	crashMatrix(t, *kills)
}

// TestCrashMatrixShared is TestCrashMatrix with the queue in PostgreSQL.
func TestCrashMatrixShared(t *testing.T) {
	t.Parallel()
	database := testpostgres.New(t, "fsync=off").Database(t) // it is not killed
	crashMatrix(t, *kills, harness.SharedQueue(database, "relay1", 3*time.Second))
}

func crashMatrix(t *testing.T, kills int, edits ...harness.Edit) {
	t.Helper()
	sim := harness.StartSim(t)
	g := newGuillotine(t, sim.URL)
	through := *sim
	through.URL = g.URL
	edits = append(edits, harness.DeliveryKey("send_settle: 5s"), harness.DeliveryKey("retry_delays: [100ms, 500ms]"))
	relay := harness.NewRelay(t, &through, edits...)
	large := harness.NewFile(t, "large.bin", "application/octet-stream", harness.Noise("large", 8_000_000))
	small := harness.NewFile(t, "small.bin", "application/octet-stream", harness.Noise("small", 20_000))
	plain := harness.TenKilobytes("matrix")
	flow := make(chan struct{}, 20) // what may be sent so far
	more := func() {
		for range 6 {
			select {
			case flow <- struct{}{}:
			default: // the clients have not come to the last ones yet
			}
		}
	}
	var begun sync.Map
	o := &harness.Outbox{
		Dial:        func() (*harness.Dialog, error) { return relay.Dial("devices") },
		Connections: 4, Messages: 1 << 20,
		Make: func(n int) harness.Sample {
			if _, again := begun.LoadOrStore(n, true); !again {
				<-flow
			}
			s := plain(n)
			switch n % 4 {
			case 0:
				s.Files = []harness.File{small, large}
			case 2:
				s.Files = []harness.File{small, small}
			}
			return s
		},
	}
	done := o.Start()
	defer o.Stop.Store(true)
	fell := map[string]int{}
	random := rand.New(rand.NewPCG(rand.Uint64(), 0))
	list := crossings()
	for k := range kills {
		more()
		if i := k % (len(list) + 6); i < len(list) {
			fallen := g.begin(t, relay, &list[i])
			harness.WaitFor(t, "a request of the kind "+list[i].name, func() bool {
				select {
				case <-fallen:
					return true
				case <-time.After(3 * time.Second):
					more()
					return false
				}
			})
			fell[list[i].name]++
		} else {
			g.begin(t, relay, nil)
			time.Sleep(time.Duration(random.IntN(2000)) * time.Millisecond)
		}
		relay.Kill(t)
	}
	relay.Start(t)
	o.Stop.Store(true)
	close(flow)
	<-done
	relay.Settled(t)
	o.Check(t, sim)
	t.Logf("killed at %v, else at random; %d tries had no answer", fell, len(o.Doubtful))
}
