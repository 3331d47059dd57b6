package setup

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"graphrelay/graph/simulator"
	"graphrelay/relay/config"
	"graphrelay/relay/smtpd"
)

// onTerminal returns the options of a set-up on a terminal, without any flag.
func (w *tenant) onTerminal(answers ...[2]string) Options {
	return Options{Config: w.file, Choices: Choices{LoginURL: w.url, GraphURL: w.url}, In: w.keyboard(answers...), Out: w.screen, pace: quick(), create: copyKeys(w.t), cost: bcrypt.MinCost}
}

// TestQuestions: every question is asked, also again after an answer that is none, and Enter
// takes the default.
func TestQuestions(t *testing.T) {
	w := newTenant(t, lags)
	o := w.onTerminal(
		[2]string{"What will send", "nonsense"},
		[2]string{"one of the numbers.", "1"},
		[2]string{"From which networks", "192.168.1.0/33"},
		[2]string{"is not an IP address or a network", "192.168.1.0/24, 127.0.0.1"},
		[2]string{"Which mailboxes will send", "scanner"},
		[2]string{"is not the address of a mailbox", scanner},
		[2]string{"Which mailboxes may the application use", "2"},
		[2]string{"May it read the directory", "no"},
		[2]string{"Try on this tenant", "yes"},
		[2]string{"Send a test message", "you@contoso.test"},
	)
	o.RightsWait = 1
	probed := ""
	o.Probe = func(_ context.Context, file, mailbox string) bool { probed = file + " " + mailbox; return true }
	w.run(o)
	if app := w.one(); strings.Join(app.Roles, " ") != "Mail.ReadWrite Mail.Send" {
		t.Errorf("granted: %v", app.Roles)
	}
	cfg := w.config()
	if l := cfg.Listeners[0]; len(cfg.Listeners) != 1 || l.Auth != smtpd.AuthNone || len(l.Networks) != 2 || len(cfg.Users) > 0 {
		t.Errorf("listeners %+v, users %+v", cfg.Listeners, cfg.Users)
	}
	if cfg.Connections[0].Directory != config.DirectoryOff {
		t.Error("the directory is asked")
	}
	if list := w.sim.Messages(scanner); len(list) != 1 {
		t.Errorf("the test mail: %+v", list)
	}
	if probed != w.file+" "+scanner {
		t.Errorf("probed: %q", probed)
	}
}

// TestDefaults: Enter at each question sets up the mailbox of the administrator, and the
// rights come from Exchange once that is confirmed.
func TestDefaults(t *testing.T) {
	w := newTenant(t, simulator.World{})
	w.screen.account = administrator
	o := w.onTerminal(
		[2]string{"What will send", ""},
		[2]string{"From which networks", ""},
		[2]string{"Which mailboxes will send", ""},
		[2]string{"Which mailboxes may the application use", ""},
		[2]string{"Press Enter once that is done", ""},
		[2]string{"Send a test message", ""},
	)
	o.RightsWait = 1 << 40
	o.before = func(step string) error {
		if step == "registered" {
			w.sim.GrantRBAC(w.one().AppID, []string{"Mail.ReadWrite", "Mail.Send"}, []string{administrator})
		}
		return nil
	}
	w.run(o)
	cfg := w.config()
	if len(cfg.Listeners) != 2 || cfg.Delivery.Postmaster != administrator || len(cfg.Users) != 1 {
		t.Errorf("%d listeners, %d users, postmaster %s", len(cfg.Listeners), len(cfg.Users), cfg.Delivery.Postmaster)
	}
	if len(w.one().Roles) > 0 {
		t.Error("rights were granted in Entra")
	}
}

// TestUnattendedNeverAsks: what has no default is an error that names the flag.
func TestUnattendedNeverAsks(t *testing.T) {
	w := newTenant(t, simulator.World{})
	o := w.options(Choices{})
	o.Choices.Mailboxes = nil
	o.Script, o.ScriptTo = ScriptAzureCLI, w.screen
	w.refused(o, "nobody is at a terminal", "--mailboxes")
}

var signInPage = regexp.MustCompile(`Open this address in a browser:\n\n    (\S+)\n`)

// page waits for the address of the sign-in page.
func (w *tenant) page() string {
	w.t.Helper()
	var page []string
	waitFor(w.t, "the page", func() bool {
		page = signInPage.FindStringSubmatch(w.screen.String())
		return page != nil
	})
	return page[1]
}

// browse opens the sign-in page as a browser on this machine does.
func (w *tenant) browse() error {
	to := w.authorize(w.page(), administrator)
	reply, err := http.Get(to.String())
	if err != nil {
		return err
	}
	return reply.Body.Close()
}

