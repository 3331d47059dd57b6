package upgrade

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite"

	"graphrelay/internal/testpostgres"
	"graphrelay/test/harness"
)

// kept returns the files of kept queues on an engine.
func kept(t *testing.T, engine string) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*." + engine + ".gz")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("there is no kept queue")
	}
	return files
}

// TestUpgrade has today's program open each queue that an earlier one has left, and go on with it.
func TestUpgrade(t *testing.T) {
	for _, engine := range []string{sqlite, postgres} {
		t.Run(engine, func(t *testing.T) {
			database := databases(t, engine)
			for _, path := range kept(t, engine) {
				t.Run(filepath.Base(path), func(t *testing.T) {
					t.Parallel()
					sim := harness.StartSim(t)
					r := restore(t, engine, path, database(), sim)
					r.Start(t)
					check(t, r, sim)
				})
			}
		})
	}
}

// restore returns a relay with a kept queue.
func restore(t *testing.T, engine, path, database string, sim *harness.Sim) *harness.Relay {
	t.Helper()
	if engine == postgres {
		cmd := exec.Command(testpostgres.Program(t, "psql"), "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--output="+os.DevNull, database)
		cmd.Stdin = bytes.NewReader(load(t, path))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	r := harness.NewRelay(t, sim, queueKeys(engine, database))
	if engine == sqlite {
		if err := os.Mkdir(filepath.Dir(databaseFile(r)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(databaseFile(r), load(t, path), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// check checks what a kept queue holds, and that today's program sends it: once, and whole.
func check(t *testing.T, r *harness.Relay, sim *harness.Sim) {
	t.Helper()
	samples := waiting(t)
	free := slices.DeleteFunc(slices.Clone(samples), func(s harness.Sample) bool { return s.Subject == heldSubject || s.Subject == pausedSubject })
	sentBy := map[string]string{"scan@printers.local": "scanner@contoso.test"}
	arrived := func(s harness.Sample) {
		t.Helper()
		mailbox := s.From
		if by := sentBy[s.From]; by != "" {
			mailbox = by
		}
		s.Check(t, sim.Sent(t, mailbox, s.Subject))
	}
	for _, s := range free {
		arrived(s)
	}
	if q := find(t, r, heldSubject); q.State != "held" {
		t.Errorf("the held message is %+v", q)
	}
	if q := find(t, r, pausedSubject); q.State != "queued" {
		t.Errorf("the message in the paused lane is %+v", q)
	}
	if q := find(t, r, failedSubject); q.State != "failed" || q.Reason != "too_large" {
		t.Errorf("the failed message is %+v", q)
	}
	if got := messages(t, r, "sent"); !slices.ContainsFunc(got, func(q harness.Queued) bool { return q.Subject == sentSubject }) {
		t.Errorf("the queue has these records of what was sent: %+v", got)
	}
	operate(t, r, "resume", "contoso/"+paused)
	operate(t, r, "release", find(t, r, heldSubject).ID)
	operate(t, r, "retry", find(t, r, failedSubject).ID)
	for _, s := range append(samples[len(free):], plain(failedSubject)) {
		arrived(s)
	}
	accept(t, r, plain("new"))
	arrived(plain("new"))
	harness.WaitFor(t, "the queue to be empty", func() bool { return len(messages(t, r, unsent)) == 0 })
	times := map[string]int{}
	for _, d := range sim.Ledger(t) {
		times[d.Subject]++
	}
	for subject, n := range times {
		if n != 1 {
			t.Errorf("%q was sent %d times", subject, n)
		}
	}
	if want := len(samples) + 2; len(times) != want {
		t.Errorf("%d messages were sent, want %d: %v", len(times), want, times)
	}
	r.Stop(t)
}

// TestNewerQueue has a program meet a queue with the schema of a newer one that it cannot use. The
// relay and the commands say so, and change nothing.
func TestNewerQueue(t *testing.T) {
	for _, engine := range []string{sqlite, postgres} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			database := databases(t, engine)()
			r := harness.NewRelay(t, harness.StartSim(t), queueKeys(engine, database))
			r.Start(t)
			r.Stop(t)
			number := newer(t, engine, r, database)
			before := content(t, engine, r, database)
			want := fmt.Sprintf("the queue was written by a newer graphrelay (schema %d, this one knows %d); run that version", number, number-1)
			r.Begin(t)
			if !r.Ends() || r.Status() != 1 || !strings.Contains(r.Log.String(), want) {
				t.Errorf("serve ended with status %d, and not with %q:\n%s", r.Status(), want, harness.Tail(r.Log.String()))
			}
			if got := r.QueueCommand(t, "list"); got.Status != 1 || !strings.Contains(got.Stderr, want) {
				t.Errorf("queue list ended with status %d: %s", got.Status, got.Stderr)
			}
			if after := content(t, engine, r, database); after != before {
				t.Errorf("the queue was changed")
			}
		})
	}
}

// newer gives a queue the schema of a program that is newer by one, and returns its number.
func newer(t *testing.T, engine string, r *harness.Relay, database string) (number int) {
	t.Helper()
	if engine == postgres {
		c, err := pgx.Connect(t.Context(), database)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(t.Context())
		if err := c.QueryRow(t.Context(), "UPDATE graphrelay_schema SET version = version + 1, compatible = version + 1 RETURNING version").Scan(&number); err != nil {
			t.Fatal(err)
		}
		return number
	}
	db, err := sql.Open("sqlite", databaseFile(r))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRowContext(t.Context(), "PRAGMA user_version").Scan(&number); err != nil {
		t.Fatal(err)
	}
	number++
	if _, err := db.ExecContext(t.Context(), fmt.Sprintf("PRAGMA user_version = %d", number)); err != nil {
		t.Fatal(err)
	}
	return number
}

// content returns all that a queue holds, for comparisons.
func content(t *testing.T, engine string, r *harness.Relay, database string) string {
	t.Helper()
	b := dump(t, engine, r, database)
	if engine == sqlite {
		clear(b[24:28]) // counters of changes in the header, which opening the file advances
		clear(b[92:96])
	}
	return harness.SHA256Hex(b)
}
