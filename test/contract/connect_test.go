package contract

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

// submitAs sends a message as the SMTP user of a connected mailbox.
func submitAs(t *testing.T, r *harness.Relay, user, password, subject string) {
	t.Helper()
	d, err := r.DialOnly("submission")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Ask(235, "AUTH PLAIN %s", harness.PlainResponse(user, password)); err != nil {
		t.Fatal(err)
	}
	message := strings.NewReader("From: <" + user + ">\r\nTo: <bert@example.test>\r\nSubject: " + subject + "\r\n\r\ntext\r\n")
	if _, err := d.Submit(user, []string{"bert@example.test"}, message); err != nil {
		t.Fatal(err)
	}
}

// An owner connects a mailbox with a device code, sends, and connects it again after the
// consent was revoked. The mail that was held in between is sent.
func TestConnectCommand(t *testing.T) {
	t.Parallel()
	sim := harness.ServeSim(t, simulator.Options{DeviceInterval: time.Second})
	r := harness.StartOwners(t, sim)
	if got := r.Connect(t, "anna@contoso.test", "mallory@contoso.test"); got.Status != 1 || !strings.Contains(got.Stdout, "may not use the mailbox anna@contoso.test") {
		t.Errorf("as another: status %d\n%s", got.Status, got.Stdout)
	}
	got := r.Connect(t, "Anna@contoso.test", "anna@contoso.test")
	password := harness.SMTPPassword.FindStringSubmatch(got.Stdout)
	if got.Status != 0 || password == nil {
		t.Fatalf("status %d\n%s", got.Status, got.Stdout)
	}
	submitAs(t, r, "anna@contoso.test", password[1], "first")
	sim.Sent(t, "anna@contoso.test", "first")

	request, _ := http.NewRequest(http.MethodDelete, sim.URL+"/_simulator/consent?mailbox=anna@contoso.test", nil)
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	submitAs(t, r, "anna@contoso.test", password[1], "second")
	harness.WaitFor(t, "a held message", func() bool {
		list := harness.Command(t, "", "queue", "list", "--state", "held", "--json", "--config", r.Config)
		return strings.Contains(list.Stdout, `"not_connected"`)
	})
	if list := harness.Command(t, "", "connect", "--list", "--config", r.Config); !strings.Contains(list.Stdout, "to be connected again: AADSTS50173") {
		t.Errorf("list:\n%s%s", list.Stdout, list.Stderr)
	}
	if got := r.Connect(t, "anna@contoso.test", "anna@contoso.test"); got.Status != 0 {
		t.Fatalf("again: status %d\n%s", got.Status, got.Stdout)
	}
	sim.Sent(t, "anna@contoso.test", "second")
	if got := harness.Command(t, "", "connect", "anna@contoso.test", "--disconnect", "--config", r.Config); got.Status != 0 {
		t.Errorf("disconnect: status %d\n%s", got.Status, got.Stderr)
	}
	if got := harness.Command(t, "", "connect", "anna@contoso.test", "--disconnect", "--config", r.Config); got.Status != 1 || !strings.Contains(got.Stderr, "--list shows") {
		t.Errorf("disconnect twice: status %d\n%s", got.Status, got.Stderr)
	}
}

// Somebody with rights in a shared mailbox connects it, and learns at each step what is
// missing.
func TestConnectShared(t *testing.T) {
	t.Parallel()
	sim := harness.ServeSim(t, simulator.Options{DeviceInterval: time.Second,
		World:      simulator.World{SharedScopes: true, SendAsOnly: true},
		FullAccess: map[string][]string{"team@contoso.test": {"bob@contoso.test"}, "press@contoso.test": {"bob@contoso.test"}},
		SendAs:     map[string][]string{"bob@contoso.test": {"team@contoso.test"}}})
	r := harness.StartOwners(t, sim)
	if got := r.Connect(t, "team@contoso.test", "bob@contoso.test"); got.Status != 1 || !strings.Contains(got.Stdout, "connect it as one: --shared") {
		t.Errorf("as an owner: status %d\n%s", got.Status, got.Stdout)
	}
	connect := func(mailbox string) (password string) {
		t.Helper()
		got := r.Connect(t, mailbox, "bob@contoso.test", "--shared")
		found := harness.SMTPPassword.FindStringSubmatch(got.Stdout)
		for _, want := range []string{"sign in with an account that has Full Access", "Connected " + mailbox + ", with the account bob@contoso.test",
			"Add-RecipientPermission " + mailbox + " -Trustee bob@contoso.test -AccessRights SendAs", "3 MB"} {
			if got.Status != 0 || found == nil || !strings.Contains(got.Stdout, want) {
				t.Fatalf("status %d, no %q in\n%s", got.Status, want, got.Stdout)
			}
		}
		return found[1]
	}
	submitAs(t, r, "team@contoso.test", connect("team@contoso.test"), "first")
	sim.Sent(t, "team@contoso.test", "first")
	if list := harness.Command(t, "", "connect", "--list", "--config", r.Config); !strings.Contains(list.Stdout, "bob@contoso.test") {
		t.Errorf("list:\n%s%s", list.Stdout, list.Stderr)
	}
	submitAs(t, r, "press@contoso.test", connect("press@contoso.test"), "second")
	const want = "press@contoso.test was connected with an account that may not send as it; grant that account Send As"
	harness.WaitFor(t, "a failed message", func() bool {
		list := harness.Command(t, "", "queue", "list", "--state", "failed", "--json", "--config", r.Config)
		return strings.Contains(list.Stdout, want)
	})
}
