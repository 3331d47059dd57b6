package inprocess

import (
	"errors"
	"io"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/relay/operations"
	"graphrelay/relay/trial"
)

// only returns the one connection of a relay.
func only(t *testing.T, r *Running) operations.Connection {
	t.Helper()
	list, err := r.Connections(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatalf("connections are %+v, %v", list, err)
	}
	return list[0]
}

// ended waits for the end of the trial of the connection.
func ended(t *testing.T, r *Running) trial.Trial {
	t.Helper()
	if !until(func() bool { c := only(t, r); return c.Trial != nil && c.Trial.Ended != nil }) {
		t.Fatal("the trial does not end")
	}
	return *only(t, r).Trial
}

// TestConnectionStates follows a connection whose sign-in fails, is paused for it, and works again.
func TestConnectionStates(t *testing.T) {
	sim, url := Simulate(t, simulator.Options{})
	cfg := Settings(t, t.TempDir(), url, "")
	r := Run(t, cfg, io.Discard)
	if c := only(t, r); c.State != operations.ConnectionUnknown || c.Credential != "client secret" || c.Expires != nil || c.LastToken != nil {
		t.Errorf("at the start: %+v", c)
	}
	if _, err := sim.AddFault(simulator.Fault{Operation: simulator.OpToken, Status: 401, Code: "invalid_client", Message: "AADSTS7000222: The provided client secret simulated is expired"}); err != nil {
		t.Fatal(err)
	}
	if err := r.Send(cfg.Listeners[0].Address, "one"); err != nil {
		t.Fatal(err)
	}
	if !until(func() bool { return only(t, r).State == operations.ConnectionPaused }) {
		t.Fatalf("after a refusal: %+v", only(t, r))
	}
	c := only(t, r)
	if !c.SignInFailing || c.PausedFor != "sign_in" || !strings.Contains(c.LastError, "AADSTS7000222") || strings.Contains(c.LastError, "simulated") {
		t.Errorf("while it is paused: %+v", c)
	}
	sim.ClearFaults()
	if _, err := (operations.Local{Store: r.Store, Connections: func() []string { return []string{"contoso"} }}).Resume(t.Context(), "anna", "contoso"); err != nil {
		t.Fatal(err)
	}
	WaitSent(t, sim, 1)
	if !until(func() bool { return only(t, r).Requests >= 2 }) { // the answer to the last one may be on its way
		t.Error("its requests are not counted")
	}
	if c := only(t, r); c.State != operations.ConnectionWorking || c.LastToken == nil || c.SignInFailing {
		t.Errorf("when it works again: %+v", c)
	}
}

// TestTrials checks a connection, finds a fault, probes it, and stops in the middle.
func TestTrials(t *testing.T) {
	sim, url := Simulate(t, simulator.Options{Deliver: true, MessageFlags: true})
	cfg := Settings(t, t.TempDir(), url, "")
	r := Run(t, cfg, io.Discard)
	try := func(q trial.Request) error { return r.TryConnection(t.Context(), "anna", q) }
	if err := try(trial.Request{Connection: "other"}); !errors.Is(err, trial.ErrUnknown) {
		t.Errorf("an unknown connection: %v", err)
	}
	if err := try(trial.Request{Connection: "contoso", Probe: true}); !errors.Is(err, trial.ErrNoMailbox) {
		t.Errorf("a probe without a mailbox: %v", err)
	}
	if err := r.StopTrial(t.Context(), "anna"); !errors.Is(err, trial.ErrNotRunning) {
		t.Errorf("nothing runs: %v", err)
	}
	if err := try(trial.Request{Connection: "contoso", Mailbox: "anna@contoso.test"}); err != nil {
		t.Fatal(err)
	}
	done := ended(t, r)
	if !done.Good || done.By != "anna" || done.Probe || len(done.Lines) < 3 || done.Lines[len(done.Lines)-1].Tone != trial.Warning {
		t.Errorf("the check: %+v", done)
	}
	if c := only(t, r); c.Checked == nil || len(c.Checked.Check.Rights) != 2 || !c.Checked.Check.Good {
		t.Errorf("what was found: %+v", c.Checked)
	}
	if _, err := sim.AddFault(simulator.Fault{Operation: simulator.OpToken, Status: 401, Code: "invalid_client", Message: "AADSTS7000222"}); err != nil {
		t.Fatal(err)
	}
	if err := try(trial.Request{Connection: "contoso"}); err != nil {
		t.Fatal(err)
	}
	if done = ended(t, r); done.Good || done.Lines[0].Tone != trial.Fault || !strings.Contains(done.Lines[0].Text, "make a new one") {
		t.Errorf("the check of a secret that has expired: %+v", done)
	}
	sim.ClearFaults()
	if err := try(trial.Request{Connection: "contoso", Probe: true, Mailbox: "anna@contoso.test"}); err != nil {
		t.Fatal(err)
	}
	if err := try(trial.Request{Connection: "contoso"}); !errors.Is(err, trial.ErrRunning) {
		t.Errorf("a second trial at a time: %v", err)
	}
	if !until(func() bool { return only(t, r).Trial.Step >= 3 }) {
		t.Fatal("the probe makes no progress")
	}
	if err := r.StopTrial(t.Context(), "otto"); err != nil {
		t.Fatal(err)
	}
	if done = ended(t, r); !done.Stopped || done.Good || done.Steps != 20 || done.Step < 3 {
		t.Errorf("a probe that was stopped: %+v", done)
	}
	audits, err := r.Store.Audits(t.Context(), 10)
	if err != nil || len(audits) != 4 || audits[2].Action != "probe connection" || audits[3].By != "otto" {
		t.Errorf("audits: %+v, %v", audits, err)
	}
	if err := try(trial.Request{Connection: "contoso", Probe: true, Mailbox: "anna@contoso.test"}); err != nil {
		t.Fatal(err)
	}
	if err := r.Stop(); err != nil { // ends the probe too
		t.Fatal(err)
	}
	if err := try(trial.Request{Connection: "contoso"}); !errors.Is(err, trial.ErrStopping) {
		t.Errorf("a trial begins after the stop: %v", err)
	}
}
