package contract

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/internal/testcert"
	"graphrelay/internal/testpostgres"
	"graphrelay/test/harness"
)

// TestAlerting has a real Prometheus with the rules of deploy/prometheus/alerts.yml watch relays to
// which something happens. Each rule has to fire, arrive at the receiver of a real Alertmanager, and
// be resolved once the cause is gone.
func TestAlerting(t *testing.T) {
	t.Parallel()
	prometheus, alertmanager := harness.NeedTool(t, "prometheus"), harness.NeedTool(t, "prometheus-alertmanager")
	rules := harness.ReadFile(t, "../../deploy/prometheus/alerts.yml")
	w := newWatched(t)
	r := &alertReceiver{firing: map[string]bool{}, resolved: map[string]bool{}}
	hook := httptest.NewServer(r)
	t.Cleanup(hook.Close)
	p := startAlerting(t, prometheus, alertmanager, shortened(t, rules), w.targets, hook.URL)
	p.wait(t, fmt.Sprintf("count(up == 1) == %d", len(w.targets())))
	var all []string
	for _, m := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(rules, -1) {
		all = append(all, m[1])
	}
	before := r.missing(all, r.firing)
	if len(before) != len(all) {
		t.Errorf("only %q do not fire before anything happened", before)
	}

	w.inject(t)
	w.restartUntil(t, p.prom, func() bool { return len(r.missing([]string{"RelayRestarts"}, r.firing)) == 0 })
	r.waitFor(t, "fire", all, r.firing)
	w.repair(t)
	p.retarget(t, w.targets)
	r.waitFor(t, "are resolved", all, r.resolved)
}

// shortened returns the rules with all times cut down to seconds, so that a test sees each fire and
// be resolved: how long something has to last, the windows of increases, and the age of mail that
// waits. A hundred throttled requests or wrong passwords become five, and these and restarts are
// counted for two minutes, as a busy machine needs. Nothing else is changed; alerts_test.yml tests the times and numbers as they are.
func shortened(t *testing.T, rules string) string {
	t.Helper()
	for _, change := range [][2]string{
		{`for: \d+[smhd]`, "for: 1s"}, {`\[\d+[smhdw]\]`, "[15s]"}, {`offset \d+[wd]`, "offset 15s"}, {`> 900`, "> 2"}, {`> 100`, "> 5"},
		{`(process_start_time_seconds.*|graph_throttled_total|smtp_auth_total\{[^}]*\})\[15s\]`, "$1[2m]"},
	} {
		pattern := regexp.MustCompile(change[0])
		if !pattern.MatchString(rules) {
			t.Errorf("no rule has %s", change[0])
		}
		rules = pattern.ReplaceAllString(rules, change[1])
	}
	return rules
}

// alertReceiver is what Alertmanager notifies.
type alertReceiver struct {
	mu               sync.Mutex
	firing, resolved map[string]bool // by name
}

func (r *alertReceiver) ServeHTTP(_ http.ResponseWriter, req *http.Request) {
	var n struct {
		Status      string
		GroupLabels struct{ Alertname string }
	}
	_ = json.NewDecoder(req.Body).Decode(&n)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch n.Status {
	case "firing":
		r.firing[n.GroupLabels.Alertname], r.resolved[n.GroupLabels.Alertname] = true, false
	case "resolved":
		r.resolved[n.GroupLabels.Alertname] = true
	}
}

func (r *alertReceiver) missing(all []string, in map[string]bool) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(all), func(name string) bool { return in[name] })
}

// waitFor waits until all alerts are in a set, and fails the test naming those that are not.
func (r *alertReceiver) waitFor(t *testing.T, what string, all []string, in map[string]bool) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		missing := r.missing(all, in)
		if len(missing) == 0 {
			t.Logf("all %s after %s", what, time.Since(begun).Round(time.Second))
			return
		}
		if time.Since(begun) > 4*time.Minute {
			t.Fatalf("these of the rules in alerts.yml do not %s: %q", strings.TrimPrefix(what, "are "), missing)
		}
	}
}

// alerting is a Prometheus whose targets are in a file.
type alerting struct {
	prom
	file string
}