// TestDeviceCodeRefused: where a policy forbids codes, the browser is offered.
func TestDeviceCodeRefused(t *testing.T) {
	w := newTenant(t, simulator.World{DeviceCode: simulator.DeviceCodeRefused})
	o := w.options(Choices{Scope: Tenant})
	o.AdminTokenEnv = ""
	w.refused(o, "AADSTS53003", "--sign-in browser")

	// On a terminal it is offered, and opened on this machine.
	o.In = w.keyboard([2]string{"Sign in with a browser instead?", "yes"})
	done := make(chan error, 1)
	go func() { done <- w.browse() }()
	o.TestMail = "you@contoso.test"
	w.run(o)
	if err := <-done; err != nil {
		t.Error(err)
	}
	w.one()
}

// TestDeviceCodeSilent: where only the page tells that codes are forbidden, Enter changes to
// the browser. That is on another machine, and the address at which it ends is pasted.
func TestDeviceCodeSilent(t *testing.T) {
	w := newTenant(t, simulator.World{DeviceCode: simulator.DeviceCodeSilent})
	o := w.options(Choices{Scope: Tenant})
	o.AdminTokenEnv = ""
	pasted := make(chan string, 1)
	go func() {
		defer close(pasted)
		pasted <- w.authorize(w.page(), administrator).String()
	}()
	o.In = w.typed(pasted, [2]string{"press Enter here", ""}, [2]string{"copy that page's address", "http://localhost/?code=stolen&state=guessed"},
		[2]string{"That is not the address", ""})
	o.TestMail = "you@contoso.test"
	w.run(o)
	w.one()
}

