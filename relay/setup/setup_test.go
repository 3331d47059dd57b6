package setup

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"graphrelay/graph/simulator"
	"graphrelay/relay/config"
)

// lags are delays of the directory that each set-up meets.
var lags = simulator.World{DirectoryLag: 60 * time.Millisecond, KeyLag: 150 * time.Millisecond, GrantLag: 150 * time.Millisecond}

func TestTenantWide(t *testing.T) {
	w := newTenant(t, lags)
	o := w.options(Choices{Scope: Tenant})
	o.AdminTokenEnv, o.cost = "", 0 // signs in with a code
	checked := ""
	o.Check = func(_ context.Context, file, mailbox string) bool { checked = file + " " + mailbox; return true }
	o.TestMail = "you@contoso.test"
	w.run(o)

	app := w.one()
	if got := strings.Join(app.Roles, " "); got != "Mail.ReadWrite Mail.Send User.Read.All" {
		t.Errorf("granted: %s", got)
	}
	if len(app.Keys) != 2 {
		t.Errorf("%d certificates are registered", len(app.Keys))
	}
	cfg := w.config()
	c := cfg.Connections[0]
	if c.ClientID != app.AppID || c.SignIn != config.SignInCertificate || c.Directory != config.DirectoryAuto || c.Name != "contoso" ||
		!slices.Contains(c.Domains, "contoso.test") || cfg.Delivery.Postmaster != scanner {
		t.Errorf("connection %+v, postmaster %s", c, cfg.Delivery.Postmaster)
	}
	password := strings.TrimSpace(w.read(strings.TrimSuffix(w.file, ".yaml") + ".password"))
	user := cfg.Users[0]
	hash := []byte(user.PasswordHash.Reveal())
	if err := bcrypt.CompareHashAndPassword(hash, []byte(password)); err != nil || len(password) < 20 {
		t.Errorf("the password %q: %v", password, err)
	}
	if cost, err := bcrypt.Cost(hash); err != nil || cost != bcrypt.DefaultCost {
		t.Errorf("the password's hash has cost %d, %v", cost, err)
	}
	if checked != w.file+" "+scanner {
		t.Errorf("checked: %q", checked)
	}
	if list := w.sim.Messages(scanner); len(list) != 1 || list[0].Subject != "graphrelay: test message" {
		t.Errorf("the test mail: %+v", list)
	}
	for _, path := range []string{w.file, statePath(w.file), strings.TrimSuffix(w.file, ".yaml") + ".password"} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	s := w.state()
	if s.Done.IsZero() || s.AppID != app.ObjectID || s.ClientID != app.AppID || s.Principal != app.Principal {
		t.Errorf("state %+v", s)
	}
	for _, want := range []string{app.AppID, app.ObjectID, app.Principal, "EVERY mailbox", "serve --config " + w.file} {
		if !strings.Contains(w.screen.String(), want) {
			t.Errorf("not shown: %s", want)
		}
	}
}

// TestNoSecrets: what Entra issues is in no file and on no screen.
func TestNoSecrets(t *testing.T) {
	w := newTenant(t, simulator.World{})
	o := w.options(Choices{Scope: Tenant})
	o.AdminTokenEnv = ""
	w.run(o)
	secrets := w.sim.Secrets()
	password := strings.TrimSpace(w.read(strings.TrimSuffix(w.file, ".yaml") + ".password"))
	if len(secrets) < 2 || w.state().Version == 0 {
		t.Fatal("nothing to look for")
	}
	if strings.Contains(w.screen.String(), password) || strings.Contains(w.read(w.file), password) {
		t.Error("the password is on the screen or in the configuration")
	}
	_ = filepath.WalkDir(filepath.Dir(w.file), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		for _, secret := range secrets {
			if strings.Contains(w.read(path), secret) {
				t.Errorf("%s has a secret of Entra's", path)
			}
		}
		return nil
	})
	for _, secret := range secrets {
		if strings.Contains(w.screen.String(), secret) {
			t.Error("a secret of Entra's is on the screen")
		}
	}
}

