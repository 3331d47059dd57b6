package inprocess

import (
	"fmt"
	"io/fs"
	"net/smtp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/internal/testlog"
)

// pickupSettings returns a configuration with a pickup folder, which it makes.
func pickupSettings(t *testing.T, data, url, folder string) string {
	t.Helper()
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`]
pickup: {folder: %q, settle: 1s, recipients: {deny: ["*@denied.test"]}}
limits: {recipients: 3}
senders: [{match: "*@crm.local", listeners: [pickup], mailbox: crm@contoso.test}] #`, filepath.ToSlash(folder))
}

// drop puts a complete file into a folder.
func drop(t *testing.T, folder, name, text string) {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := os.WriteFile(path+".tmp", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		t.Fatal(err)
	}
}

// waitReason waits for a bad file, and returns its reason.
func waitReason(t *testing.T, folder, name string) (reason string) {
	t.Helper()
	if !until(func() bool {
		found, _ := filepath.Glob(filepath.Join(folder, "badmail", "*-"+name))
		if len(found) != 1 {
			return false
		}
		text, err := os.ReadFile(found[0] + ".txt")
		reason = string(text)
		return err == nil
	}) {
		t.Fatalf("%s is not among the bad ones", name)
	}
	return reason
}

// TestPickup drops files, and follows them through the relay.
func TestPickup(t *testing.T) {
	t.Parallel()
	s, url := Simulate(t, simulator.Options{SendDelay: -1, RequireContract: true})
	dir := t.TempDir()
	data, folder, other := filepath.Join(dir, "data"), filepath.Join(dir, "pickup"), filepath.Join(dir, "other")
	var log testlog.Buffer
	r := Run(t, Settings(t, data, url, pickupSettings(t, data, url, folder)), &log)

	drop(t, folder, "Order 1.EML", "X-Sender: crm@crm.local\nX-Receiver: Anna <anna@example.test>\nX-Receiver: \"odd..name\"@example.test\nX-Receiver: größe@example.test\nFrom: CRM <crm@crm.local>\nTo: Anna <anna@example.test>\nSubject: Grüße\n\nbody\n")
	WaitSent(t, s, 1)
	sent := s.Sent()[0]
	bcc := []simulator.Address{{Address: `"odd..name"@example.test`}, {Address: "größe@example.test"}}
	if sent.Subject != "Grüße" || sent.From.Address != "crm@contoso.test" || !slices.Equal(sent.To, []simulator.Address{{Name: "Anna", Address: "anna@example.test"}}) || !slices.Equal(sent.Bcc, bcc) {
		t.Errorf("sent %+v", sent)
	}
	if text := fmt.Sprint(sent); strings.Contains(text, "X-Receiver") || strings.Contains(text, "X-Sender") {
		t.Errorf("the envelope is left in: %s", text)
	}

	for name, c := range map[string]struct{ text, want string }{
		"unknown.eml":   {"From: a@foreign.test\nTo: b@example.test\n\n", "No mailbox sends for"},
		"denied.eml":    {"From: a@contoso.test\nTo: b@denied.test\n\n", "is not allowed here"},
		"many.eml":      {"From: a@contoso.test\nTo: b@x.test, c@x.test, d@x.test, e@x.test\n\n", "takes 3 at most"},
		"local.eml":     {"From: a@contoso.test\nTo: root\n\n", "has no domain"},
		"no-sender.eml": {"To: b@example.test\n\n", "names no sender"},
		"quoted.eml":    {"X-Sender: \"a b\"@contoso.test\nTo: b@example.test\n\n", "needs quotes"},
	} {
		drop(t, folder, name, c.text)
		if got := waitReason(t, folder, name); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	metrics := r.Get(t, "/metrics")
	for _, line := range []string{`graphrelay_messages_accepted_total{listener="pickup"} 1`, `graphrelay_messages_rejected_total{listener="pickup",reason="sender"} 2`, `graphrelay_messages_rejected_total{listener="pickup",reason="recipient"} 3`, `graphrelay_messages_rejected_total{listener="pickup",reason="content"} 1`} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("the metrics lack %s", line)
		}
	}
	if !strings.Contains(log.String(), `"listener":"pickup"`) {
		t.Error("the log does not name the folder")
	}
	// The rule is for the folder alone.
	if err := smtp.SendMail(r.Address("127.0.0.1:0"), nil, "crm@crm.local", []string{"b@example.test"}, []byte("\r\n")); err == nil {
		t.Error("the rule holds for a listener")
	}

	// A reload changes the folder. What an earlier one has left is not taken.
	if err := r.Reload(Settings(t, data, url, pickupSettings(t, data, url, other))); err != nil {
		t.Fatal(err)
	}
	drop(t, folder, "old.eml", "From: a@contoso.test\nTo: b@example.test\nSubject: old\n\n")
	drop(t, other, "new.eml", "From: a@contoso.test\nTo: b@example.test\nSubject: new\n\n")
	WaitSent(t, s, 2)
	if got := s.Ledger()[1].Subject; got != "new" {
		t.Errorf("%q was sent", got)
	}
	if _, err := os.Stat(filepath.Join(folder, "old.eml")); err != nil {
		t.Error(err)
	}
	// And back: the relay itself does not keep the folder locked.
	if err := r.Reload(Settings(t, data, url, pickupSettings(t, data, url, folder))); err != nil {
		t.Fatal(err)
	}
	WaitSent(t, s, 3)

	// A folder that is gone is told of, and used again once it is back.
	if err := os.Rename(folder, folder+"-gone"); err != nil {
		t.Fatal(err)
	}
	if !until(func() bool { return strings.Contains(r.Get(t, "/readyz"), "pickup: the folder ") }) {
		t.Error("/readyz does not say that the folder is gone")
	}
	if err := os.Rename(folder+"-gone", folder); err != nil {
		t.Fatal(err)
	}
	drop(t, folder, "again.eml", "From: a@contoso.test\nTo: b@example.test\nSubject: again\n\n")
	WaitSent(t, s, 4)
	if left, err := fs.Glob(os.DirFS(folder), "*.eml"); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}

// TestPickupWaits has the queue be full: a file waits for room, as a client would.
func TestPickupWaits(t *testing.T) {
	t.Parallel()
	s, url := Simulate(t, simulator.Options{SendDelay: -1})
	dir := t.TempDir()
	data, folder := filepath.Join(dir, "data"), filepath.Join(dir, "pickup")
	settings := pickupSettings(t, data, url, folder)
	r := Run(t, Settings(t, data, url, strings.Replace(settings, "\nlimits:", "\nrates: {address: {messages_per_minute: 1}}\nlimits:", 1)), &testlog.Buffer{})
	for i := range 2 {
		drop(t, folder, fmt.Sprintf("%d.eml", i), "From: a@contoso.test\nTo: b@example.test\n\n")
	}
	WaitSent(t, s, 1)
	if !until(func() bool {
		return strings.Contains(r.Get(t, "/readyz"), "pickup: 1 files wait to be tried again; the last answer was: 450 ")
	}) {
		t.Errorf("/readyz does not say that a file waits: %s", r.Get(t, "/readyz"))
	}
	if err := r.Reload(Settings(t, data, url, settings)); err != nil {
		t.Fatal(err)
	}
	WaitSent(t, s, 2)
}
