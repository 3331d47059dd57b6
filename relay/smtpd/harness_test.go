package smtpd

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"graphrelay/internal/testcert"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// guard bounds every wait; none is expected to take a tenth of it.
const guard = 4 * time.Minute

// toData is what a client says up to the body.
const toData = "EHLO client.test\r\nMAIL FROM:<a@contoso.test>\r\nRCPT TO:<b@example.test>\r\n"

// fakeQueue keeps messages in memory.
type fakeQueue struct {
	mu       sync.Mutex
	messages []fakeMessage
	open     int   // writers neither committed nor aborted
	fail     error // of Write
	failEnd  error // of Commit
	noRoom   error // of Room
	admitted atomic.Int64
	onAbort  func()
}

type fakeMessage struct {
	queue.Entry
	data []byte
}

type fakeWriter struct {
	q    *fakeQueue
	buf  bytes.Buffer
	over bool
}

func (q *fakeQueue) Create(context.Context) (queue.Writer, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.open++
	return &fakeWriter{q: q}, nil
}

func (q *fakeQueue) CheckCapacity(context.Context, int64, queue.Limits, queue.Origin) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.noRoom
}

func (q *fakeQueue) setRoom(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.noRoom = err
}

func (w *fakeWriter) View(do func(io.ReaderAt) error) error {
	return do(bytes.NewReader(w.buf.Bytes()))
}

func (w *fakeWriter) ID() string { return "0123456789abcdef" }

func (w *fakeWriter) Write(p []byte) (int, error) {
	if w.q.fail != nil {
		return 0, w.q.fail
	}
	return w.buf.Write(p)
}

func (w *fakeWriter) Commit(_ context.Context, e queue.Entry) error {
	w.q.mu.Lock()
	defer w.q.mu.Unlock()
	if w.q.failEnd != nil {
		return w.q.failEnd
	}
	w.over = true
	w.q.open--
	w.q.messages = append(w.q.messages, fakeMessage{e, w.buf.Bytes()})
	return nil
}

func (w *fakeWriter) Abort() error {
	if w.q.onAbort != nil {
		w.q.onAbort()
	}
	w.q.mu.Lock()
	defer w.q.mu.Unlock()
	if !w.over {
		w.over = true
		w.q.open--
	}
	return nil
}

func (q *fakeQueue) all() []fakeMessage {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]fakeMessage(nil), q.messages...)
}

// take is all, and forgets them.
func (q *fakeQueue) take() []fakeMessage {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken := q.messages
	q.messages = nil
	return taken
}

// takeTexts is take, of what clients sent.
func (q *fakeQueue) takeTexts() (texts []string) {
	for _, m := range q.take() {
		texts = append(texts, string(m.data[m.Trace:]))
	}
	return texts
}

// fakePolicy knows the user crm, and the domain contoso.test.
type fakePolicy struct{ queue *fakeQueue }

func (p fakePolicy) AuthenticateToken(ctx context.Context, who Identity, user, token string) error {
	return p.Authenticate(ctx, who, user, token)
}

func (fakePolicy) Authenticate(_ context.Context, _ Identity, user, password string) error {
	if user == "crm" && password == "secret" {
		return nil
	}
	return &Refusal{535, [3]int{5, 7, 8}, reason.Auth, "Wrong user name or password"}
}

func (fakePolicy) Guest(string, netip.Addr) bool { return false }

func (fakePolicy) Accepted(Identity) {}

func (fakePolicy) CertificateUser(*x509.Certificate) string { return "" }

func (fakePolicy) Sender(_ Identity, from string, _ int64) error {
	if from != "" && !strings.HasSuffix(from, "@contoso.test") {
		return &Refusal{550, [3]int{5, 7, 1}, reason.Sender, "No mailbox sends for " + from}
	}
	return nil
}

func (fakePolicy) Recipient(who Identity, _, to string, taken int) error {
	if who.Listener != "test" {
		return fmt.Errorf("the client is %+v", who)
	}
	if to == "nobody@example.test" && taken > 0 {
		return &Refusal{450, [3]int{4, 7, 1}, reason.Rate, "Come again"}
	}
	return nil
}

func (p fakePolicy) Admit(e *queue.Entry) (func(), error) {
	if e.Envelope.From == "busy@contoso.test" {
		return nil, &Refusal{450, [3]int{4, 7, 1}, reason.Rate, "Come again"}
	}
	p.queue.admitted.Add(1)
	return func() { p.queue.admitted.Add(-1) }, nil
}

