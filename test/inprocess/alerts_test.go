package inprocess

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/internal/testcert"
	"graphrelay/internal/testlog"
	"graphrelay/relay/attention"
	"graphrelay/relay/config"
	"graphrelay/relay/operations"
	"graphrelay/relay/operators"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
	"graphrelay/relay/smtpd"
)

// webhook is a receiver of alerts. As docs/alerts.md asks, it ignores what it has had under the same
// key: the relay tells again what it was told of as it stopped.
type webhook struct {
	mu  sync.Mutex
	got []alertEvent
}

type alertEvent struct {
	Key, Type, Reference, Condition, Subject, Cause, Remedy string
	Seconds                                                 float64 `json:"duration_seconds"`
}

func (w *webhook) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var e alertEvent
	err := json.NewDecoder(r.Body).Decode(&e)
	if e.Key = r.Header.Get("Webhook-Id"); err != nil {
		e.Type = err.Error()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.ContainsFunc(w.got, func(had alertEvent) bool { return had.Key == e.Key }) {
		w.got = append(w.got, e)
	}
}

// of returns what came about a condition.
func (w *webhook) of(id, kind string) (list []alertEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.got {
		if e.Condition == id && e.Type == "alert."+kind {
			list = append(list, e)
		}
	}
	return list
}

// alertsRig is a relay whose alerts come to a webhook and to a mailbox, soon.
type alertsRig struct {
	*rig
	hook   *webhook
	dir    string
	broken FaultyLog // writes to log
}

const (
	alertsTo  = "operator@example.net"
	aMailbox  = "a@contoso.test"
	shortTime = 12 * time.Second // in which is counted what the catalogue counts in an hour; two looks fall into it also on a busy machine
)

// soon returns the settings of alerts.
func soon(t *testing.T, hook string) config.Alerts {
	t.Helper()
	a := config.Default().Alerts
	a.CheckEvery, a.CloseAfter, a.PerHour = config.Duration(20*time.Millisecond), config.Duration(100*time.Millisecond), 1000
	a.Mail = []config.AlertMail{{Name: "operators", To: []string{alertsTo}, From: []string{"relay@contoso.test", "relay@fabrikam.test"}, Severity: attention.Warning}}
	a.Webhooks = []config.AlertWebhook{{Name: "chat", URL: config.NewSecret(hook + "/secret-token"), Format: config.AlertJSON, Severity: attention.Warning}}
	for _, k := range attention.Catalogue() {
		c := config.AlertCondition{ID: k.ID, For: 1, Send: true}
		if k.Within > 0 {
			c.Within = config.Duration(shortTime)
		}
		a.Conditions = append(a.Conditions, c)
	}
	return a
}

// above changes the threshold of a condition.
func above(id string, limit float64) func(*config.Config) {
	return func(c *config.Config) { condition(c, id).Above = config.Threshold{Value: limit, Set: true} }
}

func condition(c *config.Config, id string) *config.AlertCondition {
	c.Alerts.Conditions = slices.Clone(c.Alerts.Conditions)
	return &c.Alerts.Conditions[slices.IndexFunc(c.Alerts.Conditions, func(x config.AlertCondition) bool { return x.ID == id })]
}

func startAlerts(t *testing.T, change func(*config.Config)) *alertsRig {
	t.Helper()
	r := &alertsRig{rig: &rig{T: t, log: &testlog.Buffer{}}, hook: &webhook{}, dir: t.TempDir()}
	server := httptest.NewServer(r.hook)
	t.Cleanup(server.Close)
	r.broken.Writer = r.log
	r.sim, r.url = Simulate(t, simulator.Options{SendDelay: -1, World: simulator.World{Returns: map[string]string{"returned@example.test": "5.1.8"}}})
	r.cfg = Settings(t, r.dir, r.url, "")
	second := r.cfg.Connections[0]
	second.Name, second.Domains, second.Tenant = "fabrikam", []string{"fabrikam.test"}, "33333333-3333-3333-3333-333333333333"
	r.cfg.Connections = append(r.cfg.Connections, second)
	r.cfg.Alerts = soon(t, server.URL)
	r.cfg.Delivery.ReportsInterval, r.cfg.Delivery.RetryDelays = config.Duration(20*time.Millisecond), []config.Duration{config.Duration(100 * time.Millisecond)}
	if change != nil {
		change(r.cfg)
	}
	r.start()
	return r
}

