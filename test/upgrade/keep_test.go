package upgrade

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/internal/testpostgres"
	"graphrelay/test/harness"
)

var keep = flag.String("keep", "", "keep the queues that the program writes, under this name")

// Engines, as the names of kept files end.
const (
	sqlite   = "sqlite"
	postgres = "postgres"
)

// lease is that of a node in the tests. A node that was stopped gives it up.
const lease = 3 * time.Second

// Senders of kept messages.
const (
	sender = "crm@contoso.test"
	paused = "paused@contoso.test" // whose mailbox an operator has paused
)

// Subjects of kept messages. What a queue holds does not change, since old ones are kept: a
// further kind of message has to be optional in check.
const (
	sentSubject   = "kept: was sent"
	failedSubject = "kept: failed"
	heldSubject   = "kept: held by an operator"
	pausedSubject = "kept: waits in a paused lane"
)

// waiting are the messages that wait in each kept queue.
func waiting(t *testing.T) []harness.Sample {
	t.Helper()
	picture := harness.NewFile(t, "dot.png", "image/png", harness.Picture())
	picture.ContentID = "dot@client.test"
	return []harness.Sample{
		{From: sender, To: []string{"anna@example.com"}, Cc: []string{"chie@example.net"}, Bcc: []string{"archive@example.com"},
			Subject: "kept: Grüße 本日", Text: "Guten Tag,\n\n.\n..two dots\nこんにちは, ½ €\n"},
		{From: sender, To: []string{"anna@example.com"}, Subject: "kept: with a picture", HTML: "<html><body><p>Grüße</p><img src=\"cid:dot@client.test\" alt=\"\"></body></html>\n",
			Files: []harness.File{picture}},
		{From: "scan@printers.local", To: []string{"bernd@example.org"}, Subject: "kept: from a device", Text: "See the attachment.\n",
			Files: []harness.File{harness.NewFile(t, harness.JapaneseName, "application/pdf", harness.Noise("kept", 8000))}},
		{From: paused, To: []string{"anna@example.com"}, Subject: pausedSubject, Text: "Later.\n"},
		{From: sender, To: []string{"anna@example.com"}, Subject: heldSubject, Text: "Stop!\n"},
	}
}

func plain(subject string) harness.Sample {
	return harness.Sample{From: sender, To: []string{"anna@example.com"}, Subject: subject, Text: "x\n"}
}

// queueKeys returns the section queue for an engine. Records are not to expire.
func queueKeys(engine, database string) harness.Edit {
	keys := "queue:\n  keep_sent: 3650d\n  keep_failed: 3650d\n"
	if engine == postgres {
		keys += fmt.Sprintf("  url: %q\n  node: kept\n  lease: %s\n", database, lease)
	}
	return harness.Replace("\ndelivery:\n", "\n"+keys+"\ndelivery:\n")
}

// accept sends a message to the relay.
func accept(t *testing.T, r *harness.Relay, s harness.Sample) {
	t.Helper()
	if answer := r.SendOne(t, s); !strings.HasPrefix(answer, "250 ") {
		t.Fatalf("%q: %s", s.Subject, answer)
	}
}

// find returns the message with a subject, in a state of several.
func find(t *testing.T, r *harness.Relay, subject string) (q harness.Queued) {
	t.Helper()
	harness.WaitFor(t, subject+" in the queue", func() bool {
		open := messages(t, r, unsent)
		n := slices.IndexFunc(open, func(q harness.Queued) bool { return q.Subject == subject })
		if n >= 0 {
			q = open[n]
		}
		return n >= 0
	})
	return q
}

// operate runs a command on the queue, and returns what it prints. On a machine that is short of time,
// the database may seem to be away for a moment.
func operate(t *testing.T, r *harness.Relay, args ...string) string {
	t.Helper()
	var got harness.Result
	harness.WaitFor(t, "the database", func() bool {
		got = r.QueueCommand(t, args...)
		return !strings.Contains(got.Stderr, "database cannot be reached")
	})
	if got.Status != 0 {
		t.Fatalf("queue %q: %s", args, got.Stderr)
	}
	return got.Stdout
}

