package inprocess

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/attention"
	"graphrelay/relay/config"
	"graphrelay/relay/devices"
	"graphrelay/relay/queue"
	"graphrelay/relay/queue/sqlite"
)

// rareConditions are those that come of what was long ago, of a fault of the program, and of what an
// operator wants.
func rareConditions(t *testing.T) []faultCase {
	return []faultCase{
		{id: "NoIntake",
			change: func(c *config.Config) {
				sendLastWeek(t, c.DataDir, 12)
				condition(c, "NoIntake").Within = config.Duration(time.Hour)
			},
			provoke: func(*alertsRig) {},
			relieve: func(r *alertsRig) { r.post("x") }},
		{id: "SessionPanic", subject: "devices",
			provoke: func(r *alertsRig) {
				r.broken.Break(Refused)
				if err := r.rig.send(nil, "x@elsewhere.test", "x"); err == nil {
					r.Error("an unknown sender is accepted")
				}
			}},
		{id: "LearningWindow", subject: "devices",
			change: func(c *config.Config) {
				c.Listeners[0].AllowDevices = true
				c.Alerts.Mail[0].Severity, c.Alerts.Webhooks[0].Severity = attention.Info, attention.Info
			},
			provoke: func(r *alertsRig) { // the restart ends it
				_, err := r.relay.OpenWindow(r.Context(), "anna", devices.Opening{Listener: "devices", Length: time.Hour, Network: netip.MustParsePrefix("10.0.0.0/24"), Domain: "contoso.test"})
				r.ok(err)
			}},
	}
}

// TestStorageRefuses: while the disk fails, nothing can be stored, and so no mail about it can be sent.
// Webhooks are told, and the mail follows once the relay works again.
func TestStorageRefuses(t *testing.T) {
	t.Parallel()
	r := startAlerts(t, nil)
	r.ok(os.Rename(filepath.Join(r.dir, "bodies"), filepath.Join(r.dir, "lost")))
	if err := r.rig.send(nil, aMailbox, "x\r\n\r\n"+strings.Repeat(strings.Repeat("x", 70)+"\r\n", 5000)); err == nil || !strings.Contains(err.Error(), "disk failed") {
		t.Errorf("the answer is %v", err)
	}
	r.wait("alert", func() bool { return len(r.hook.of("StorageRefuses", "opened")) > 0 })
	opened := r.hook.of("StorageRefuses", "opened")[0]
	if opened.Subject != "devices" || !strings.Contains(opened.Cause, "cannot be stored") {
		t.Errorf("%+v", opened)
	}
	r.wait("alert that no mail is taken", func() bool { return len(r.hook.of("RelayNotReady", "opened")) > 0 })
	r.restart() // which makes the folder anew
	r.wait("ends", func() bool {
		return len(r.hook.of("StorageRefuses", "closed")) > 0 && len(r.hook.of("RelayNotReady", "closed")) > 0
	})
	r.wait("mail", func() bool {
		return slices.ContainsFunc(r.mail(opened.Reference), func(s string) bool { return strings.Contains(s, "Over: ") })
	})
	for _, id := range []string{"StorageRefuses", "RelayNotReady"} {
		if o, c := r.hook.of(id, "opened"), r.hook.of(id, "closed"); len(o) != 1 || len(c) != 1 || o[0].Reference != c[0].Reference {
			t.Errorf("%s was told of as %+v and %+v", id, o, c)
		}
	}
	r.post("x")
}

// lastWeek is a clock that shows the time of a week ago, and half an hour before that.
type lastWeek struct{ started time.Time }

func (lastWeek) Wall() time.Time          { return time.Now().Add(-7*24*time.Hour - 30*time.Minute) }
func (c lastWeek) Elapsed() time.Duration { return time.Since(c.started) }

// sendLastWeek makes a queue that has sent messages of a client a week ago.
func sendLastWeek(t *testing.T, dir string, n int) {
	t.Helper()
	q, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir, Exclusive: true, Source: lastWeek{time.Now()}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		w, err := q.Create(t.Context())
		if err == nil {
			_, err = io.WriteString(w, "Subject: x\r\n\r\ntext\r\n")
		}
		if err == nil {
			err = w.Commit(t.Context(), queue.Entry{Envelope: queue.Envelope{From: aMailbox, To: []string{"b@example.test"}}, Lane: laneOfA, MessageID: fmt.Sprintf("<%d@contoso.test>", i), Listener: "devices", Client: "127.0.0.1"})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for sent := 0; sent < n; {
		tasks, _, err := q.Claim(t.Context(), queue.Claim{Node: "last week", Max: n, PerLane: n})
		if err != nil || len(tasks) == 0 {
			t.Fatalf("%d of %d were sent, %v", sent, n, err)
		}
		for _, task := range tasks {
			if err := q.Finish(t.Context(), task.Ref, queue.Outcome{State: queue.Sent}); err != nil {
				t.Fatal(err)
			}
			sent++
		}
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
}