// TestLimited: without grants in Entra, the rights come from Exchange.
func TestLimited(t *testing.T) {
	w := newTenant(t, lags)
	o := w.options(Choices{Mailboxes: []string{scanner, "o'brien@contoso.test"}})
	if err := Run(t.Context(), o); !errors.Is(err, ErrUnfinished) {
		t.Fatalf("%v\n%s", err, w.screen.String())
	}
	app := w.one()
	if len(app.Roles) > 0 {
		t.Errorf("granted in Entra: %v", app.Roles)
	}
	if got := w.config().Connections[0].Directory; got != config.DirectoryOff {
		t.Errorf("directory: %s", got)
	}
	shown := strings.NewReplacer(app.AppID, "CLIENT-ID", app.Principal, "PRINCIPAL-ID", app.AppID[:8], "SHORT").Replace(w.screen.String())
	golden(t, "exchange.txt", between(shown, "if it is not there):\n\n", "\n\n"))
	golden(t, "exchange-remove.txt", strings.NewReplacer(app.AppID, "CLIENT-ID", app.Principal, "PRINCIPAL-ID", app.AppID[:8], "SHORT").Replace(indent(w.state().removeCommands()))+"\n")

	// The commands are pasted, and the same command goes on.
	w.sim.GrantRBAC(app.AppID, []string{"Mail.ReadWrite", "Mail.Send"}, o.Choices.Mailboxes)
	w.sim.SetWorld(simulator.World{RBACLag: 200 * time.Millisecond})
	o.RightsWait = time.Minute
	o.AdminTokenEnv = "" // nobody has to sign in again
	w.run(o)
	if s := w.state(); s.Rights.IsZero() || s.Done.IsZero() {
		t.Errorf("state %+v", s)
	}
	if w.one().AppID != app.AppID || !strings.Contains(w.screen.String(), "The rights have arrived") {
		t.Errorf("not shown that the rights have arrived:\n%s", w.screen.String())
	}
}

// TestRightsBounded: the wait for rights that never come has an end.
func TestRightsBounded(t *testing.T) {
	w := newTenant(t, simulator.World{})
	o := w.options(Choices{})
	o.RightsWait = 100 * time.Millisecond
	if err := Run(t.Context(), o); !errors.Is(err, ErrUnfinished) {
		t.Fatal(err)
	}
	if !strings.Contains(w.screen.String(), "The rights have not arrived") {
		t.Error(w.screen.String())
	}
}

func TestExistingFiles(t *testing.T) {
	for _, name := range []string{"relay.yaml", "relay.password", "certificate"} {
		w := newTenant(t, simulator.World{})
		path := filepath.Join(filepath.Dir(w.file), name)
		if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		w.refused(w.options(Choices{Scope: Tenant}), name, "exists")
		if len(w.sim.RegisteredApps()) > 0 || w.read(path) != "mine" {
			t.Errorf("%s: something was made", name)
		}
	}
	// A file that appears while the set-up runs stays too.
	w := newTenant(t, simulator.World{})
	o := w.options(Choices{Scope: Tenant})
	o.before = func(step string) error {
		if step == "write relay.yaml" {
			return os.WriteFile(w.file, []byte("mine"), 0o600)
		}
		return nil
	}
	w.refused(o, "nothing is overwritten")
	if w.read(w.file) != "mine" {
		t.Error("the file was overwritten")
	}
}

func TestNotAdministrator(t *testing.T) {
	w := newTenant(t, simulator.World{})
	o := w.options(Choices{Scope: Tenant})
	o.AdminTokenEnv = ""
	w.screen.account = "user@contoso.test"
	w.refused(o, "Cloud Application Administrator")

	// Where consent was given before, the request is refused instead.
	w.sim.SetWorld(simulator.World{ClientConsented: true})
	w.refused(o, "Cloud Application Administrator", "403")
	if len(w.sim.RegisteredApps()) > 0 {
		t.Error("an application was made")
	}
	// An administrator takes it up.
	w.screen.account = administrator
	w.run(o)
	w.one()
}

