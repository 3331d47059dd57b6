package main_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDamagedMail damages two of five messages that wait, one in the database and one
// in a file: they are held, nothing of them is sent, and the others are.
func TestDamagedMail(t *testing.T) {
	t.Parallel()
	sim := startSim(t)
	relay := startRelay(t, sim)
	relay.pauseAll(t)
	ids := map[string]string{} // by subject
	for subject, size := range map[string]int{"row one": 1000, "row two": 1000, "row three": 1000, "file one": 300_000, "file two": 300_000} {
		d, err := relay.dial("devices")
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		text := "Subject: " + subject + "\r\nFrom: crm@contoso.test\r\n\r\nthis is " + subject + "\r\n" + wrapped(noise(subject, size))
		if ids[subject], err = d.submit("crm@contoso.test", []string{"anna@example.com"}, strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	relay.stop(t)
	data := filepath.Join(relay.dir, "data")
	rewrite(t, filepath.Join(data, "queue.db"), func(b []byte) []byte {
		return bytes.ReplaceAll(b, []byte("this is row two"), []byte("this is ros two"))
	})
	rewrite(t, filepath.Join(data, "bodies", ids["file two"]), func(b []byte) []byte { return b[:len(b)-10] })
	relay.start(t)
	if got := relay.queueCommand(t, "resume", "contoso"); got.status != 0 {
		t.Fatal(got.stderr)
	}
	waitFor(t, "all but two to be sent", func() bool { return len(sim.ledger(t)) == 3 && relay.open(t, "held") == 2 })
	for _, q := range relay.queue(t) {
		if q.ID != ids["row two"] && q.ID != ids["file two"] || q.State != "held" || q.Reason != "storage" || !strings.Contains(q.Detail, "damaged") {
			t.Errorf("left in the queue: %+v", q)
		}
		got := relay.queueCommand(t, "export", q.ID)
		if got.status != 1 || !strings.Contains(got.stderr, "damaged") || !strings.Contains(got.stdout, "this is ") { // what is left of it
			t.Errorf("export: status %d, %q, %d bytes", got.status, got.stderr, len(got.stdout))
		}
	}
	for _, m := range sim.messages(t, "") {
		if strings.HasSuffix(m.Subject, "two") {
			t.Errorf("in Graph: %q", m.Subject)
		}
	}
}

// TestDamagedQueue wants no start on a queue that lost mail, whatever else was tried
// before, and a way out in the text.
func TestDamagedQueue(t *testing.T) {
	t.Parallel()
	sim := startSim(t)
	relay := startRelay(t, sim)
	relay.pauseAll(t)
	o := &outbox{dial: func() (*dialog, error) { return relay.dial("devices") }, connections: 4, messages: 20, make: tenKilobytes("damaged")}
	o.await(t, o.start())
	relay.kill(t)
	data := filepath.Join(relay.dir, "data")
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
			got := relay.refuses(t, verb)
			if got.status != 1 || !strings.Contains(got.stderr, "restore") || !strings.Contains(got.stderr, data) {
				t.Errorf("%s, %s: status %d, %s", name, verb, got.status, got.stderr)
			}
		}
		if err := os.RemoveAll(data); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(data, os.DirFS(whole)); err != nil {
			t.Fatal(err)
		}
	}
	relay.start(t)
	if n := relay.open(t, "queued"); n != 20 {
		t.Errorf("%v messages are left of the copy", n)
	}
}

// refuses runs serve, which should end by itself, or a queue command.
func (r *relayProcess) refuses(t *testing.T, verb string) result {
	t.Helper()
	if verb != "serve" {
		return r.queueCommand(t, verb)
	}
	r.begin(t)
	waitFor(t, "the end of serve, or a start", func() bool {
		status, _ := r.get("/readyz")
		return !r.running() || status != 0
	})
	if r.running() {
		t.Fatal("serve starts")
	}
	return result{stderr: r.log.String(), status: r.status()}
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
