package windows

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

// serve kills a relay while mail flows: what has a 250 is sent once. Then it asks the relay by its
// pipe, and starts a second one on the queue.
func (w *wine) serve(t *testing.T) {
	sim := harness.ServeSim(t, simulator.Options{})
	r := harness.NewRelay(t, sim, harness.DeliveryKey("send_settle: 5s"), harness.DeliveryKey("retry_delays: [100ms, 500ms]"))
	r.Use(w.wrapper)
	r.Start(t)
	const kills, messages = 2, 40
	o := &harness.Outbox{Dial: func() (*harness.Dialog, error) { return r.Dial("submissions") }, Connections: 3, Messages: messages, Make: harness.TenKilobytes("killed")}
	done := o.Start()
	for n := 1; n <= kills; n++ {
		harness.WaitFor(t, "accepted messages", func() bool { return o.AcceptedCount() >= n*messages/(kills+1) })
		r.Kill(t)
		r.Start(t)
	}
	o.Await(t, done)
	r.Idle(t)
	o.Check(t, sim)

	if got := w.run(t, "reload", "--config", r.Config); got.Status != 0 || got.Stdout != "reloaded\n" {
		t.Errorf("reload: %+v", got)
	}
	if got := w.run(t, "queue", "list", "--state", "all", "--json", "--config", r.Config); got.Status != 0 || !strings.Contains(got.Stdout, "killed 0001") {
		t.Errorf("queue list: %+v", got)
	}
	second := filepath.Join(r.Dir, "second.yaml")
	text := harness.ReadFile(t, r.Config)
	for _, address := range r.Address { // it does not get as far as to open these
		text = strings.ReplaceAll(text, address, fmt.Sprintf("127.0.0.1:%d", harness.FreePort(t)))
	}
	if err := os.WriteFile(second, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := w.run(t, "serve", "--config", second); got.Status != 1 || !strings.Contains(got.Stderr, "is in use by another graphrelay") {
		t.Errorf("a second relay: %+v", got)
	}
	w.private(t, r)
	if got := r.SendOne(t, harness.Sample{From: "scanner@contoso.test", To: []string{"anna@example.com"}, Subject: "one more", Text: "x"}); !strings.HasPrefix(got, "250 ") {
		t.Errorf("the first relay goes on: %s", got)
	}
	sim.Sent(t, "scanner@contoso.test", "one more")
}

// private looks at the modes that Wine makes of access lists, and at what the relay says of a file
// that is open to others.
func (w *wine) private(t *testing.T, r *harness.Relay) {
	for _, path := range []string{"data", "data/control", "data/control/pipe"} {
		info, err := os.Stat(filepath.Join(r.Dir, path))
		if err != nil {
			t.Error(err)
		} else if got := info.Mode().Perm(); got&0o007 != 0 { // the group has the rights of the administrators
			t.Errorf("%s has the mode %o", path, got)
		}
	}
	key := filepath.Join(r.Dir, "relay.key")
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o644: true} {
		if err := os.Chmod(key, mode); err != nil {
			t.Fatal(err)
		}
		got := w.run(t, "check", "--config", r.Config)
		if told := strings.Contains(got.Stdout+got.Stderr, "icacls FILE"); got.Status != 0 || told != want {
			t.Errorf("check with a key of mode %o: %+v", mode, got)
		}
	}
}