// TestForgedCallback: an answer without the state of this sign-in is not taken.
func TestForgedCallback(t *testing.T) {
	w := newTenant(t, simulator.World{})
	o := w.options(Choices{Scope: Tenant})
	o.AdminTokenEnv, o.SignIn = "", WayBrowser
	done := make(chan error, 1)
	go func() {
		to := w.authorize(w.page(), administrator)
		forged := *to
		forged.RawQuery = "code=stolen&state=guessed"
		reply, err := http.Get(forged.String())
		if err == nil && reply.StatusCode != http.StatusNotFound {
			t.Errorf("a forged answer: %s", reply.Status)
		}
		_, err = http.Get(to.String())
		done <- err
	}()
	w.run(o)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestClouds: each cloud has its own endpoints, in the sign-in, the configuration, the scripts
// and the commands for Exchange.
func TestClouds(t *testing.T) {
	for cloud, want := range map[config.Cloud][4]string{
		config.CloudGlobal:   {"https://login.microsoftonline.com", "https://graph.microsoft.com", "Connect-ExchangeOnline\n", "-Environment Global"},
		config.CloudUSGov:    {"https://login.microsoftonline.us", "https://graph.microsoft.us", "O365USGovGCCHigh", "-Environment USGov"},
		config.CloudUSGovDoD: {"https://login.microsoftonline.us", "https://dod-graph.microsoft.us", "O365USGovDoD", "-Environment USGovDoD"},
		config.CloudChina:    {"https://login.partner.microsoftonline.cn", "https://microsoftgraph.chinacloudapi.cn", "O365China", "-Environment China"},
	} {
		w := newTenant(t, simulator.World{})
		o := w.options(Choices{})
		o.Choices.Cloud, o.Choices.LoginURL, o.Choices.GraphURL = cloud, "", ""
		var script strings.Builder
		o.Script, o.ScriptTo = ScriptPowerShell, &script
		w.run(o)
		if !strings.Contains(script.String(), want[3]+" ") {
			t.Errorf("%s: the script lacks %q", cloud, want[3])
		}
		// Go on with what the script prints, as far as no cloud is asked.
		o.Script = ""
		o.Choices.ClientID, o.Choices.AppObjectID, o.Choices.PrincipalID, o.Choices.Tenant = commandLineTools, commandLineTools, commandLineTools, "contoso.test"
		o.before = func(step string) error {
			if step == "registered" {
				return errKilled
			}
			return nil
		}
		w.refused(o, "killed")
		r, err := begin(o)
		if err != nil {
			t.Fatal(err)
		}
		if login, graphURL := r.endpoints(); login != want[0] || graphURL != want[1] {
			t.Errorf("%s: %s, %s", cloud, login, graphURL)
		}
		if got := r.state.exchangeCommands(); !strings.Contains(got, want[2]) {
			t.Errorf("%s: %s", cloud, got)
		}
		r.o.before = nil
		if err := r.writeFiles(); err != nil {
			t.Fatal(err)
		}
		if c := w.config().Connections[0]; c.Endpoints.Login != want[0] || c.Endpoints.Graph != want[1] || c.Cloud != cloud {
			t.Errorf("%s: the configuration has %+v", cloud, c.Endpoints)
		}
	}
}

var (
	anyID          = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	anyCertificate = regexp.MustCompile(`MII[A-Za-z0-9+/]+=*`)
)

// TestScripts: the scripts do what register does, and the set-up goes on with what they print.
func TestScripts(t *testing.T) {
	for _, kind := range []string{ScriptPowerShell, ScriptAzureCLI} {
		for _, scope := range []Scope{Tenant, Limited} {
			w := newTenant(t, simulator.World{})
			o := w.options(Choices{Scope: scope, Name: "graphrelay site 1"})
			var out strings.Builder
			o.Script, o.ScriptTo = kind, &out
			w.run(o)
			if kind == ScriptAzureCLI {
				if b, err := shell(out.String(), "-n").CombinedOutput(); err != nil {
					t.Errorf("sh -n: %v\n%s", err, b)
				}
			}
			s := strings.ReplaceAll(out.String(), w.url, "https://graph.microsoft.com")
			s = strings.ReplaceAll(strings.ReplaceAll(s, w.file, "/etc/graphrelay/relay.yaml"), graphID, "GRAPH")
			s = anyCertificate.ReplaceAllString(anyID.ReplaceAllString(s, "ID"), "CERTIFICATE")
			s = regexp.MustCompile(`"notes":"[^"]*",`).ReplaceAllString(s, "")
			golden(t, kind+"-"+string(scope)+".txt", s)
			if len(w.sim.RegisteredApps()) > 0 {
				t.Error("the script was not only printed")
			}
			w.goesOn(t, o)
		}
	}
}

// TestScriptOfChina: Microsoft's public client is not in that cloud, so the script names another.
func TestScriptOfChina(t *testing.T) {
	w := newTenant(t, simulator.World{})
	o := w.options(Choices{Cloud: config.CloudChina})
	o.Choices.LoginURL, o.Choices.GraphURL, o.AdminTokenEnv = "", "", ""
	var out strings.Builder
	o.Script, o.ScriptTo = ScriptPowerShell, &out
	w.refused(o, "--admin-app", "--tenant", "azcli")
	o.Script = ""
	w.refused(o, "--admin-app")
	if _, err := os.Stat(statePath(w.file)); err == nil {
		t.Error("a set-up was begun that cannot go on")
	}
	o.Script = ScriptAzureCLI // which has a client of its own there
	w.run(o)
	if !strings.Contains(out.String(), "AzureChinaCloud") {
		t.Errorf("the script is\n%s", out.String())
	}
	out.Reset()
	o.Script, o.Choices.AdminApp, o.Choices.Tenant = ScriptPowerShell, ownClient, "contoso.test"
	w.run(o)
	golden(t, "powershell-china.txt", anyCertificate.ReplaceAllString(strings.ReplaceAll(anyID.ReplaceAllString(strings.ReplaceAll(out.String(), ownClient, "OWN-CLIENT"), "ID"), w.file, "/etc/graphrelay/relay.yaml"), "CERTIFICATE"))
}

// ownClient is the client ID of a public client that somebody registered in the tenant.
const ownClient = "55555555-5555-5555-5555-555555555555"

// TestOtherAdminApp: a set-up that was begun goes on through another public client.
func TestOtherAdminApp(t *testing.T) {
	w := newTenant(t, simulator.World{})
	o := w.options(Choices{Scope: Tenant, AdminApp: "66666666-6666-6666-6666-666666666666"})
	o.AdminTokenEnv = ""
	o.before = func(step string) error {
		if step == "create application" {
			return errKilled
		}
		return nil
	}
	w.refused(o, "killed")
	o.before, o.Choices.AdminApp = nil, commandLineTools
	w.run(o)
	w.one()
}

const graphID = "00000003-0000-0000-c000-000000000000"

func shell(script string, args ...string) *exec.Cmd {
	c := exec.Command("sh", args...)
	c.Stdin = strings.NewReader(script)
	return c
}

// goesOn registers the application as a script does, and goes on without a sign-in.
func (w *tenant) goesOn(t *testing.T, o Options) {
	t.Helper()
	r, err := begin(o)
	if err != nil {
		t.Fatal(err)
	}
	store, err := r.keys()
	if err != nil {
		t.Fatal(err)
	}
	var certificates [][]byte
	for _, c := range store.Certificates() {
		certificates = append(certificates, c.Raw)
	}
	object, client, err := w.sim.RegisterApp(o.Choices.Name, certificates, r.state.Choices.roles()...)
	if err != nil {
		t.Fatal(err)
	}
	if o.Choices.Scope == Limited {
		w.sim.GrantRBAC(client, []string{"Mail.ReadWrite", "Mail.Send"}, []string{"*"})
	}
	o.Script, o.AdminTokenEnv, o.RightsWait = "", "", 1
	o.Choices.ClientID, o.Choices.AppObjectID, o.Choices.PrincipalID, o.Choices.Tenant = client, object, w.one().Principal, "contoso.test"
	w.run(o)
	if c := w.config().Connections[0]; c.ClientID != client || w.state().Done.IsZero() {
		t.Errorf("connection %+v", c)
	}
}
