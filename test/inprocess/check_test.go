package inprocess

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/config"
	"graphrelay/relay/connection"
	"graphrelay/relay/mailboxes"
)

// For an application, check --online prints each fault with what to do, in one line.
func TestCheckOnline(t *testing.T) {
	refusal := func(status int, code string) *simulator.Fault {
		return &simulator.Fault{Operation: simulator.OpList, Status: status, Code: code}
	}
	login := func(status int, number string) *simulator.Fault {
		return &simulator.Fault{Operation: simulator.OpToken, Status: status, Code: "invalid_grant", Message: number}
	}
	none := []string{}
	all := []string{"Mail.ReadWrite", "Mail.Send", "User.Read.All"}
	for _, tt := range []struct {
		name          string
		app           simulator.App
		change        func(*config.Config)
		mailbox       string
		fault         *simulator.Fault
		world         simulator.World
		faults, warns []string
		readable      bool
		notTried      string
		byRBAC        bool // the token shows no right to send
	}{
		{name: "good", mailbox: "anna@contoso.test", readable: true},
		{name: "a mailbox of the configuration", readable: true, change: func(c *config.Config) { c.Delivery.Postmaster = "postmaster@contoso.test" }},
		{name: "no mailbox", warns: []string{"--mailbox"}},
		{name: "wrong secret", app: simulator.App{Secret: "other"}, mailbox: "anna@contoso.test", faults: []string{"AADSTS7000215", "put its value, not its ID, into client_secret"}},
		{name: "secret expired", mailbox: "anna@contoso.test", fault: &simulator.Fault{Operation: simulator.OpToken, Status: 401, Code: "invalid_client", Message: "AADSTS7000222"},
			faults: []string{"AADSTS7000222", "make a new one"}},
		{name: "consent missing", mailbox: "anna@contoso.test", fault: &simulator.Fault{Operation: simulator.OpToken, Status: 400, Code: "invalid_grant", Message: "AADSTS65001"},
			faults: []string{"AADSTS65001", "grant admin consent"}},
		{name: "clock wrong", mailbox: "anna@contoso.test", fault: &simulator.Fault{Operation: simulator.OpToken, Status: 401, Code: "invalid_client", Message: "AADSTS700024"},
			faults: []string{"check the clock of this machine"}},
		{name: "no such mailbox", mailbox: "missing@contoso.test", faults: []string{"ErrorInvalidUser", "check the address"}},
		{name: "an alias", mailbox: "sales@contoso.test", readable: true},
		{name: "directory denied", app: simulator.App{Roles: []string{"Mail.ReadWrite", "Mail.Send"}}, mailbox: "anna@contoso.test", readable: true, warns: []string{"grant it User.Read.All"}},
		{name: "directory off", app: simulator.App{Roles: []string{"Mail.ReadWrite", "Mail.Send"}}, mailbox: "anna@contoso.test", readable: true,
			change: func(c *config.Config) { c.Connections[0].Directory = config.DirectoryOff }},
		{name: "no rights", app: simulator.App{Roles: none}, mailbox: "anna@contoso.test", faults: []string{"ErrorAccessDenied", "grant the application Mail.ReadWrite"},
			warns: []string{"Mail.Send is not in the token: it has to come from RBAC for Applications"}},
		{name: "may read alone", app: simulator.App{Roles: []string{"Mail.Read", "User.Read.All"}}, mailbox: "anna@contoso.test", readable: true,
			faults: []string{"the token has Mail.Read, but not Mail.Send and Mail.ReadWrite", "grant Mail.Send and Mail.ReadWrite to the application"}},
		{name: "may not send", app: simulator.App{Roles: []string{"Mail.ReadWrite", "User.Read.All"}}, mailbox: "anna@contoso.test", readable: true,
			faults: []string{"the token has Mail.ReadWrite, but not Mail.Send"}},
		{name: "may not send, no mailbox", app: simulator.App{Roles: []string{"Mail.ReadWrite", "User.Read.All"}}, warns: []string{"--mailbox"},
			faults: []string{"the token has Mail.ReadWrite, but not Mail.Send"}},
		{name: "rights by RBAC", app: simulator.App{Roles: []string{"User.Read.All"}, RBAC: all}, mailbox: "anna@contoso.test", readable: true, byRBAC: true},
		{name: "one right by RBAC", app: simulator.App{Roles: []string{"Mail.Send", "User.Read.All"}, RBAC: []string{"Mail.ReadWrite"}}, mailbox: "anna@contoso.test", readable: true},
		{name: "RBAC without sending", app: simulator.App{Roles: []string{"User.Read.All"}, RBAC: []string{"Mail.ReadWrite"}}, mailbox: "anna@contoso.test", readable: true,
			faults: []string{"anna@contoso.test: the application has no Mail.Send here", `New-ManagementRoleAssignment -App 22222222-2222-2222-2222-222222222222 -Role "Application Mail.Send"`,
				"Test-ServicePrincipalAuthorization -Identity 22222222-2222-2222-2222-222222222222 -Resource anna@contoso.test"}},
		{name: "RBAC without writing", app: simulator.App{Roles: []string{"User.Read.All"}, RBAC: []string{"Mail.Read", "Mail.Send"}}, mailbox: "anna@contoso.test", readable: true,
			faults: []string{"the application has no Mail.ReadWrite here", `-Role "Application Mail.ReadWrite"`}},
		{name: "RBAC, send only", app: simulator.App{Roles: []string{"User.Read.All"}, RBAC: []string{"Mail.Send"}}, mailbox: "anna@contoso.test", change: sendOnly, warns: []string{"with Mail.Send alone"}},
		{name: "RBAC, an answer that says nothing", app: simulator.App{Roles: []string{"User.Read.All"}, RBAC: all}, mailbox: "anna@contoso.test", readable: true, byRBAC: true,
			fault:    &simulator.Fault{Operation: simulator.OpSend, Status: 400, Code: "ErrorNew"},
			notTried: "whether the application has Mail.Send and Mail.ReadWrite, which is not in the token: RBAC"},
		{name: "RBAC, where Graph looks for the item first", app: simulator.App{Roles: []string{"User.Read.All"}, RBAC: []string{"Mail.ReadWrite"}}, mailbox: "anna@contoso.test", readable: true, byRBAC: true,
			world: simulator.World{ItemFirst: true}}, // it cannot be seen then
		{name: "every mailbox of the configuration", change: manyMailboxes, faults: []string{"mailbox missing1@contoso.test: ", "mailbox unknown2@contoso.test: "}},
		{name: "denied", mailbox: "anna@contoso.test", world: simulator.World{Denied: []string{"*"}},
			faults: []string{"ErrorAccessDenied", "up to two hours", "Test-ServicePrincipalAuthorization -Identity"}},
		{name: "old policy", mailbox: "anna@contoso.test", world: simulator.World{Denied: []string{"*"}, DeniedByPolicy: true}, faults: []string{"[RAOP]", "Test-ApplicationAccessPolicy"}},
		{name: "moving", mailbox: "anna@contoso.test", world: simulator.World{Moving: []string{"*"}}, faults: []string{"ErrorMailboxMoveInProgress", "nothing has to be done"}},
		{name: "moving, 503", mailbox: "anna@contoso.test", world: simulator.World{Moving: []string{"*"}, MoveStatus: 503}, faults: []string{"503", "nothing has to be done"}},
		{name: "elsewhere", mailbox: "anna@contoso.test", world: simulator.World{Elsewhere: []string{"*"}}, faults: []string{"ResourceNotFound", "on-premises or in another tenant"}},
		{name: "no permission at all", mailbox: "anna@contoso.test", fault: refusal(401, "NoPermissionsInAccessToken"), faults: []string{"the token has no permission for Graph; grant"}},
		{name: "busy", mailbox: "anna@contoso.test", fault: refusal(503, ""), faults: []string{"try again in a few minutes"}},
		{name: "unknown refusal", mailbox: "anna@contoso.test", fault: refusal(400, "ErrorNew"), faults: []string{"ErrorNew", "look its code up"}},
		{name: "Conditional Access", mailbox: "anna@contoso.test", fault: login(400, "AADSTS53003"), faults: []string{"AADSTS53003", "Conditional Access blocked"}},
		{name: "application disabled", mailbox: "anna@contoso.test", fault: login(400, "AADSTS7000112"), faults: []string{"enable sign-in for it"}},
		{name: "no service principal", mailbox: "anna@contoso.test", fault: login(400, "AADSTS7000229"), faults: []string{"no service principal"}},
		{name: "application not assigned", mailbox: "anna@contoso.test", fault: login(400, "AADSTS501051"), faults: []string{"assign it"}},
		{name: "user not assigned", mailbox: "anna@contoso.test", fault: login(400, "AADSTS50105"), faults: []string{"assign it"}},
		{name: "directory does not know the application", mailbox: "anna@contoso.test", readable: true, fault: &simulator.Fault{Operation: simulator.OpFindUser, Status: 403, Code: "Authorization_IdentityNotFound"},
			warns: []string{"Authorization_IdentityNotFound", "does not know the application; check tenant"}},
		{name: "directory refuses otherwise", mailbox: "anna@contoso.test", readable: true, fault: &simulator.Fault{Operation: simulator.OpFindUser, Status: 403, Code: "AccessBlocked"},
			warns: []string{"AccessBlocked", "another reason than a missing User.Read.All"}},
		{name: "send only", app: simulator.App{Roles: []string{"Mail.Send"}}, mailbox: "anna@contoso.test", change: sendOnly, warns: []string{"with Mail.Send alone", "User.Read.All"}},
		{name: "more rights than used", mailbox: "anna@contoso.test", change: sendOnly, warns: []string{"mail_readwrite is false", "with Mail.Send alone"}},
		{name: "send only, with reports", app: simulator.App{Roles: []string{"Mail.Send", "User.Read.All"}}, mailbox: "anna@contoso.test", change: watching(sendOnly),
			faults: []string{"the token has Mail.Send, but not Mail.Read", "watch_reports needs Mail.Read for this mailbox"}},
		{name: "may read, with reports", app: simulator.App{Roles: []string{"Mail.Send", "Mail.Read", "User.Read.All"}}, mailbox: "anna@contoso.test", change: watching(sendOnly), readable: true},
		{name: "may write, with reports", mailbox: "anna@contoso.test", change: watching(nil), readable: true},
		{name: "login down", mailbox: "anna@contoso.test", change: func(c *config.Config) { c.Connections[0].Endpoints.Login = "http://127.0.0.1:1" }, faults: []string{"check the network"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.app.Roles == nil {
				tt.app.Roles = all
			}
			s, url := Simulate(t, simulator.Options{Apps: []simulator.App{tt.app}, Users: []simulator.User{{Address: "anna@contoso.test", Aliases: []string{"sales@contoso.test"}}},
				World: tt.world})
			if tt.fault != nil {
				if _, err := s.AddFault(*tt.fault); err != nil {
					t.Fatal(err)
				}
			}
			cfg := Settings(t, t.TempDir(), url, "")
			if tt.change != nil {
				tt.change(cfg)
			}
			got := checkOnline(t, cfg, &cfg.Connections[0], tt.mailbox)
			if got.Good != (len(tt.faults) == 0) || got.Readable != tt.readable {
				t.Errorf("got %+v", got)
			}
			if tried := !got.TokenUntil.IsZero(); tried && !strings.Contains(got.NotTried[len(got.NotTried)-1], "nothing was written or sent") ||
				!strings.Contains(strings.Join(got.NotTried, "\n"), tt.notTried) || tt.notTried == "" && len(got.NotTried) > 1 {
				t.Errorf("not tried: %q", got.NotTried)
			}
			wantAll(t, "faults", got.Faults, tt.faults)
			wantAll(t, "warnings", got.Warnings, tt.warns)
			if got.Good && tt.change == nil && !tt.byRBAC && (got.TokenUntil.Before(time.Now()) || !strings.Contains(strings.Join(got.Rights, " "), "Mail.Send")) {
				t.Errorf("the token: %v, %v", got.TokenUntil, got.Rights)
			}
			if got.ClockAhead > 2 || got.ClockAhead < -2 {
				t.Errorf("clock %v", got.ClockAhead)
			}
			if text, err := json.Marshal(got); err != nil || strings.Contains(string(text), "simulated") {
				t.Errorf("%s, %v", text, err)
			}
		})
	}
}

