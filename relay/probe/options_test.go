package probe_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/oauth2"

	"graphrelay/graph/entra"
	"graphrelay/graph/simulator"
	"graphrelay/relay/config"
	"graphrelay/relay/connection"
	"graphrelay/relay/probe"
)

func TestProbeKeeps(t *testing.T) { synctest.Test(t, testProbeKeeps) }

func testProbeKeeps(t *testing.T) {
	r := newRig(t, tenant(nil))
	o := r.options()
	o.Keep = true
	report := r.run(o)
	marked := 0
	for _, m := range r.sim.Messages(anna) {
		if strings.Contains(m.Subject, report.Marker) {
			marked++
		}
	}
	if marked == 0 || len(report.Left) > 0 || report.Exit() != probe.ExitOK {
		t.Errorf("%d items kept, left %v, exit status %d", marked, report.Left, report.Exit())
	}
}

// With --to, all mail goes there, and what comes of it is not looked for.
func TestProbeTo(t *testing.T) { synctest.Test(t, testProbeTo) }

func testProbeTo(t *testing.T) {
	r := newRig(t, tenant(nil))
	o := r.options()
	o.To = ben
	report := r.run(o)
	wantVerdicts(t, report, with(map[int]probe.Verdict{13: skipped}))
	r.wantClean(report)
}

// Without --from and --alias, only the mailbox's own address is sent from.
func TestProbeAlone(t *testing.T) { synctest.Test(t, testProbeAlone) }

func testProbeAlone(t *testing.T) {
	r := newRig(t, tenant(nil))
	o := r.options()
	o.From, o.Alias = "", ""
	report := r.run(o)
	wantVerdicts(t, report, with(map[int]probe.Verdict{15: skipped}))
	r.wantClean(report)
	for _, d := range r.sim.Ledger() {
		if d.From != anna {
			t.Errorf("sent from %s", d.From)
		}
	}
}

// Where the relay only sends, so does the probe, and it says what it could not remove.
func TestProbeSendOnly(t *testing.T) { synctest.Test(t, testProbeSendOnly) }

func testProbeSendOnly(t *testing.T) {
	r := newRig(t, tenant(func(o *simulator.Options) { o.Apps[0].Roles = []string{"Mail.Send", "User.Read.All"} }), "mail_readwrite: false")
	report := r.run(r.options())
	for _, result := range report.Results {
		want := probe.Skipped
		if slices.Contains([]int{1, 2, 16}, result.Step) {
			want = probe.OK
		}
		if result.Verdict != want {
			t.Errorf("want %s: %s", want, result.Line())
		}
	}
	if len(report.Left) != 2 || report.Left[0].Folder != "Inbox" || report.Exit() != probe.ExitDiffers {
		t.Errorf("left %v, exit status %d", report.Left, report.Exit())
	}
	if calls := r.sim.Stats().Calls; calls[simulator.OpCreate] > 0 || calls[simulator.OpList] > 0 {
		t.Errorf("calls %v", calls)
	}
}

func TestProbeRefusesOptions(t *testing.T) { synctest.Test(t, testProbeRefusesOptions) }

func testProbeRefusesOptions(t *testing.T) {
	r := newRig(t, tenant(nil))
	for _, test := range []struct {
		change func(*probe.Options)
		want   string
	}{
		{func(o *probe.Options) { o.Mailbox = "" }, "--mailbox"},
		{func(o *probe.Options) { o.To = "nobody" }, "--to"},
		{func(o *probe.Options) { o.From = "a\r\nb@contoso.test" }, "--from"},
		{func(o *probe.Options) { o.Alias = "<a@contoso.test>" }, "--alias"},
	} {
		o := r.options()
		test.change(&o)
		if _, err := probe.New(o); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("want %s: %v", test.want, err)
		}
	}
}

// owner holds the refresh token of one account, for every mailbox.
type owner struct{ token string }