func (fakePolicy) Inspect(*queue.Entry, int64, func(func(io.ReaderAt) error) error) error { return nil }

func (fakePolicy) Route(_ Identity, header []byte, _ int64, e *queue.Entry) error {
	if bytes.Contains(header, []byte("X-Refuse:")) {
		return &Refusal{550, [3]int{5, 7, 1}, reason.Sender, "Not with this header"}
	}
	if bytes.Contains(header, []byte("X-Break:")) {
		return errors.New("boom\r\n250 forged")
	}
	e.Subject = fmt.Sprintf("%d bytes of header", len(header))
	return nil
}

// bench is a running server.
type bench struct {
	*testing.T
	queue  *fakeQueue
	server *Server
	addr   string
	root   *x509.CertPool
	mode   TLSMode

	prelude  string // what each client sends first, before TLS
	registry *prometheus.Registry
}

// counted is the value of a counter with the label values, in the order of their names.
func (b *bench) counted(name string, labels ...string) float64 {
	b.Helper()
	families, err := b.registry.Gather()
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var values []string
			for _, l := range m.GetLabel() {
				values = append(values, l.GetValue())
			}
			if f.GetName() == name && slices.Equal(values, labels) {
				return m.GetCounter().GetValue()
			}
		}
	}
	b.Fatalf("no series %s %q", name, labels)
	return 0
}

func start(t *testing.T, change func(*Config)) *bench {
	t.Helper()
	cert, root := certificate(t)
	cfg := testConfig()
	cfg.TLS.Config = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	change(&cfg)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t, addr: l.Addr().String(), root: root, mode: cfg.TLS.Mode}
	b.server, b.queue, b.registry = serve(t, l, cfg)
	return b
}

func testConfig() Config {
	return Config{
		Name: "test", Hostname: "relay.test", TLS: TLSConfig{Mode: TLSNone}, Auth: AuthConfig{Mode: AuthNone},
		Message: MessageLimits{Bytes: 1 << 20, Recipients: 3, LineBytes: 4096, HeaderBytes: 8192, Time: guard},
		Timeout: guard,
		Session: SessionLimits{Commands: 100, Errors: 20, BadRecipients: 100, Time: 2 * guard, Delay: time.Millisecond},
	}
}

// serve runs a server on l for the time of the test.
func serve(tb testing.TB, l net.Listener, cfg Config) (*Server, *fakeQueue, *prometheus.Registry) {
	tb.Helper()
	q := &fakeQueue{}
	s, registry := serveAs(tb, l, cfg, q, fakePolicy{q}, slog.DiscardHandler)
	return s, q, registry
}

// serveAs is serve with another policy and a log.
func serveAs(tb testing.TB, l net.Listener, cfg Config, q *fakeQueue, policy Policy, log slog.Handler) (*Server, *prometheus.Registry) {
	tb.Helper()
	registry := prometheus.NewRegistry()
	metrics := NewMetrics(registry)
	metrics.Prepare(cfg.Name)
	s := New(cfg, q, policy, NewConnectionLimiter(ConnectionLimits{Total: 50, PerAddress: 20, PerNetwork: 30, PerMinute: 100}), metrics, slog.New(log))
	running.Add(1)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	tb.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s.Shutdown(ctx)
		if err := <-served; err != nil {
			tb.Errorf("Serve: %v", err)
		}
		if running.Add(-1) == 0 {
			checkGoroutines(tb)
		}
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.open != 0 {
			tb.Errorf("%d messages were neither committed nor aborted", q.open)
		}
	})
	return s, registry
}

// running is how many servers of tests there are.
var running atomic.Int32

// checkGoroutines finds what the server has left running.
func checkGoroutines(t testing.TB) {
	t.Helper()
	var left []string
	for end := time.Now().Add(guard); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if left = serverGoroutines(); len(left) == 0 {
			return
		}
	}
	t.Errorf("%d goroutines were left behind:\n%s", len(left), strings.Join(left, "\n\n"))
}