// manyMailboxes names mailboxes in rules and users, two of which do not exist.
func manyMailboxes(c *config.Config) {
	for _, address := range []string{"anna@contoso.test", "missing1@contoso.test", "Anna@contoso.test", "bob@contoso.test"} {
		c.Senders = append(c.Senders, config.Sender{Mailbox: address})
	}
	for _, address := range []string{"unknown2@contoso.test", "*@contoso.test", "carl@elsewhere.test"} {
		p, err := config.ParsePattern(address)
		if err != nil {
			panic(err)
		}
		c.Users = append(c.Users, config.User{Senders: []config.Pattern{p}})
	}
}

// TestCheckOnlineScopes checks that rights which RBAC for Applications gives in one mailbox alone
// are missed in the other.
func TestCheckOnlineScopes(t *testing.T) {
	s, url := Simulate(t, simulator.Options{Apps: []simulator.App{{Roles: []string{}}}})
	cfg := Settings(t, t.TempDir(), url, "")
	cfg.Connections[0].Directory = config.DirectoryOff
	id := cfg.Connections[0].ClientID
	s.GrantRBAC(id, []string{"Mail.ReadWrite", "Mail.Send"}, []string{"anna@contoso.test"})
	s.GrantRBAC(id, []string{"Mail.ReadWrite"}, []string{"bob@contoso.test"})
	for _, address := range []string{"anna@contoso.test", "bob@contoso.test"} {
		cfg.Senders = append(cfg.Senders, config.Sender{Mailbox: address})
	}
	got := checkOnline(t, cfg, &cfg.Connections[0], "")
	if len(got.Faults) != 1 || !strings.Contains(got.Faults[0], "mailbox bob@contoso.test: the application has no Mail.Send here") {
		t.Errorf("faults %q", got.Faults)
	}
	if len(got.Mailboxes) != 2 || got.Mailboxes[0].Send != connection.RightTried || got.Mailboxes[0].Write != connection.RightTried || got.Mailboxes[1].Send != connection.RightRefused {
		t.Errorf("mailboxes %+v", got.Mailboxes)
	}
	if items := s.Messages(""); len(items) != 0 {
		t.Errorf("the check left %+v", items)
	}
	if sent := s.Ledger(); len(sent) != 0 {
		t.Errorf("the check sent %+v", sent)
	}
}

