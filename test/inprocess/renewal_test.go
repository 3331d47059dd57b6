package inprocess

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/internal/testlog"
	"graphrelay/relay/config"
	"graphrelay/relay/connection"
	"graphrelay/relay/credential"
	"graphrelay/relay/mailboxes"
)

// managedRig returns a simulator, and a configuration whose application signs in with
// certificates that the relay made at a time and renews.
func managedRig(t *testing.T, made time.Time) (*simulator.Simulator, *config.Config) {
	t.Helper()
	sim, url := Simulate(t, simulator.Options{SendDelay: -1, Mailboxes: []string{"contoso.test"}})
	s, err := credential.Create(filepath.Join(t.TempDir(), "certificates"), "relay.test", made)
	if err != nil {
		t.Fatal(err)
	}
	var ders [][]byte
	for _, c := range s.Certificates() {
		ders = append(ders, c.Raw)
	}
	objectID, clientID, err := sim.RegisterApp("relay", ders, "Mail.ReadWrite", "Mail.Send")
	if err != nil {
		t.Fatal(err)
	}
	keys := sim.RegisteredApps()[0].Keys
	if err := s.Register(objectID, keys[0].KeyID, keys[1].KeyID); err != nil {
		t.Fatal(err)
	}
	cfg := Settings(t, t.TempDir(), url, "")
	c := &cfg.Connections[0]
	c.SignIn, c.Tenant, c.ClientID, c.ClientSecret = config.SignInCertificate, "contoso.test", clientID, config.Secret{}
	c.CertificateDirectory, c.Managed = s.Dir(), open(t, s.Dir())
	return sim, cfg
}

func open(t *testing.T, dir string) *credential.Store {
	t.Helper()
	s, err := credential.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The relay renews a certificate that has lived half of its life, while it sends, and goes on
// with the new one after a reload.
func TestCertificateRenewsItself(t *testing.T) {
	sim, cfg := managedRig(t, time.Now().AddDate(0, 0, -200))
	old := cfg.Connections[0].Managed.Certificates()[0]
	log := &testlog.Buffer{}
	r := Run(t, cfg, log)
	if err := r.Send("127.0.0.1:0", "before"); err != nil {
		t.Fatal(err)
	}
	WaitSent(t, sim, 1)
	renewed := func() bool { return !open(t, cfg.Connections[0].CertificateDirectory).Certificates()[0].Equal(old) }
	if !until(renewed) || len(sim.RegisteredApps()[0].Keys) != 3 {
		t.Fatalf("not renewed:\n%s", log.String())
	}
	next := *cfg
	next.Connections = []config.Connection{cfg.Connections[0]}
	next.Connections[0].Managed = open(t, cfg.Connections[0].CertificateDirectory)
	if err := r.Reload(&next); err != nil {
		t.Fatal(err)
	}
	end := open(t, cfg.Connections[0].CertificateDirectory).Certificates()[0].NotAfter
	series := fmt.Sprintf("graphrelay_credential_expiry_timestamp_seconds{connection=\"contoso\"} %v\n", float64(end.Unix()))
	if body := r.Get(t, "/metrics"); !strings.Contains(body, series) {
		t.Errorf("the metric has not the new date, %s", series)
	}
	if got := r.Get(t, "/readyz"); got != "200 ready\n" {
		t.Errorf("/readyz: %q", got)
	}
	if err := r.Send("127.0.0.1:0", "after"); err != nil {
		t.Fatal(err)
	}
	WaitSent(t, sim, 2)
	for _, want := range []string{"made a new certificate", "registered a new certificate", "use the new certificate"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q", want)
		}
	}
	for _, secret := range append(sim.Secrets(), "PRIVATE KEY") {
		if strings.Contains(log.String(), secret) {
			t.Error("the log has a secret")
		}
	}
}

