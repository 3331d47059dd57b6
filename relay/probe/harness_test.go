package probe_test

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/internal/testnet"
	"graphrelay/relay/config"
	"graphrelay/relay/probe"
)

const (
	anna  = "anna@contoso.test"
	alias = "anna.a@contoso.test"
	upn   = "u123@contoso.test"
	ben   = "ben@contoso.test"
)

// tenant returns the options of a tenant in which all is as the relay expects.
func tenant(change func(*simulator.Options)) simulator.Options {
	o := simulator.Options{
		Apps:  []simulator.App{{Roles: []string{"Mail.ReadWrite", "Mail.Send", "User.Read.All"}}},
		Users: []simulator.User{{Address: anna, UPN: upn, Aliases: []string{alias}, Data: map[string]string{"displayName": "Anna of Contoso"}}},
		// The latency makes requests of step 19 overlap.
		Latency: 5 * time.Millisecond, SendDelay: 150 * time.Millisecond, RetryAfter: 10 * time.Millisecond,
		MessageFlags: true, Deliver: true, RequireContract: true, Mailboxes: []string{"contoso.test"},
	}
	if change != nil {
		change(&o)
	}
	return o
}

// inTime runs a subtest with a clock of its own, which goes on when all goroutines wait. Thus
// waiting takes no time, and nothing depends on how busy the machine is.
func inTime(t *testing.T, name string, test func(*testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, test)
	})
}

// rig is a simulated tenant and a configuration for it, on a network in memory.
type rig struct {
	t       *testing.T
	sim     *simulator.Simulator
	network *testnet.Network
	url     string
	config  *config.Config
}

func newRig(t *testing.T, o simulator.Options, lines ...string) *rig {
	t.Helper()
	sim := simulator.New(o)
	t.Cleanup(func() { sim.Close() })
	n := &testnet.Network{}
	url := n.Serve(t, sim)
	return &rig{t: t, sim: sim, network: n, url: url, config: configFor(t, url, url, lines...)}
}

