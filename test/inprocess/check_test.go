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
	none := []string{}
	all := []string{"Mail.ReadWrite", "Mail.Send", "User.Read.All"}
	for _, tt := range []struct {
		name          string
		app           simulator.App
		change        func(*config.Config)
		mailbox       string
		fault         *simulator.Fault
		faults, warns []string
		readable      bool
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
		{name: "send only", app: simulator.App{Roles: []string{"Mail.Send"}}, mailbox: "anna@contoso.test", change: sendOnly, warns: []string{"with Mail.Send alone", "User.Read.All"}},
		{name: "more rights than used", mailbox: "anna@contoso.test", change: sendOnly, warns: []string{"mail_readwrite is false", "with Mail.Send alone"}},
		{name: "login down", mailbox: "anna@contoso.test", change: func(c *config.Config) { c.Connections[0].Endpoints.Login = "http://127.0.0.1:1" }, faults: []string{"check the network"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.app.Roles == nil {
				tt.app.Roles = all
			}
			s, url := Simulate(t, simulator.Options{Apps: []simulator.App{tt.app}, Users: []simulator.User{{Address: "anna@contoso.test", Aliases: []string{"sales@contoso.test"}}}})
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
			wantAll(t, "faults", got.Faults, tt.faults)
			wantAll(t, "warnings", got.Warnings, tt.warns)
			if got.Good && tt.change == nil && (got.TokenUntil.Before(time.Now()) || !strings.Contains(strings.Join(got.Rights, " "), "Mail.Send")) {
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
