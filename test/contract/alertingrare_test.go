package contract

import (
	"fmt"
	"net/http"
	"net/smtp"
	"os"
	"path/filepath"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/internal/testlog"
	"graphrelay/test/harness"
	"graphrelay/test/inprocess"
)

// rareFaults are relays to which happens what hardly ever does.
type rareFaults struct {
	restless *harness.Relay // that is started again and again
	strange  *harness.Sim
	odd      *harness.Relay // whose tenant is strange, and whose disk fails
	consents *harness.Sim
	owners   *harness.Relay // to whose mailboxes the owners consent
	password string         // of Anna's SMTP user there
	faulty   *inprocess.Running
	log      *inprocess.FaultyLog // of faulty, a relay in the test's process
}

const owner = "anna@contoso.test"

func newRareFaults(t *testing.T) *rareFaults {
	t.Helper()
	f := &rareFaults{strange: harness.StartSim(t), consents: harness.ServeSim(t, simulator.Options{DeviceInterval: time.Second}), log: &inprocess.FaultyLog{Writer: &testlog.Buffer{}}}
	f.restless = harness.StartRelay(t, f.strange)
	f.odd = harness.StartRelay(t, f.strange, harness.DeliveryKey("retry_delays: [1s]"))
	f.owners = harness.StartOwners(t, f.consents)
	f.connect(t)
	_, graph := inprocess.Simulate(t, simulator.Options{})
	f.faulty = inprocess.Run(t, inprocess.Settings(t, t.TempDir(), graph, ""), f.log)
	return f
}

func (f *rareFaults) targets() []string {
	return []string{f.restless.Address["admin"], f.odd.Address["admin"], f.owners.Address["admin"], f.faulty.Address("localhost:0")}
}

// connect has the owner sign in.
func (f *rareFaults) connect(t *testing.T) {
	t.Helper()
	got := f.owners.Connect(t, owner, owner)
	password := harness.SMTPPassword.FindStringSubmatch(got.Stdout)
	if got.Status != 0 || password == nil {
		t.Fatalf("connect: status %d\n%s", got.Status, got.Stdout)
	}
	f.password = password[1]
}

// inject causes what the rules are about, apart from restarts.
func (f *rareFaults) inject(t *testing.T) {
	t.Helper()
	// An owner withdraws consent: MailboxRefused.
	request, err := http.NewRequest(http.MethodDelete, f.consents.URL+"/_simulator/consent?mailbox="+owner, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	submitAs(t, f.owners, owner, f.password, "after the consent")

	// Graph shows an item of the owner where the relay looks for a draft of its own, whose answer was
	// lost; and a recipient does not exist: LookupsUnreliable, ContentLost.
	f.strange.SetWorld(t, simulator.World{FilterIgnored: true, Unresolved: []string{"nobody@example.test"}})
	m := harness.TenKilobytes("odd")(1)
	f.strange.Plant(t, simulator.Message{Mailbox: m.From, Folder: simulator.Drafts, Subject: "private", To: []simulator.Address{{Address: "friend@example.net"}}})
	f.strange.Fault(t, simulator.Fault{Operation: simulator.OpCreate, Mailbox: m.From, Count: 1, After: true, Reset: true})
	f.odd.SendOne(t, m)
	m = harness.TenKilobytes("odd")(2)
	m.From, m.To = "scanner@contoso.test", append(m.To, "nobody@example.test")
	f.odd.SendOne(t, m)

	// The folder of large messages is lost: StorageRefuses.
	if err := os.Rename(f.bodies(), f.bodies()+".lost"); err != nil {
		t.Fatal(err)
	}
	m = harness.TenKilobytes("odd")(3)
	m.Text = harness.WrappedText(harness.Noise("odd", 300_000))
	if answer := f.odd.SendOne(t, m); answer[0] != '4' {
		t.Errorf("without a folder for it, a large message is answered with %s", answer)
	}

	// A session meets a fault of the program: SessionPanic.
	f.log.Break(inprocess.Refused)
	if err := smtp.SendMail(f.faulty.Address("127.0.0.1:0"), nil, "x@elsewhere.test", []string{"b@example.test"}, []byte("Subject: x\r\n\r\nx\r\n")); err == nil {
		t.Error("an unknown sender is accepted")
	}
}

func (f *rareFaults) bodies() string { return filepath.Join(f.odd.Dir, "data", "bodies") }

// repair removes the causes. What a rule counts passes by itself.
func (f *rareFaults) repair(t *testing.T) {
	t.Helper()
	f.connect(t)
	f.strange.SetWorld(t, simulator.World{})
	if err := os.Rename(f.bodies()+".lost", f.bodies()); err != nil {
		t.Fatal(err)
	}
	f.odd.Kill(t)
	f.odd.Start(t) // a folder that was lost counts as damage until then
}

// restartUntil kills and starts a relay, each time after Prometheus has seen it, until fires returns
// true: RelayRestarts.
func (w *watched) restartUntil(t *testing.T, p prom, fires func() bool) {
	t.Helper()
	r := w.rare.restless
	for n := 1; !fires(); n++ {
		if n > 30 {
			t.Fatal("the relay was restarted 30 times, and no alert fired")
		}
		r.Kill(t)
		r.Begin(t)
		p.wait(t, fmt.Sprintf("changes(process_start_time_seconds{instance=%q}[30m]) >= %d", r.Address["admin"], n))
	}
}