// configFor returns a configuration with the endpoints, and more lines for the connection.
func configFor(t *testing.T, login, graph string, lines ...string) *config.Config {
	t.Helper()
	text := `hostname: relay.contoso.test
listeners:
  - {name: devices, address: "127.0.0.1:2525", tls: none, auth: none, networks: [127.0.0.0/8]}
connections:
  - name: contoso
    tenant: 11111111-1111-1111-1111-111111111111
    client_id: 22222222-2222-2222-2222-222222222222
    client_secret: simulated
    domains: [contoso.test]
    endpoints: {login: "` + login + `", graph: "` + graph + `"}
`
	for _, l := range lines {
		text += "    " + l + "\n"
	}
	cfg, err := config.Parse([]byte(text), "relay.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// options returns options with which a run is quick.
func (r *rig) options() probe.Options {
	return probe.Options{Config: r.config, Connection: &r.config.Connections[0], Mailbox: anna, From: ben, Alias: alias, Dial: r.network.Dial,
		LargeSizes: []int64{3_300_000, 3_600_000, 4_200_000},
		Waits: probe.Waits{Poll: 5 * time.Millisecond, Appear: 3 * time.Second, Find: 5 * time.Second, Send: 5 * time.Second,
			Returns: time.Nanosecond, Throttle: time.Second, Remove: 10 * time.Second}}
}

// run makes a run. It fails the test if it touched an item of the mailbox's owner, or broke the
// rules for the relay's requests.
func (r *rig) run(o probe.Options) probe.Report {
	r.t.Helper()
	return r.runContext(r.t.Context(), o)
}

func (r *rig) runContext(ctx context.Context, o probe.Options) probe.Report {
	r.t.Helper()
	r.plant()
	p, err := probe.New(o)
	if err != nil {
		r.t.Fatal(err)
	}
	report := p.Run(ctx)
	if touched := r.sim.Touched(); len(touched) > 0 {
		r.t.Errorf("items of the owner were touched: %+v", touched)
	}
	r.wantPrivate(report)
	for _, d := range r.sim.Ledger() {
		for _, to := range d.Recipients() {
			if want := cmp.Or(o.To, o.Mailbox); to != want {
				r.t.Errorf("mail went to %s instead of %s", to, want)
			}
		}
	}
	for _, v := range r.sim.Violations() {
		r.t.Errorf("%s %s breaks the contract: %s", v.Operation, v.Path, v.Text)
	}
	return report
}

// plant adds items of the owner to each folder.
func (r *rig) plant() {
	r.t.Helper()
	for _, f := range []string{simulator.Drafts, simulator.SentItems, simulator.Inbox, simulator.DeletedItems} {
		if _, err := r.sim.Plant(simulator.Message{Mailbox: anna, Folder: f, Subject: "graphrelay probe of an owner", To: []simulator.Address{{Address: ben}}}); err != nil {
			r.t.Fatal(err)
		}
	}
}

// wantPrivate fails the test if the JSON shows an address, an ID or the mark.
func (r *rig) wantPrivate(report probe.Report) {
	r.t.Helper()
	file := string(report.File().JSON())
	secrets := []string{"@", "contoso", "anna", report.Marker, "11111111", "22222222", "http"}
	for _, m := range r.sim.Messages("") {
		secrets = append(secrets, m.ID)
	}
	for _, call := range r.sim.Journal() {
		secrets = append(secrets, call.RequestID)
	}
	for _, secret := range secrets {
		if strings.Contains(file, secret) {
			r.t.Errorf("the JSON shows %q:\n%s", secret, file)
		}
	}
}

// wantClean fails the test if an item of a probe is still shown in a folder.
func (r *rig) wantClean(report probe.Report) {
	r.t.Helper()
	for _, l := range report.Left {
		r.t.Errorf("%s", l)
	}
	for _, m := range r.sim.Messages(anna) {
		if !m.Planted && m.Folder != simulator.Purges {
			r.t.Errorf("%q is left in %s", m.Subject, m.Folder)
		}
	}
}

// wantGone fails the test unless something is said to be left, and what is still there is said
// to be.
func (r *rig) wantGone(report probe.Report) {
	r.t.Helper()
	if len(report.Left) == 0 {
		r.t.Error("nothing is said to be left")
	}
	for _, m := range r.sim.Messages(anna) {
		said := slices.ContainsFunc(report.Left, func(l probe.Left) bool { return l.Subject == m.Subject && l.Folder == m.Folder })
		if !m.Planted && m.Folder != simulator.Purges && !said {
			r.t.Errorf("%q is left in %s, and that is not said", m.Subject, m.Folder)
		}
	}
}

// wantVerdicts fails the test unless the steps have these verdicts, and the others ok.
func wantVerdicts(t *testing.T, report probe.Report, want map[int]probe.Verdict) {
	t.Helper()
	for _, r := range report.Results {
		expected := want[r.Step]
		if expected == "" {
			expected = probe.OK
		}
		if r.Verdict != expected {
			t.Errorf("want %s: %s", expected, r.Line())
		}
	}
}

func resultOf(t *testing.T, report probe.Report, step int) probe.Result {
	t.Helper()
	for _, r := range report.Results {
		if r.Step == step {
			return r
		}
	}
	t.Fatalf("there is no step %d", step)
	return probe.Result{}
}

// facts returns the facts as the JSON has them.
func facts(t *testing.T, report probe.Report) map[string]any {
	t.Helper()
	var f struct {
		Facts map[string]any `json:"facts"`
	}
	if err := json.Unmarshal(report.File().JSON(), &f); err != nil {
		t.Fatal(err)
	}
	return f.Facts
}

func lines(report probe.Report) string {
	var all []string
	for _, r := range report.Results {
		all = append(all, r.Line())
	}
	return strings.Join(all, "\n")
}