// Without renewal, and with the owner's own files, nothing is renewed, written or removed.
func TestCertificateIsNotRenewed(t *testing.T) {
	for _, own := range []bool{false, true} {
		sim, cfg := managedRig(t, time.Now().AddDate(0, 0, -200))
		c := &cfg.Connections[0]
		dir := c.CertificateDirectory
		c.CertificateRenewal = own
		if own {
			pair := c.Managed.TLS()
			c.Certificate, c.Managed = &pair, nil
		}
		before := contents(t, dir)
		r := Run(t, cfg, &testlog.Buffer{})
		for n := range 2 { // the second time, the maintenance has begun
			if err := r.Send("127.0.0.1:0", "s"); err != nil {
				t.Fatal(err)
			}
			WaitSent(t, sim, n+1)
		}
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
		if after := contents(t, dir); after != before || sim.Stats().Calls[simulator.OpAddKey] != 0 {
			t.Errorf("own files %v: changed\n%s\nto\n%s", own, before, after)
		}
	}
}

// contents lists the files of a folder with their times and contents.
func contents(t *testing.T, dir string) (list string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		info, infoErr := e.Info()
		if err != nil || infoErr != nil {
			t.Fatal(err, infoErr)
		}
		list += fmt.Sprintln(e.Name(), info.ModTime(), string(data))
	}
	return list
}

// Without its current certificate, the relay signs in with the standby, and makes another.
// check --online tells of a standby that Entra does not accept.
func TestStandbyTakesOver(t *testing.T) {
	sim, cfg := managedRig(t, time.Now())
	c := &cfg.Connections[0]
	state, err := os.ReadFile(filepath.Join(c.CertificateDirectory, "state.json"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(state), `"file": "`)
	name, _, _ := strings.Cut(after, `"`)
	if err := os.WriteFile(filepath.Join(c.CertificateDirectory, name), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Managed = open(t, c.CertificateDirectory)
	check := func() connection.Check {
		checker, done := mailboxes.OpenChecker(t.Context(), cfg)
		defer done()
		return checker.Check(t.Context(), c, "anna@contoso.test")
	}
	if got := check(); !got.Good || !strings.Contains(strings.Join(got.Warnings, "\n"), "current certificate cannot be used") {
		t.Errorf("check: %+v", got)
	}
	log := &testlog.Buffer{}
	r := Run(t, cfg, log)
	if err := r.Send("127.0.0.1:0", "s"); err != nil {
		t.Fatal(err)
	}
	WaitSent(t, sim, 1)
	until(func() bool { return len(open(t, c.CertificateDirectory).Certificates()) == 2 })
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
	c.Managed = open(t, c.CertificateDirectory)
	if got := check(); !got.Good || strings.Contains(strings.Join(got.Warnings, "\n"), "certificate") || len(got.Certificates) < 2 {
		t.Errorf("after the renewal: %+v\n%s", got, log.String())
	}
	if _, c.ClientID, err = sim.RegisterApp("another", [][]byte{c.Managed.Certificates()[0].Raw}, "Mail.ReadWrite", "Mail.Send"); err != nil {
		t.Fatal(err)
	}
	if got := check(); !got.Good || !strings.Contains(strings.Join(got.Warnings, "\n"), "the standby certificate gets no token") {
		t.Errorf("with a standby that is not registered: %+v", got)
	}
}

// A renewal that has failed for a week shows on /readyz, with what Entra says.
func TestOverdueRenewal(t *testing.T) {
	sim, cfg := managedRig(t, time.Now().AddDate(0, 0, -192))
	if err := sim.ChangeWorld(func(w *simulator.World) { w.KeyRollDenied = true }); err != nil {
		t.Fatal(err)
	}
	r := Run(t, cfg, &testlog.Buffer{})
	var got string
	until(func() bool {
		got = r.Get(t, "/readyz")
		return strings.Contains(got, "Authorization_RequestDenied")
	})
	for _, want := range []string{"200 ready\nthe relay cannot renew the certificate of connection contoso, which expires on ", "has been due since", "Authorization_RequestDenied", "docs/sign-in.md"} {
		if !strings.Contains(got, want) {
			t.Errorf("/readyz lacks %q: %s", want, got)
		}
	}
	if err := r.Send("127.0.0.1:0", "s"); err != nil {
		t.Error(err)
	}
	WaitSent(t, sim, 1)
}
