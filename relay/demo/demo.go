// Package demo shows graphrelay at work on one machine. It starts a relay and a simulated
// Microsoft 365 on loopback ports, sends samples by SMTP, shows and checks how they arrive, and
// then shows what becomes of the user's own mail.
package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"

	"graphrelay/graph/simulator"
	"graphrelay/internal/look"
	"graphrelay/internal/text"
	"graphrelay/relay"
	"graphrelay/relay/config"
)

// deliveryTime is how long the demo waits for a sample to be delivered.
const deliveryTime = time.Minute

// lookEvery is how often the demo looks for mail of the user.
const lookEvery = 200 * time.Millisecond

// consoleLife is how long the link to the console works, once.
const consoleLife = 24 * time.Hour

const (
	demoUser     = "demo"
	demoPassword = "demo-secret"
)

// Options configures the demo.
type Options struct {
	Program string    // how the user called the program
	Once    bool      // end after the samples
	Out     io.Writer // what the demo shows
	Log     io.Writer // the relay's log
}

// ErrNotWhole is returned if a sample did not arrive as it was sent.
var ErrNotWhole = errors.New("a sample did not arrive whole")

// Run runs the demo until it is over or ctx is done.
func Run(ctx context.Context, o Options) error {
	dir, err := os.MkdirTemp("", "graphrelay-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	sim := simulator.New(simulator.Options{RequireContract: true})
	defer sim.Close()
	l, err := listenAt(graphPort)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: sim, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(l) }()
	defer server.Close()

	cfg, err := configuration(dir, l.Addr().String())
	if err != nil {
		return err
	}
	r, err := relay.Start(ctx, cfg, o.Log)
	if err != nil {
		return err
	}
	d := demo{out: o.Out, program: o.Program, sim: sim, config: filepath.Join(dir, "relay.yaml"), smtp: r.Address(cfg.Listeners[0].Address),
		graph: "http://" + l.Addr().String(), admin: "http://" + r.Address(cfg.Admin.Address)}
	err = d.show(ctx)
	if err == nil && !o.Once {
		if d.console, err = r.ConsoleLink("demo", consoleLife); err == nil {
			d.invite()
			d.watch(ctx)
		}
	}
	return errors.Join(err, r.Stop())
}

// configuration writes a configuration file and loads it, as for any other relay.
func configuration(dir, graph string) (*config.Config, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(demoPassword), bcrypt.DefaultCost)
	if err != nil {
		return nil, err
	}
	ports, err := ports(smtpPort, adminPort)
	if err != nil {
		return nil, err
	}
	file := fmt.Sprintf(`hostname: relay.contoso.test
data_dir: %s
listeners:
  - {name: demo, address: "127.0.0.1:%d", tls: none, auth: optional, networks: [127.0.0.0/8]}
users:
  - {name: %s, password_hash: "%s", senders: ["*@contoso.test"]}
connections:
  - name: contoso
    tenant: 11111111-1111-1111-1111-111111111111
    client_id: 22222222-2222-2222-2222-222222222222
    client_secret: simulated
    directory: off
    domains: [contoso.test]
    endpoints: {login: "http://%[5]s", graph: "http://%[5]s"}
admin: {address: "127.0.0.1:%[6]d"}
log: {level: warn, format: text}
`, "data", ports[0], demoUser, hash, graph, ports[1])
	path := filepath.Join(dir, "relay.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		return nil, err
	}
	return config.Load(path)
}

// The ports of the demo. They are fixed, so that a mail client needs its settings only once. If
// one is in use, the demo takes any free one.
const (
	smtpPort  = 2525
	adminPort = 9025
	graphPort = 8100
)

// listenAt listens on a loopback port, or on a free one if that is in use.
func listenAt(port int) (net.Listener, error) {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	return l, err
}

// ports returns the ports, or free ones for those that are in use.
func ports(wanted ...int) (free []int, err error) {
	for _, port := range wanted {
		l, err := listenAt(port)
		if err != nil {
			return nil, err
		}
		defer l.Close()
		free = append(free, l.Addr().(*net.TCPAddr).Port)
	}
	return free, nil
}

type demo struct {
	out                io.Writer
	sim                *simulator.Simulator
	smtp, graph, admin string
	console            string // a link that signs a browser in, once
	config             string // the file
	program            string // how the user called it
}

func (d demo) printf(format string, args ...any) { fmt.Fprintf(d.out, format, args...) }