// serverGoroutines are the stacks of this package's and go-smtp's goroutines, but
// for those of tests.
func serverGoroutines() (list []string) {
	buf := make([]byte, 64<<10)
	n := runtime.Stack(buf, true)
	for ; n == len(buf); n = runtime.Stack(buf, true) {
		buf = make([]byte, 2*len(buf))
	}
	for g := range strings.SplitSeq(string(buf[:n]), "\n\n") {
		ours := strings.Contains(g, "graphrelay/relay/smtpd.") || strings.Contains(g, "emersion/go-smtp.")
		if ours && !strings.Contains(g, "_test.go") && !strings.Contains(g, "testing.tRunner") {
			list = append(list, g)
		}
	}
	return list
}

// wait polls until done says so.
func (b *bench) wait(what string, done func() bool) {
	b.Helper()
	for end := time.Now().Add(guard); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if done() {
			return
		}
	}
	b.Fatalf("waited in vain for %s", what)
}

// secured is the change that makes a listener of the given TLS mode.
func secured(mode TLSMode) func(*Config) { return func(c *Config) { c.TLS.Mode = mode } }

// behindProxy is the change that lets dialFrom say where it comes from.
func behindProxy(c *Config) { c.ProxyNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }

func loopback(c *Config) { c.Networks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }

func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	a := testcert.NewAuthority(t)
	key := testcert.NewKey(t)
	return tls.Certificate{Certificate: [][]byte{a.Server(key, time.Time{}).Raw}, PrivateKey: key}, a.Pool
}

// client is a raw SMTP client.
type client struct {
	*testing.T
	tcp  *net.TCPConn
	conn net.Conn
	r    *bufio.Reader
	root *x509.CertPool
}

func (b *bench) dial() *client {
	b.Helper()
	nc, err := net.Dial("tcp", b.addr)
	if err != nil {
		b.Fatal(err)
	}
	c := &client{T: b.T, tcp: nc.(*net.TCPConn), conn: nc, root: b.root}
	b.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(guard))
	c.send(b.prelude)
	if b.mode == TLSImplicit {
		c.handshake()
	}
	c.r = bufio.NewReader(c.conn)
	return c
}

// dialFrom is dial from another address, through a load balancer; see behindProxy.
func (b *bench) dialFrom(address string) *client {
	b.Helper()
	family, to := "TCP4", "192.0.2.25"
	if strings.Contains(address, ":") {
		family, to = "TCP6", "2001:db8::25"
	}
	c := b.dial()
	c.send("PROXY " + family + " " + address + " " + to + " 40000 25\r\n")
	return c
}

// ready is dial up to the point where MAIL may come, under TLS where there is one.
func (b *bench) ready() *client {
	b.Helper()
	c := b.dial()
	c.expect("220")
	c.cmd("250", "EHLO client.test")
	if b.mode == TLSStart {
		c.cmd("220", "STARTTLS")
		c.handshake()
		c.r = bufio.NewReader(c.conn)
		c.cmd("250", "EHLO client.test")
	}
	return c
}

func (c *client) handshake() {
	c.Helper()
	t := tls.Client(c.conn, &tls.Config{RootCAs: c.root, ServerName: "relay.test"})
	if err := t.Handshake(); err != nil {
		c.Fatal(err)
	}
	c.conn = t
}

func (c *client) send(text string) {
	c.Helper()
	if _, err := c.conn.Write([]byte(text)); err != nil {
		c.Fatalf("write: %v", err)
	}
}

// reply reads one reply, its lines joined by newlines; "" when the connection ends.
func (c *client) reply() string {
	var lines []string
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return strings.Join(lines, "\n")
		}
		lines = append(lines, strings.TrimRight(line, "\r\n"))
		if len(line) > 3 && line[3] == ' ' {
			return strings.Join(lines, "\n")
		}
	}
}

func (c *client) expect(prefix string) string {
	c.Helper()
	got := c.reply()
	last := got[strings.LastIndexByte(got, '\n')+1:]
	if !strings.HasPrefix(last, prefix) {
		c.Fatalf("got %q, want %s", got, prefix)
	}
	return got
}

func (c *client) cmd(prefix, line string) string {
	c.Helper()
	c.send(line + "\r\n")
	return c.expect(prefix)
}

// envelope sends MAIL and RCPT.
func (c *client) envelope() {
	c.Helper()
	c.cmd("250", "MAIL FROM:<a@contoso.test>")
	c.cmd("250", "RCPT TO:<b@example.test>")
}