func startAlerting(t *testing.T, prometheus, alertmanager, rules string, targets func() []string, hook string) alerting {
	t.Helper()
	dir := t.TempDir()
	write := func(name, format string, args ...any) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, fmt.Appendf(nil, format, args...), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	addresses := [2]string{fmt.Sprintf("127.0.0.1:%d", harness.FreePort(t)), fmt.Sprintf("127.0.0.1:%d", harness.FreePort(t))}
	amConfig := write("alertmanager.yml", `route: {receiver: test, group_by: [alertname], group_wait: 1s, group_interval: 1s, repeat_interval: 1h}
receivers: [{name: test, webhook_configs: [{url: %q, send_resolved: true}]}]
`, hook)
	harness.StartCommand(t, "alertmanager", exec.Command(alertmanager, "--config.file="+amConfig, "--storage.path="+filepath.Join(dir, "alertmanager"),
		"--web.listen-address="+addresses[1], "--cluster.listen-address=", "--log.level=warn"))
	write("alerts.yml", "%s", rules)
	a := alerting{prom(addresses[0]), filepath.Join(dir, "targets.json")}
	a.retarget(t, targets)
	config := write("prometheus.yml", `global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [alerts.yml]
alerting: {alertmanagers: [{static_configs: [{targets: [%q]}]}]}
scrape_configs: [{job_name: graphrelay, file_sd_configs: [{files: [%q], refresh_interval: 1s}]}]
`, addresses[1], a.file)
	harness.StartCommand(t, "prometheus", exec.Command(prometheus, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+addresses[0], "--log.level=warn"))
	return a
}