// messages returns the messages that are in one of some states.
func messages(t *testing.T, r *harness.Relay, states string) (all []harness.Queued) {
	t.Helper()
	for line := range strings.Lines(operate(t, r, "list", "--json", "--state", states)) {
		var q harness.Queued
		if err := json.Unmarshal([]byte(line), &q); err != nil {
			t.Fatal(err)
		}
		all = append(all, q)
	}
	return all
}

// unsent are the states of messages that were not sent.
const unsent = "queued,delivering,deferred,held,failed"

// TestKeep has the program fill a queue on each engine, and keeps them. It is run once for each
// release, with the code of the release (CONTRIBUTING.md).
func TestKeep(t *testing.T) {
	if *keep == "" {
		t.Skip("writes files: see CONTRIBUTING.md")
	}
	for _, engine := range []string{sqlite, postgres} {
		t.Run(engine, func(t *testing.T) {
			database := databases(t, engine)()
			sim := harness.StartSim(t)
			r := harness.NewRelay(t, sim, queueKeys(engine, database))
			fill(t, r, sim)
			save(t, filepath.Join("testdata", *keep+"."+engine+".gz"), dump(t, engine, r, database))
		})
	}
}

// fill leaves messages in each state in the queue, while Graph is out of reach.
func fill(t *testing.T, r *harness.Relay, sim *harness.Sim) {
	t.Helper()
	r.Start(t)
	accept(t, r, plain(sentSubject))
	harness.WaitFor(t, "a send", func() bool { return sim.Sends(t) == 1 && len(messages(t, r, unsent)) == 0 })
	sim.Fault(t, simulator.Fault{Operation: simulator.OpCreate, Status: 400, Code: "ErrorMessageSizeExceeded", Nth: 1})
	accept(t, r, plain(failedSubject))
	harness.WaitFor(t, "a failure and its bounce", func() bool {
		open := messages(t, r, unsent)
		return len(open) == 1 && open[0].State == "failed" && sim.Sends(t) == 2
	})
	operate(t, r, "pause", "contoso/"+paused)
	r.Stop(t)

	away := fmt.Sprintf("http://127.0.0.1:%d", harness.FreePort(t))
	r.Write(t, harness.ReadFile(t, r.Config), harness.Replace("login: "+sim.URL, "login: "+away), harness.Replace("graph: "+sim.URL, "graph: "+away))
	r.Start(t)
	for _, s := range waiting(t) {
		accept(t, r, s)
	}
	harness.WaitFor(t, "an attempt", func() bool {
		return slices.ContainsFunc(messages(t, r, unsent), func(q harness.Queued) bool { return q.State == "deferred" })
	})
	operate(t, r, "hold", find(t, r, heldSubject).ID)
	r.Stop(t)
}

// dump returns a queue as it is kept: the file of SQLite, or the statements that make the database.
func dump(t *testing.T, engine string, r *harness.Relay, database string) []byte {
	t.Helper()
	if engine == sqlite {
		if _, err := os.Stat(databaseFile(r) + "-wal"); err == nil {
			t.Fatal("the queue was not closed")
		}
		return []byte(harness.ReadFile(t, databaseFile(r)))
	}
	out, err := exec.Command(testpostgres.Program(t, "pg_dump"), "--no-owner", "--no-privileges", "--inserts", database).Output()
	if err != nil {
		t.Fatal(err)
	}
	// Newer versions of pg_dump write these with a random word, and older ones of psql do not know them.
	return regexp.MustCompile(`(?m)^\\(un)?restrict .*\n`).ReplaceAll(out, nil)
}

// databases returns a function that returns the URL of a new database; for SQLite it is empty.
func databases(t *testing.T, engine string) func() string {
	t.Helper()
	if engine == sqlite {
		return func() string { return "" }
	}
	server := testpostgres.New(t, "fsync=off")
	return func() string { return server.Database(t) }
}

// databaseFile returns the path of the queue in SQLite.
func databaseFile(r *harness.Relay) string { return filepath.Join(r.Dir, "data", "queue.db") }

func save(t *testing.T, path string, content []byte) {
	t.Helper()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func load(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
