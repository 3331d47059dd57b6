package durability

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

// TestDamagedMail damages two of five messages that wait, one in the database and one
// in a file: they are held, nothing of them is sent, and the others are.
func TestDamagedMail(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	relay := harness.StartRelay(t, sim)
	relay.PauseAll(t)
	ids := map[string]string{} // by subject
	for subject, size := range map[string]int{"row one": 1000, "row two": 1000, "row three": 1000, "file one": 300_000, "file two": 300_000} {
		d, err := relay.Dial("devices")
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		text := "Subject: " + subject + "\r\nFrom: crm@contoso.test\r\n\r\nthis is " + subject + "\r\n" + harness.Wrapped(harness.Noise(subject, size))
		if ids[subject], err = d.Submit("crm@contoso.test", []string{"anna@example.com"}, strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	relay.Stop(t)
	data := filepath.Join(relay.Dir, "data")
	rewrite(t, filepath.Join(data, "queue.db"), func(b []byte) []byte {
		return bytes.ReplaceAll(b, []byte("this is row two"), []byte("this is ros two"))
	})
	rewrite(t, filepath.Join(data, "bodies", ids["file two"]), func(b []byte) []byte { return b[:len(b)-10] })
	relay.Start(t)
	if got := relay.QueueCommand(t, "resume", "contoso"); got.Status != 0 {
		t.Fatal(got.Stderr)
	}
	harness.WaitFor(t, "all but two to be sent", func() bool { return sim.Sends(t) == 3 && relay.Open(t, "held") == 2 })
	for _, q := range relay.Queue(t) {
		if q.ID != ids["row two"] && q.ID != ids["file two"] || q.State != "held" || q.Reason != "storage" || !strings.Contains(q.Detail, "damaged") {
			t.Errorf("left in the queue: %+v", q)
		}
		got := relay.QueueCommand(t, "export", q.ID)
		if got.Status != 1 || !strings.Contains(got.Stderr, "damaged") || !strings.Contains(got.Stdout, "this is ") { // what is left of it
			t.Errorf("export: status %d, %q, %d bytes", got.Status, got.Stderr, len(got.Stdout))
		}
	}
	for _, m := range sim.Messages(t, "") {
		if strings.HasSuffix(m.Subject, "two") {
			t.Errorf("in Graph: %q", m.Subject)
		}
	}
}

// TestDamagedQueue wants no start on a queue that lost mail, whatever else was tried
// before, and a way out in the text.
func TestDamagedQueue(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	relay := harness.StartRelay(t, sim)
	relay.PauseAll(t)
	o := &harness.Outbox{Dial: func() (*harness.Dialog, error) { return relay.Dial("devices") }, Connections: 4, Messages: 20, Make: harness.TenKilobytes("damaged")}
	o.Await(t, o.Start())
	relay.Kill(t)
	data := filepath.Join(relay.Dir, "data")
	if err := os.RemoveAll(filepath.Join(data, "control")); err != nil { // a socket cannot be copied
		t.Fatal(err)
	}
	whole := t.TempDir()
	if err := os.CopyFS(whole, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}
	half := func(b []byte) []byte { return b[:len(b)/2] }
	for name, damage := range map[string]func(){
		"log":      func() { rewrite(t, filepath.Join(data, "queue.db-wal"), half) },
		"database": func() { rewrite(t, filepath.Join(data, "queue.db"), func([]byte) []byte { return nil }) },
	} {
		damage()
		for _, verb := range []string{"serve", "list", "serve"} {
			got := refuses(t, relay, verb)
			if got.Status != 1 || !strings.Contains(got.Stderr, "restore") || !strings.Contains(got.Stderr, data) {
				t.Errorf("%s, %s: status %d, %s", name, verb, got.Status, got.Stderr)
			}
		}
		if err := os.RemoveAll(data); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(data, os.DirFS(whole)); err != nil {
			t.Fatal(err)
		}
	}
	relay.Start(t)
	if n := relay.Open(t, "queued"); n != 20 {
		t.Errorf("%v messages are left of the copy", n)
	}
}

// refuses runs serve, which should end by itself, or a queue command.
func refuses(t *testing.T, r *harness.Relay, verb string) harness.Result {
	t.Helper()
	if verb != "serve" {
		return r.QueueCommand(t, verb)
	}
	r.Begin(t)
	harness.WaitFor(t, "the end of serve, or a start", func() bool {
		status, _ := r.Get("/readyz")
		return !r.Running() || status != 0
	})
	if r.Running() {
		t.Fatal("serve starts")
	}
	return harness.Result{Stderr: r.Log.String(), Status: r.Status()}
}

// rewrite changes a file, which must not stay the same.
func rewrite(t *testing.T, path string, f func([]byte) []byte) {
	t.Helper()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	after := f(bytes.Clone(before))
	if bytes.Equal(before, after) {
		t.Fatalf("%s did not change", path)
	}
	if err := os.WriteFile(path, after, 0o600); err != nil {
		t.Fatal(err)
	}
}