func TestUndo(t *testing.T) {
	w := newTenant(t, lags)
	_, other, err := w.sim.RegisterApp("graphrelay", nil, "Mail.Send")
	if err != nil {
		t.Fatal(err)
	}
	o := w.options(Choices{Scope: Tenant})
	w.run(o)
	if err := Undo(t.Context(), o, false); err == nil || len(w.apps()) != 2 {
		t.Fatalf("undone without a confirmation: %v", err)
	}
	if err := Undo(t.Context(), o, true); err != nil {
		t.Fatal(err)
	}
	if left := w.one(); left.AppID != other {
		t.Errorf("left: %+v", left)
	}
	if err := Undo(t.Context(), o, true); !errors.Is(err, ErrNoSetup) {
		t.Errorf("a second undo: %v", err)
	}
	if !strings.Contains(w.read(w.file), "connections") {
		t.Error("the configuration is gone")
	}
}

// TestUndoInterrupted: an undo whose answers are lost, or that is killed, goes on.
func TestUndoInterrupted(t *testing.T) {
	w := newTenant(t, lags)
	o := w.options(Choices{Scope: Tenant})
	w.run(o)
	w.onRequest(func(r *http.Request) bool { return r.Method == http.MethodDelete })
	o.before = func(string) error { return errKilled }
	if err := Undo(t.Context(), o, true); !errors.Is(err, errKilled) || len(w.apps()) != 1 {
		t.Fatalf("killed: %v, %d applications", err, len(w.apps()))
	}
	o.before = nil
	if err := Undo(t.Context(), o, true); err == nil || len(w.apps()) != 0 {
		t.Fatalf("the answer was lost: %v, %d applications", err, len(w.apps()))
	}
	w.onRequest(nil)
	if err := Undo(t.Context(), o, true); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(statePath(w.file)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the state is there still: %v", err)
	}
}

// TestUndoUnanswered: what was registered without an answer is found by its tag and removed.
func TestUndoUnanswered(t *testing.T) {
	w := newTenant(t, lags)
	o := w.options(Choices{Scope: Tenant})
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	w.killAfter(kill, func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Path == "/v1.0/applications" })
	if err := Run(ctx, o); err == nil || len(w.apps()) != 1 {
		t.Fatalf("%v, %d applications", err, len(w.apps()))
	}
	w.onRequest(nil)
	if err := Undo(t.Context(), o, true); err != nil || len(w.apps()) != 0 {
		t.Errorf("%v, %d applications left", err, len(w.apps()))
	}
}

// TestUndoForeign: an application without the mark is not removed, whatever the state says.
func TestUndoForeign(t *testing.T) {
	w := newTenant(t, simulator.World{})
	object, other, err := w.sim.RegisterApp("theirs", nil)
	if err != nil {
		t.Fatal(err)
	}
	o := w.options(Choices{Scope: Tenant})
	w.run(o)
	s := w.state()
	s.AppID, s.ClientID = object, other
	if err := s.save(statePath(w.file)); err != nil {
		t.Fatal(err)
	}
	if err := Undo(t.Context(), o, true); err == nil || !strings.Contains(err.Error(), "does not carry the tag") {
		t.Errorf("undo: %v", err)
	}
	if len(w.apps()) != 2 {
		t.Errorf("left: %+v", w.apps())
	}
}

var errKilled = errors.New("killed")

// TestInterrupted: a set-up that is killed before any of its steps goes on where it stopped.
func TestInterrupted(t *testing.T) {
	for kill := 1; ; kill++ {
		w := newTenant(t, lags)
		o := w.options(Choices{Scope: Tenant})
		steps, last := 0, ""
		o.before = func(step string) error {
			if steps++; steps == kill {
				last = step
				return errKilled
			}
			return nil
		}
		if err := Run(t.Context(), o); err == nil {
			if kill < 10 {
				t.Fatalf("only %d steps", kill)
			}
			return
		} else if !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		o.before = nil
		w.run(o)
		if app := w.one(); len(app.Roles) != 3 || len(app.Keys) != 2 {
			t.Errorf("killed before %q: %+v", last, app)
		}
		w.config()
	}
}