// show sends each sample with Go's SMTP client, and shows how it arrives.
func (d demo) show(ctx context.Context) error {
	list, err := samples()
	if err != nil {
		return err
	}
	d.printf("graphrelay takes mail at smtp://%s and delivers it to a simulated Microsoft 365.\n", d.smtp)
	whole := 0
	for i, s := range list {
		d.printf("\n%d. %s: %s of MIME from %s\n", i+1, s.title, look.Bytes(int64(len(s.raw))), sender)
		host, _, _ := net.SplitHostPort(d.smtp)
		err := smtp.SendMail(d.smtp, smtp.PlainAuth("", demoUser, demoPassword, host), sender, s.to, s.raw)
		if err != nil {
			return fmt.Errorf("send %q: %w", s.title, err)
		}
		m, err := d.await(ctx, s.subject)
		if err != nil {
			return err
		}
		d.calls(m.ID)
		if d.result(s, m) {
			whole++
		}
	}
	for _, v := range d.sim.Violations() {
		d.printf("\na request broke the contract: %s %s: %s\n", v.Operation, v.Path, v.Text)
	}
	d.printf("\n%d of %d samples arrived whole.\n", whole, len(list))
	if whole < len(list) || len(d.sim.Violations()) > 0 {
		return ErrNotWhole
	}
	return nil
}

// await returns the message once it is in Sent Items.
func (d demo) await(ctx context.Context, subject string) (simulator.Message, error) {
	deadline := time.Now().Add(deliveryTime)
	for time.Now().Before(deadline) && ctx.Err() == nil {
		for _, m := range d.sim.Sent() {
			if m.Subject == subject {
				return m, nil
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	return simulator.Message{}, fmt.Errorf("%w: %q was accepted but is not in the mailbox", ErrNotWhole, subject)
}

// calls prints the requests for a message. Consecutive ranges of an upload are one line.
func (d demo) calls(id string) {
	line := func(method, path string, status int, bytes int64, more string) {
		d.printf("     %-6s %-62s %d  %s%s\n", method, path, status, more, look.Bytes(bytes))
	}
	ranges, sent := 0, int64(0)
	for _, c := range d.sim.Journal() {
		if c.MessageID != id {
			continue
		}
		if c.Operation == simulator.OpUpload && c.Status == http.StatusOK {
			ranges, sent = ranges+1, sent+c.Bytes
			continue
		}
		if ranges > 0 {
			line(http.MethodPut, "the upload session's URL, range by range", http.StatusOK, sent, fmt.Sprintf("x%d, ", ranges))
			ranges, sent = 0, 0
		}
		line(c.Method, shorten(c, id), c.Status, c.Bytes, "")
	}
}

// shorten returns the path of a call without the draft's long ID.
func shorten(c simulator.Call, id string) string {
	if c.Operation == simulator.OpUpload {
		return "the last range"
	}
	return text.Printable(strings.ReplaceAll(c.Path, id, "{draft}"))
}

// invite prints what the user can try.
func (d demo) invite() {
	d.printf(`
Try it yourself, and stop with Ctrl-C:
  mail client   smtp://%s   no TLS, no password needed (or user %s, password %s)
                send from any address at contoso.test, to any address
  mailboxes     %s   what senders and recipients have, in a browser
  console       %s
                what the operator of a relay sees; the link works once
  metrics       %s/metrics
  the queue     %s queue list --state all --config %s

What you send is shown here:
`, d.smtp, demoUser, demoPassword, d.graph, d.console, d.admin, cmp.Or(d.program, "graphrelay"), d.config)
}

// watch prints each message of the user that arrives, until ctx is done.
func (d demo) watch(ctx context.Context) {
	shown := map[string]bool{}
	for _, m := range d.sim.Sent() {
		shown[m.ID] = true
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookEvery):
		}
		var fresh []simulator.Message
		for _, m := range d.sim.Sent() {
			if !shown[m.ID] {
				shown[m.ID] = true
				fresh = append(fresh, m)
			}
		}
		for _, m := range fresh {
			d.arrived(m, len(fresh) <= detailed)
		}
	}
}

// detailed is how many messages may arrive at a time for the demo to print all of each.
const detailed = 5

// arrived prints what became of a message of the user.
func (d demo) arrived(m simulator.Message, all bool) {
	from := m.Mailbox
	if m.From != nil {
		from = m.From.Address
	}
	d.printf("\n  %s  %q from %s to %s\n", time.Now().Format(time.TimeOnly),
		text.Printable(m.Subject), text.Printable(from), text.Printable(strings.Join(m.Recipients(), ", ")))
	if all {
		d.calls(m.ID)
		d.files(m)
	}
	d.printf("     %s%s\n", d.graph, simulator.MessagePath(m.ID))
}