// watching has reports watched too.
func watching(change func(*config.Config)) func(*config.Config) {
	return func(c *config.Config) {
		if change != nil {
			change(c)
		}
		c.Connections[0].WatchReports = true
	}
}

// wantAll fails the test unless each text is in one of the lines. Without texts there
// must be no lines.
func wantAll(t *testing.T, what string, lines, texts []string) {
	t.Helper()
	all := strings.Join(lines, "\n")
	for _, text := range texts {
		if !strings.Contains(all, text) {
			t.Errorf("%s without %q:\n%s", what, text, all)
		}
	}
	if len(texts) == 0 && len(lines) > 0 || strings.Count(all, "\n") != max(len(lines)-1, 0) {
		t.Errorf("%s: %q", what, lines)
	}
}

// For a connection to which owners sign in, the check reports how many mailboxes can
// send, and which cannot.
func TestCheckOnlineOwners(t *testing.T) {
	r := startOwners(t, simulator.Options{SendDelay: -1})
	check := func() connection.Check {
		return checkOnline(t, r.cfg, &r.cfg.Connections[0], "")
	}
	if got := check(); !got.Good || got.Connected != 0 || len(got.Warnings) != 1 {
		t.Errorf("none: %+v", got)
	}
	k := r.connector()
	for _, address := range []string{"anna@contoso.test", "bob@contoso.test"} {
		if _, err := r.signIn(k, address, address); err != nil {
			t.Fatal(err)
		}
	}
	if got := check(); !got.Good || got.Connected != 2 || !got.Readable || len(got.Warnings) != 0 {
		t.Errorf("two: %+v", got)
	}
	r.sim.Revoke("anna@contoso.test")
	if got := check(); got.Good || len(got.Faults) != 1 {
		t.Errorf("revoked, not known: %+v", got)
	}
	if got := check(); !got.Good || got.Connected != 1 || got.Mailbox != "bob@contoso.test" || len(got.Warnings) != 1 {
		t.Errorf("revoked: %+v", got)
	}
}

// The check warns of a wrong clock even if the sign-in works.
func TestCheckOnlineClock(t *testing.T) {
	s := simulator.New(simulator.Options{})
	t.Cleanup(s.Close)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		s.ServeHTTP(answer, r)
		maps.Copy(w.Header(), answer.Header())
		w.Header().Set("Date", time.Now().Add(-3*time.Minute).UTC().Format(http.TimeFormat))
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}))
	t.Cleanup(server.Close)
	cfg := Settings(t, t.TempDir(), server.URL, "")
	got := checkOnline(t, cfg, &cfg.Connections[0], "anna@contoso.test")
	if !got.Good || got.ClockAhead < 175 || got.ClockAhead > 200 || !strings.Contains(strings.Join(got.Warnings, "\n"), "set it by NTP") {
		t.Errorf("%+v", got)
	}
}

func checkOnline(t *testing.T, cfg *config.Config, c *config.Connection, mailbox string) connection.Check {
	t.Helper()
	checker, done := mailboxes.OpenChecker(t.Context(), cfg)
	defer done()
	return checker.Check(t.Context(), c, mailbox)
}