// TestLostAnswers: a set-up whose request had its effect while the answer was lost goes on,
// whether it was killed with it or not, and there is one application in the end.
func TestLostAnswers(t *testing.T) {
	for _, killed := range []bool{true, false} {
		if testing.Short() && !killed {
			continue
		}
		for n := 1; ; n++ {
			w := newTenant(t, lags)
			o := w.options(Choices{Scope: Tenant})
			o.pace.settle = 20 * time.Second // longer than any delay of a busy machine
			ctx, kill := context.WithCancel(t.Context())
			requests, lost := 0, ""
			w.killAfter(func() {
				if killed {
					kill()
				}
			}, func(r *http.Request) bool {
				if requests++; requests == n {
					lost = r.Method + " " + r.URL.Path
				}
				return requests == n
			})
			err := Run(ctx, o)
			kill()
			w.onRequest(nil)
			if lost == "" {
				if n < 8 {
					t.Fatalf("only %d requests", n)
				}
				break
			}
			if err != nil {
				w.run(o)
			}
			if app := w.one(); len(app.Roles) != 3 || len(w.sim.RegisteredApps()) != 1 {
				t.Errorf("lost the answer to %s (killed: %v): %+v, of %d that were made", lost, killed, app, len(w.sim.RegisteredApps()))
			}
		}
	}
}

// TestLateRegistration: a registration whose answer was lost, and that is found only after
// another one was made, is removed.
func TestLateRegistration(t *testing.T) {
	w := newTenant(t, simulator.World{DirectoryLag: 2 * time.Second})
	o := w.options(Choices{Scope: Tenant})
	o.pace.settle = time.Millisecond
	once := true
	w.onRequest(func(r *http.Request) bool {
		lost := once && r.Method == http.MethodPost && r.URL.Path == "/v1.0/applications"
		once = once && !lost
		return lost
	})
	w.run(o)
	if len(w.sim.RegisteredApps()) != 2 {
		t.Fatal("one registration only")
	}
	if app := w.one(); app.AppID != w.state().ClientID || len(app.Roles) != 3 {
		t.Errorf("left: %+v", app)
	}
}

// TestTagsNotSearched: where the directory refuses to search for tags, applications are found
// by their name, of which those with the tag of the set-up are taken.
func TestTagsNotSearched(t *testing.T) {
	w := newTenant(t, lags)
	if _, _, err := w.sim.RegisterApp("graphrelay", nil); err != nil {
		t.Fatal(err)
	}
	w.refuse = func(r *http.Request) bool {
		return strings.Contains(r.URL.RawQuery, "tags") && strings.Contains(r.URL.RawQuery, "any")
	}
	o := w.options(Choices{Scope: Tenant})
	o.pace.settle = 20 * time.Second
	once := true
	w.onRequest(func(r *http.Request) bool {
		lost := once && r.Method == http.MethodPost && r.URL.Path == "/v1.0/applications"
		once = once && !lost
		return lost
	})
	w.run(o)
	if len(w.apps()) != 2 {
		t.Errorf("registered: %+v", w.apps())
	}
	if err := Undo(t.Context(), o, true); err != nil || len(w.apps()) != 1 {
		t.Errorf("undo: %v, %d applications", err, len(w.apps()))
	}
}

// TestOtherChoices: a set-up that was begun does not go on with other choices.
func TestOtherChoices(t *testing.T) {
	w := newTenant(t, simulator.World{})
	o := w.options(Choices{Scope: Tenant})
	o.before = func(step string) error {
		if step == "tenant" {
			return errKilled
		}
		return nil
	}
	w.refused(o, "killed")
	o.before = nil
	o.Choices.Scope = Limited
	w.refused(o, "scope", "--undo")
}

// between returns the text between two others.
func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, _ = strings.Cut(s, to)
	return s + "\n"
}