func (o *owner) RefreshToken(context.Context, string) (string, int64, error) { return o.token, 1, nil }
func (o *owner) Grant(context.Context, string) (int64, error)                { return 1, nil }
func (o *owner) Renew(context.Context, string, int64, string)                {}
func (o *owner) Refuse(context.Context, string, int64, string)               {}

// connect has an account sign in, and makes the connection a delegated one.
func (r *rig) connect(account string) entra.RefreshTokens {
	r.t.Helper()
	c := &r.config.Connections[0]
	c.SignIn, c.ClientSecret = config.SignInDelegated, config.Secret{}
	d := connection.Delegated(*c, &owner{})
	client := &http.Client{Transport: &http.Transport{DialContext: r.network.Dial}}
	defer client.CloseIdleConnections()
	ctx := context.WithValue(r.t.Context(), oauth2.HTTPClient, client)
	device, err := d.DeviceCode(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	answer, err := client.PostForm(device.VerificationURI, url.Values{"user_code": {device.UserCode}, "account": {account}})
	if err != nil {
		r.t.Fatal(err)
	}
	_ = answer.Body.Close()
	token, err := d.WaitForDevice(ctx, device)
	if err != nil {
		r.t.Fatal(err)
	}
	return &owner{token.RefreshToken}
}

// An owner who has signed in can do all but ask the directory; in another one's mailbox, upload
// sessions and the permissions may be missing.
func TestProbeDelegated(t *testing.T) {
	fullAccess := func(w simulator.World) func(*simulator.Options) {
		return func(o *simulator.Options) {
			o.World = w
			o.FullAccess = map[string][]string{anna: {ben}}
			o.SendAs = map[string][]string{ben: {anna, alias}, anna: {ben}}
		}
	}
	for _, test := range []struct {
		name    string
		account string
		change  func(*simulator.Options)
		want    map[int]probe.Verdict
		step    int
		advice  string
		fact    string
	}{
		{"own mailbox", anna, fullAccess(simulator.World{}), with(map[int]probe.Verdict{2: skipped}), 0, "", ""},
		{"other mailbox", ben, fullAccess(simulator.World{}), with(map[int]probe.Verdict{2: skipped}), 0, "", ""},
		{"no shared sessions", ben, fullAccess(simulator.World{NoSharedSessions: true}), with(map[int]probe.Verdict{2: skipped, 9: differs}), 9, "uploads: off", "no_shared_sessions"},
		{"shared scopes", ben, fullAccess(simulator.World{SharedScopes: true}), after(3, map[int]probe.Verdict{2: skipped}), 3, "with --shared", "needs_shared_scopes"},
	} {
		inTime(t, strings.ReplaceAll(test.name, " ", "_"), func(t *testing.T) {
			r := newRig(t, tenant(test.change))
			o := r.options()
			o.Tokens = r.connect(test.account)
			report := r.run(o)
			wantVerdicts(t, report, test.want)
			if test.step != 0 {
				if result := resultOf(t, report, test.step); !strings.Contains(strings.Join(result.Advice, ""), test.advice) {
					t.Error(result.Line())
				}
				if facts(t, report)[test.fact] != true {
					t.Errorf("facts %v", facts(t, report))
				}
			}
			r.wantClean(report)
		})
	}
}

// A refusal of a file whose message the relay refuses itself differs in nothing.
func TestProbeLargeBeyondTheConfiguration(t *testing.T) {
	synctest.Test(t, testProbeLargeBeyondTheConfiguration)
}

func testProbeLargeBeyondTheConfiguration(t *testing.T) {
	for _, test := range []struct {
		configured string
		want       probe.Verdict
		advice     string
	}{{"5MiB", probe.OK, ""}, {"6MiB", probe.Differs, "below 5,747,430 bytes"}} {
		r := newRig(t, tenant(func(o *simulator.Options) { o.World.MessageSize = 4_000_000 }), "message_size: "+test.configured)
		o := r.options()
		o.Large = true
		result := resultOf(t, r.run(o), 18)
		if result.Verdict != test.want || !strings.Contains(strings.Join(result.Advice, ""), test.advice) {
			t.Errorf("%s: %s", test.configured, result.Line())
		}
	}
}