func (r *alertsRig) start() {
	r.Helper()
	var err error
	if r.relay, err = Open(r.T, r.cfg, &r.broken); err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = r.relay.Stop() })
}

func (r *alertsRig) restart() {
	r.Helper()
	if err := r.relay.Stop(); err != nil {
		r.Fatal(err)
	}
	r.start()
}

// reload changes the configuration.
func (r *alertsRig) reload(change func(*config.Config)) {
	r.Helper()
	next := *r.cfg
	next.Connections = slices.Clone(next.Connections)
	change(&next)
	if err := r.relay.Reload(&next); err != nil {
		r.Fatal(err)
	}
	r.cfg = &next
}

func (r *alertsRig) sendTo(from string, to string, message string) error {
	return smtp.SendMail(r.relay.Address("127.0.0.1:0"), nil, from, []string{to}, []byte(message))
}

// post sends a message that is accepted.
func (r *alertsRig) post(subject string) {
	r.Helper()
	if err := r.rig.send(nil, aMailbox, subject); err != nil {
		r.Fatal(err)
	}
}

func (r *alertsRig) fault(f simulator.Fault) {
	r.Helper()
	if _, err := r.sim.AddFault(f); err != nil {
		r.Fatal(err)
	}
}

func (r *alertsRig) ok(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

var laneOfA = queue.Lane{Connection: "contoso", Mailbox: aMailbox}

func (r *alertsRig) pause(l queue.Lane) {
	r.Helper()
	r.ok(r.relay.Store.Pause(r.Context(), l, queue.Forever, reason.Operator))
}
func (r *alertsRig) resume(l queue.Lane) { r.Helper(); r.ok(r.relay.Store.Resume(r.Context(), l)) }

// mail returns the alerts about an incident that were sent, as their subjects.
func (r *alertsRig) mail(ref string) (subjects []string) {
	for _, d := range r.sim.Ledger() {
		if strings.HasSuffix(d.Subject, " ("+ref+")") {
			subjects = append(subjects, d.Subject)
		}
	}
	return subjects
}

func (r *alertsRig) wait(what string, is func() bool) {
	r.Helper()
	if !until(is) {
		r.Fatalf("no %s:\n%+v\n%+v\n%s", what, r.hook.got, r.relay.Attention(r.Context()), r.log.String())
	}
}

// faultCase provokes a condition in a running relay, and then removes what it came from.
type faultCase struct {
	id, subject string
	change      func(*config.Config)
	provoke     func(r *alertsRig)
	relieve     func(r *alertsRig)
}

// run follows the incident of the case: it is told once by webhook and by mail, also over a
// restart, and so is its end.
func (c faultCase) run(t *testing.T) {
	r := startAlerts(t, c.change)
	c.provoke(r)
	r.wait(c.id, func() bool { return len(r.hook.of(c.id, "opened")) > 0 })
	opened := r.hook.of(c.id, "opened")[0]
	if opened.Subject != c.subject || opened.Cause == "" || opened.Remedy == "" || opened.Key != opened.Reference+".opened" {
		t.Errorf("%+v", opened)
	}
	shows := func(x operations.Condition) bool {
		return x.ID == c.id && x.Subject == c.subject && x.Reference == opened.Reference
	}
	if list := r.relay.Attention(t.Context()); !slices.ContainsFunc(list, shows) {
		t.Errorf("needs attention: %+v, without the incident %s", list, opened.Reference)
	}
	r.wait("mail about "+c.id, func() bool { return len(r.mail(opened.Reference)) > 0 })
	if !strings.Contains(r.mail(opened.Reference)[0], "[relay.test] ") || !strings.Contains(r.relay.Get(t, "/metrics"), `graphrelay_alerts_sent_total{channel="chat",result="ok"} `) {
		t.Error(r.mail(opened.Reference))
	}
	r.restart()
	time.Sleep(200 * time.Millisecond) // some looks, in which nothing may be told again
	if c.relieve != nil {
		c.relieve(r)
	}
	r.wait("end of "+c.id, func() bool { return len(r.hook.of(c.id, "closed")) > 0 && len(r.mail(opened.Reference)) > 1 })
	if closed := r.hook.of(c.id, "closed")[0]; closed.Reference != opened.Reference || closed.Seconds <= 0 {
		t.Errorf("%+v, want the end of %s", closed, opened.Reference)
	}
	time.Sleep(200 * time.Millisecond)
	if n, m := len(r.hook.of(c.id, "opened")), r.mail(opened.Reference); n != 1 || len(m) != 2 || !strings.Contains(m[1], "Over: ") {
		t.Errorf("told %d times, and by mail %q", n, m)
	}
	if strings.Contains(r.log.String(), "secret-token") {
		t.Error("the log shows the URL of the webhook")
	}
}

func invalid(n int) simulator.Fault {
	return simulator.Fault{Operation: simulator.OpCreate, Mailbox: aMailbox, Count: n, Status: http.StatusBadRequest, Code: "ErrorInvalidRecipients"}
}

// TestEachCondition provokes every condition that a relay can be brought into.
func TestEachCondition(t *testing.T) {
	cases := append(rareConditions(t), []faultCase{
		{id: "RelayNotReady", change: func(c *config.Config) { c.Queue.MaxMessages = 2 },
			provoke: func(r *alertsRig) { r.pause(laneOfA); r.post("1"); r.post("2") },
			relieve: func(r *alertsRig) { r.resume(laneOfA) }},
		{id: "QueueFull", subject: "devices", change: func(c *config.Config) { c.Queue.MaxMessages = 2 },
			provoke: func(r *alertsRig) {
				r.pause(laneOfA)
				r.wait("full queue", func() bool { return r.rig.send(nil, aMailbox, "x") != nil })
			},
			relieve: func(r *alertsRig) { r.resume(laneOfA) }},
		{id: "RelayRestarts", change: func(c *config.Config) { condition(c, "RelayRestarts").Within = config.Duration(time.Hour) },
			provoke: func(r *alertsRig) {
				for range 4 {
					r.restart()
				}
			},
			relieve: func(r *alertsRig) {
				r.reload(func(c *config.Config) { condition(c, "RelayRestarts").Within = config.Duration(time.Millisecond) })
			}},
		{id: "MailWaits", change: above("MailWaits", 1),
			provoke: func(r *alertsRig) { r.pause(laneOfA); r.post("x") },
			relieve: func(r *alertsRig) { r.resume(laneOfA) }},
		{id: "MailHeld",
			provoke: func(r *alertsRig) {
				r.pause(laneOfA)
				r.post("x")
				_, err := r.relay.Store.ApplyAll(r.Context(), queue.Filter{Lane: laneOfA.String()}, queue.Hold, "test")
				r.ok(err)
			},
			relieve: func(r *alertsRig) {
				_, err := r.relay.Store.ApplyAll(r.Context(), queue.Filter{Lane: laneOfA.String()}, queue.Delete, "test")
				r.ok(err)
			}},
		{id: "MailFailed", subject: "contoso invalid_recipients", provoke: func(r *alertsRig) { r.fault(invalid(1)); r.post("x") }},
		{id: "BounceImpossible", subject: "contoso", provoke: func(r *alertsRig) {
			r.fault(invalid(1))
			r.ok(r.sendTo("", "b@example.test", "From: "+aMailbox+"\r\n\r\nx\r\n"))
		}},
		{id: "MailReturned", subject: "contoso 5.1.8", change: func(c *config.Config) { c.Connections[0].WatchReports = true },
			provoke: func(r *alertsRig) {
				r.ok(r.sendTo(aMailbox, "returned@example.test", "From: "+aMailbox+"\r\nSubject: x\r\n\r\nx\r\n"))
			}},
		{id: "Throttled", subject: "contoso", change: above("Throttled", 0),
			provoke: func(r *alertsRig) {
				r.fault(simulator.Fault{Operation: simulator.OpCreate, Mailbox: aMailbox, Status: http.StatusTooManyRequests, RetryAfter: "1"})
				r.post("x")
			},
			relieve: func(r *alertsRig) { r.sim.ClearFaults() }},
		{id: "MailboxNearLimit", subject: "contoso recipients", change: func(c *config.Config) { c.Connections[0].DailyRecipients = 1 },
			provoke: func(r *alertsRig) { r.post("x") },
			relieve: func(r *alertsRig) { r.reload(func(c *config.Config) { c.Connections[0].DailyRecipients = 0 }) }},
		{id: "SignInFails", subject: "contoso", change: func(c *config.Config) { c.Connections[0].ClientSecret = config.NewSecret("wrong") },
			provoke: func(r *alertsRig) { r.post("x") },
			relieve: func(r *alertsRig) {
				r.reload(func(c *config.Config) { c.Connections[0].ClientSecret = config.NewSecret("simulated") })
			}},
		{id: "CredentialExpires", subject: "contoso",
			change: func(c *config.Config) {
				c.Connections[0].ClientSecretExpires = config.Date(time.Now().Add(5 * 24 * time.Hour))
			},
			provoke: func(*alertsRig) {},
			relieve: func(r *alertsRig) {
				r.reload(func(c *config.Config) { c.Connections[0].ClientSecretExpires = config.Date{} })
			}},
		{id: "CertificateExpires", subject: "devices", change: func(c *config.Config) { withCertificate(t, c, 3*24*time.Hour) },
			provoke: func(*alertsRig) {},
			relieve: func(r *alertsRig) { r.reload(func(c *config.Config) { withCertificate(t, c, 90*24*time.Hour) }) }},
		{id: "LookupsUnreliable", subject: "contoso",
			provoke: func(r *alertsRig) {
				r.ok(r.sim.SetWorld(simulator.World{FilterIgnored: true}))
				_, err := r.sim.Plant(simulator.Message{Mailbox: aMailbox, Folder: simulator.Drafts, Subject: "private", To: []simulator.Address{{Address: "friend@example.net"}}})
				r.ok(err)
				r.fault(simulator.Fault{Operation: simulator.OpCreate, Mailbox: aMailbox, Count: 1, After: true, Reset: true})
				r.post("x")
			}},
		{id: "ContentLost", subject: "recipient", provoke: func(r *alertsRig) {
			r.ok(r.sim.SetWorld(simulator.World{Unresolved: []string{"nobody@example.test"}}))
			r.ok(smtp.SendMail(r.relay.Address("127.0.0.1:0"), nil, aMailbox, []string{"b@example.test", "nobody@example.test"}, []byte("From: "+aMailbox+"\r\n\r\nx\r\n")))
		}},
		{id: "ReloadFailed",
			provoke: func(r *alertsRig) { _ = r.relay.ReloadFile(filepath.Join(r.dir, "none.yaml")) },
			relieve: func(r *alertsRig) { r.reload(func(*config.Config) {}) }},
		{id: "PasswordsGuessed", subject: "devices",
			change: func(c *config.Config) {
				above("PasswordsGuessed", 0)(c)
				c.Listeners[0].Auth, c.Limits.AuthFailures = smtpd.AuthOptional, 3
				c.Users = []config.User{{Name: "crm", PasswordHash: config.NewSecret(crmHash), Senders: []config.Pattern{pattern(t, "*@contoso.test")}}}
			},
			provoke: func(r *alertsRig) {
				for range 5 {
					_ = r.rig.send(smtp.PlainAuth("", "crm", "guess", "127.0.0.1"), aMailbox, "x")
				}
			}},
		{id: "RateExceeded", subject: "devices", change: func(c *config.Config) { c.Rates.Sender.Messages = 1 },
			provoke: func(r *alertsRig) { r.post("1"); _ = r.rig.send(nil, aMailbox, "2") }},
		{id: "ConnectionPaused", subject: "contoso",
			provoke: func(r *alertsRig) { r.pause(queue.Lane{Connection: "contoso"}) },
			relieve: func(r *alertsRig) { r.resume(queue.Lane{Connection: "contoso"}) }},
		{id: "MailboxPaused", subject: "contoso operator",
			provoke: func(r *alertsRig) { r.pause(laneOfA) },
			relieve: func(r *alertsRig) { r.resume(laneOfA) }},
		{id: "MailDamaged",
			provoke: func(r *alertsRig) {
				r.pause(laneOfA)
				r.post("x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 5000))
				files, err := filepath.Glob(filepath.Join(r.dir, "bodies", "*"))
				if err != nil || len(files) != 1 {
					r.Fatal(files, err)
				}
				r.ok(os.WriteFile(files[0], []byte("damaged"), 0o600))
				r.resume(laneOfA)
			},
			relieve: func(r *alertsRig) {
				_, err := r.relay.Store.ApplyAll(r.Context(), queue.Filter{Reasons: []reason.Reason{reason.Storage}}, queue.Delete, "test")
				r.ok(err)
			}},
		{id: "RedirectAll", change: func(c *config.Config) { c.Delivery.RedirectAll = "staging@contoso.test" },
			provoke: func(*alertsRig) {},
			relieve: func(r *alertsRig) { r.reload(func(c *config.Config) { c.Delivery.RedirectAll = "" }) }},
		{id: "DeviceRefused", subject: "127.0.0.1", change: above("DeviceRefused", 2),
			provoke: func(r *alertsRig) {
				for range 3 {
					_ = r.rig.send(nil, "x@elsewhere.test", "x")
				}
			},
			relieve: func(r *alertsRig) { r.post("x") }},
	}...)
	seen := []string{"MailboxRefused", "NodesDiffer", "NodeGone", "StorageRefuses"} // in tests of their own
	for _, c := range cases {
		seen = append(seen, c.id)
		t.Run(c.id, func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
	for _, id := range attention.IDs() {
		if !slices.Contains(seen, id) {
			t.Errorf("%s was not provoked", id)
		}
	}
}

// withCertificate gives the listener a certificate that expires after a time.
func withCertificate(t *testing.T, c *config.Config, after time.Duration) {
	t.Helper()
	a := testcert.NewAuthority(t)
	key := testcert.NewKey(t)
	dir := t.TempDir()
	c.Listeners = slices.Clone(c.Listeners)
	c.Listeners[0].TLS = smtpd.TLSStart
	c.TLS = config.TLS{CertFile: filepath.Join(dir, "relay.crt"), KeyFile: filepath.Join(dir, "relay.key")}
	testcert.WriteCert(t, c.TLS.CertFile, a.Server(key, time.Now().Add(after)))
	testcert.WriteKey(t, c.TLS.KeyFile, key)
}

// TestAlertByAnotherConnection: where a connection cannot sign in, the mailbox of another one tells
// of it.
func TestAlertByAnotherConnection(t *testing.T) {
	r := startAlerts(t, func(c *config.Config) { c.Connections[0].ClientSecret = config.NewSecret("wrong") })
	r.post("x")
	r.wait("alert", func() bool { return len(r.hook.of("SignInFails", "opened")) > 0 })
	ref := r.hook.of("SignInFails", "opened")[0].Reference
	r.wait("mail", func() bool { return len(r.mail(ref)) > 0 })
	for _, d := range r.sim.Ledger() {
		if d.Mailbox != "relay@fabrikam.test" || !slices.Equal(d.To, []string{alertsTo}) {
			t.Errorf("%+v", d)
		}
	}
}

// TestAlertThatFails: nothing follows from an alert that Graph refuses: it is not held, nobody gets
// a bounce, and no condition opens because of it.
func TestAlertThatFails(t *testing.T) {
	r := startAlerts(t, nil)
	r.fault(simulator.Fault{Operation: simulator.OpCreate, Status: http.StatusBadRequest, Code: "ErrorInvalidRecipients"})
	r.reload(func(c *config.Config) { c.Delivery.RedirectAll = alertsTo })
	failed := func() []queue.Record {
		list, err := r.relay.Store.List(t.Context(), queue.Filter{})
		r.ok(err)
		return list
	}
	r.wait("failures", func() bool {
		list := failed()
		return len(list) == 2 && list[0].State == queue.Failed && list[1].State == queue.Failed
	})
	time.Sleep(500 * time.Millisecond)
	for _, m := range failed() {
		if m.State != queue.Failed || m.Envelope.From != "" || m.Lane.Mailbox != cmp.Or(map[bool]string{true: "relay@contoso.test"}[m.Lane.Connection == "contoso"], "relay@fabrikam.test") {
			t.Errorf("%+v", m)
		}
	}
	if n := len(failed()); n != 2 { // one by each mailbox
		t.Errorf("%d messages", n)
	}
	for _, id := range []string{"MailFailed", "MailHeld", "BounceImpossible"} {
		if n := len(r.hook.of(id, "opened")); n != 0 {
			t.Errorf("%s opened %d times", id, n)
		}
	}
}

// TestConnectedMailboxIsRefused and the owner has to connect it again.
func TestConnectedMailboxIsRefused(t *testing.T) {
	owners := startOwners(t, simulator.Options{SendDelay: -1})
	r := &alertsRig{rig: owners, hook: &webhook{}}
	server := httptest.NewServer(r.hook)
	t.Cleanup(server.Close)
	k := r.connector()
	connect := func(mailbox string) {
		t.Helper()
		if _, err := r.signIn(k, mailbox, mailbox); err != nil {
			t.Fatal(err)
		}
	}
	connect(aMailbox)
	connect("relay@contoso.test")
	r.reload(func(c *config.Config) {
		c.Alerts = soon(t, server.URL)
		c.Alerts.Mail[0].From = c.Alerts.Mail[0].From[:1]
	})
	r.post("1")
	WaitSent(t, r.sim, 1)
	r.sim.Revoke(aMailbox)
	r.post("2")
	r.wait("alert", func() bool { return len(r.hook.of("MailboxRefused", "opened")) > 0 })
	opened := r.hook.of("MailboxRefused", "opened")[0]
	r.wait("mail", func() bool { return len(r.mail(opened.Reference)) > 0 })
	if opened.Subject != "owners" || !strings.Contains(opened.Remedy, "graphrelay connect "+aMailbox) {
		t.Errorf("%+v", opened)
	}
	connect(aMailbox)
	r.wait("end", func() bool {
		return len(r.hook.of("MailboxRefused", "closed")) == 1 && len(r.mail(opened.Reference)) == 2
	})
}

// TestAlertsOfNodes: of relays that share a queue, one tells what is about the queue.
func TestAlertsOfNodes(t *testing.T) {
	hook := &webhook{}
	server := httptest.NewServer(hook)
	t.Cleanup(server.Close)
	alerts := func(c *config.Config) {
		c.Alerts = soon(t, server.URL)
		c.Alerts.Mail = nil
	}
	nodes := startNodes(t, simulator.Options{}, alerts, func(c *config.Config) {
		alerts(c)
		c.Delivery.MailboxPace = 1000
	})
	r := &alertsRig{rig: nodes[0], hook: hook}
	r.wait("NodesDiffer", func() bool { return len(hook.of("NodesDiffer", "opened")) > 0 })
	r.pause(laneOfA)
	r.wait("MailboxPaused", func() bool { return len(hook.of("MailboxPaused", "opened")) > 0 })
	_, err := r.relay.Store.Renew(t.Context(), queue.Renewal{Node: queue.Node{ID: "dead", Name: "dead", About: queue.About{Started: time.Now()}}, Lease: 100 * time.Millisecond})
	r.ok(err)
	r.wait("NodeGone", func() bool { return len(hook.of("NodeGone", "opened")) > 0 })
	time.Sleep(500 * time.Millisecond)
	for _, id := range []string{"NodesDiffer", "MailboxPaused", "NodeGone"} {
		if list := hook.of(id, "opened"); len(list) != 1 {
			t.Errorf("%s was told %d times: %+v", id, len(list), list)
		}
	}
	for _, n := range nodes {
		list, err := n.relay.Incidents(t.Context(), false)
		if err != nil || !strings.Contains(fmt.Sprint(list), "MailboxPaused") {
			t.Errorf("%+v, %v", list, err)
		}
	}
	if err := nodes[0].relay.Stop(); err != nil { // the elder one: the other goes on
		t.Fatal(err)
	}
	r.rig = nodes[1]
	r.resume(laneOfA)
	r.wait("end", func() bool { return len(hook.of("MailboxPaused", "closed")) > 0 })
	if list := hook.of("MailboxPaused", "opened"); len(list) != 1 || list[0].Reference != hook.of("MailboxPaused", "closed")[0].Reference {
		t.Errorf("%+v", list)
	}
}

// Who tests the channels is in the audit log, with how many took the message.
func TestTestsAreAudited(t *testing.T) {
	t.Parallel()
	r := startAlerts(t, nil)
	ctx := operators.With(t.Context(), operators.Person{Name: "anna", Role: operators.Operator, Way: operators.ByToken})
	tests, err := r.relay.TestAlerts(ctx, "")
	if err != nil || len(tests) != 2 || tests[0].Error != "" || tests[1].Error != "" {
		t.Fatal(tests, err)
	}
	if _, err := r.relay.TestAlerts(ctx, "pager"); err == nil {
		t.Error("a channel that is not there was tested")
	}
	audits, err := r.relay.Store.Audits(t.Context(), 10)
	if err != nil || len(audits) != 1 || audits[0].By != "anna (API token)" || audits[0].Action != "test alerts" || audits[0].On != "operators chat" || audits[0].Changed != 2 {
		t.Errorf("%+v, %v", audits, err)
	}
}