// retarget replaces the targets.
func (a alerting) retarget(t *testing.T, targets func() []string) {
	t.Helper()
	list, err := json.Marshal([]map[string][]string{{"targets": targets()}})
	if err == nil {
		err = os.WriteFile(a.file+".new", list, 0o600)
	}
	if err == nil {
		err = os.Rename(a.file+".new", a.file)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// watched is what Prometheus watches.
type watched struct {
	sim, refusing *harness.Sim
	busy          *harness.Relay   // to which mail comes and goes
	stuck         *harness.Relay   // that cannot sign in, whose queue is short and whose certificate ends
	down          *harness.Relay   // that stops
	nodes         []*harness.Relay // that share a queue; one is killed
	rare          *rareFaults
	good          map[string]string // configurations by path
	extra         bool              // the nodes are watched
}

// newWatched starts all of them, with nothing that an alert is about.
func newWatched(t *testing.T) *watched {
	t.Helper()
	w := &watched{sim: harness.StartSim(t), refusing: harness.StartSim(t), extra: true}
	w.busy = harness.NewRelay(t, w.sim, harness.DeliveryKey("retry_delays: [1s]"), harness.DeliveryKey("reports_interval: 1s"), harness.DeliveryKey("postmaster: postmaster@contoso.test"),
		harness.Replace("    endpoints:\n", "    watch_reports: true\n    endpoints:\n"), harness.Replace("\nusers:\n", "\nrates: {sender: {messages_per_minute: 20}}\n\nusers:\n"),
		harness.LimitsKey("auth_failures: 3"))
	w.stuck = harness.NewRelay(t, w.refusing, harness.Replace("\ndelivery:\n", "\nqueue: {max_messages: 3}\n\ndelivery:\n"))
	w.down = harness.NewRelay(t, w.sim)
	database := testpostgres.New(t).Database(t)
	for _, name := range []string{"one", "two"} {
		w.nodes = append(w.nodes, harness.NewRelay(t, w.sim, harness.SharedQueue(database, name, 3*time.Second)))
	}
	var wg sync.WaitGroup
	for _, r := range append([]*harness.Relay{w.busy, w.stuck, w.down}, w.nodes...) {
		r.Begin(t)
		wg.Go(func() {
			harness.WaitFor(t, "/readyz", func() bool { s, _ := r.Get("/readyz"); return s == http.StatusOK })
		})
	}
	wg.Wait()
	w.rare = newRareFaults(t)
	return w
}

func (w *watched) targets() []string {
	list := []string{w.busy.Address["admin"], w.stuck.Address["admin"], w.down.Address["admin"]}
	list = append(list, w.rare.targets()...)
	if w.extra {
		list = append(list, w.nodes[0].Address["admin"], w.nodes[1].Address["admin"])
	}
	return list
}

// reconfigure writes the configuration of a relay, with edits of its first one, and reloads.
func (w *watched) reconfigure(t *testing.T, r *harness.Relay, status int, edits ...harness.Edit) {
	t.Helper()
	if w.good == nil {
		w.good = map[string]string{}
	}
	if w.good[r.Config] == "" {
		w.good[r.Config] = harness.ReadFile(t, r.Config)
	}
	r.Write(t, w.good[r.Config], edits...)
	if got := harness.Command(t, "", "reload", "--config", r.Config); got.Status != status {
		t.Errorf("reload: %d %s%s", got.Status, got.Stdout, got.Stderr)
	}
}

// inject causes what the rules are about.
func (w *watched) inject(t *testing.T) {
	t.Helper()
	w.down.Stop(t)     // RelayDown
	w.nodes[1].Kill(t) // NodeGone, once its lease has ended
	w.rare.inject(t)

	// A secret that expires, a limit of recipients that is near, then a broken file: CredentialExpires,
	// MailboxNearLimit, ReloadFailed.
	expires := time.Now().AddDate(0, 0, 10).Format(time.DateOnly)
	w.reconfigure(t, w.busy, 0, harness.Replace("    endpoints:\n", "    client_secret_expires: "+expires+"\n    daily_recipients: 5\n    endpoints:\n"))
	w.reconfigure(t, w.busy, 2, harness.Replace("hostname:", "hostnam:"))

	// Entra refuses the secret, the queue is full and a certificate ends: SignInFails, MailWaits,
	// RelayNotReady, QueueFull, CertificateExpires.
	w.refusing.Fault(t, simulator.Fault{Operation: simulator.OpToken, Status: http.StatusUnauthorized, Message: "AADSTS7000222"})
	key := testcert.NewKey(t)
	testcert.WriteCert(t, filepath.Join(w.stuck.Dir, "relay.crt"), testcert.SelfSigned(t, &x509.Certificate{DNSNames: []string{"relay.contoso.test"}, NotAfter: time.Now().AddDate(0, 0, 3)}, key))
	testcert.WriteKey(t, filepath.Join(w.stuck.Dir, "relay.key"), key)
	w.reconfigure(t, w.stuck, 0)
	for n := range 5 {
		w.stuck.SendOne(t, harness.TenKilobytes("stuck")(n))
	}

	// Graph throttles, and refuses two messages, one of which has nobody to be told. Mail comes
	// back. Then none comes for a while: Throttled, MailFailed, BounceImpossible, MailHeld,
	// MailReturned, NoIntake.
	w.sim.SetWorld(t, func() simulator.World {
		world := w.sim.World(t)
		world.Returns = map[string]string{"back@example.com": "5.7.232"}
		return world
	}())
	w.sim.Fault(t, simulator.Fault{Operation: simulator.OpCreate, Mailbox: "refused@contoso.test", Status: http.StatusBadRequest, Code: "ErrorInvalidRecipients"})
	w.sim.Fault(t, simulator.Fault{Operation: simulator.OpCreate, Count: 20, Status: http.StatusTooManyRequests, RetryAfter: "1"})
	for n := range 20 {
		w.busy.SendOne(t, harness.TenKilobytes("busy")(n))
	}
	for _, from := range []string{"refused@contoso.test", "returned@contoso.test"} {
		m := harness.TenKilobytes("trouble")(1)
		m.From, m.To = from, []string{"back@example.com"}
		w.busy.SendOne(t, m)
	}
	text := "From: refused@contoso.test\r\nSubject: nobody\r\n\r\nnobody is told\r\n"
	if err := smtp.SendMail(w.busy.Address["devices"], nil, "", []string{"to@example.com"}, []byte(text)); err != nil {
		t.Error(err)
	}

	// A client loops, and another guesses passwords: RateExceeded, PasswordsGuessed.
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			for n := 0; n < 6; n++ {
				m := harness.TenKilobytes("loop")(1)
				w.busy.SendOne(t, m)
				w.busy.SignIn(harness.CRMUser, "wrong")
			}
		})
	}
	wg.Wait()
}

// repair removes the causes. What a rule counts passes by itself.
func (w *watched) repair(t *testing.T) {
	t.Helper()
	w.rare.repair(t)
	w.extra = false // the record of a node that died is kept for a day
	w.sim.ClearFaults(t)
	w.refusing.ClearFaults(t)
	w.down.Start(t)
	harness.WriteCertificate(t, w.stuck.Dir)
	w.reconfigure(t, w.stuck, 0) // ends the pause of the connection
	w.reconfigure(t, w.busy, 0)
	if got := w.busy.QueueCommand(t, "delete", "--state", "held"); got.Status != 0 {
		t.Errorf("queue delete: %s", got.Stderr)
	}
}
