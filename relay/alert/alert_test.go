package alert

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"graphrelay/internal/testlog"
	"graphrelay/relay/attention"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// TestOnce: each channel is told of an incident once, and once that it is over, whatever restarts
// come in between.
func TestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newQueue())
		defer func() { r.Stop() }()
		r.pass(time.Minute)
		want(t, "at peace", len(r.queue.sent())+len(r.hook.requests()), 0)
		*r.redirect = "test@contoso.test"
		r.pass(time.Minute)
		i := r.only()
		r.Stop()
		r.start("node-2")
		r.pass(time.Hour)
		r.Apply(r.settings) // a reload
		r.pass(time.Hour)
		want(t, "mail", r.queue.sent(), []string{"[relay.test] WARNING: All mail is redirected (" + i.Ref + ")"})
		want(t, "requests", r.hook.requests(), []string{i.Ref + ".opened"})
		*r.redirect = ""
		r.pass(2 * time.Minute)
		r.Stop()
		r.start("node-3")
		r.pass(time.Hour)
		want(t, "mail", r.queue.sent()[1:], []string{"[relay.test] Over: All mail is redirected (" + i.Ref + ")"})
		want(t, "requests", r.hook.requests()[1:], []string{i.Ref + ".closed"})
		if got := r.only(); got.Ref != i.Ref || got.Duration(time.Now()).Round(time.Minute) != 2*time.Hour+2*time.Minute {
			t.Errorf("%+v lasted %s", got, got.Duration(time.Now()))
		}
		if !strings.Contains(r.hook.bodies[1], `"duration_seconds":7`) {
			t.Error(r.hook.bodies[1])
		}
		if all := r.log.String(); strings.Contains(all, "secret-token") || strings.Count(all, "msg=incident ") != 1 || strings.Count(all, `msg="incident is over"`) != 1 {
			t.Error(all)
		}
		*r.redirect = "test@contoso.test" // another one
		r.pass(time.Minute)
		if list, _ := r.List(t.Context(), false); len(list) != 1 || list[0].Ref == i.Ref || len(r.queue.sent()) != 3 {
			t.Errorf("%+v", list)
		}
		*r.redirect = ""
		r.pass(8 * 24 * time.Hour)
		if list, _ := r.List(t.Context(), true); len(list) != 0 {
			t.Errorf("%+v are kept", list)
		}
	})
}

// TestKilled kills the process between the queueing of a mail and its record.
func TestKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newQueue())
		defer func() { r.Stop() }()
		var kept []byte
		r.queue.submit = func() { kept, _ = os.ReadFile(r.file) }
		*r.redirect = "test@contoso.test"
		r.pass(time.Minute)
		r.Stop()
		if err := os.WriteFile(r.file, kept, 0o600); err != nil {
			t.Fatal(err)
		}
		r.start("node-2")
		r.pass(time.Hour)
		want(t, "mail", len(r.queue.sent()), 1)
		r.settings.PerHour = 2 // the same with one mail about many
		r.Stop()
		*r.devices = devices(10)
		r.start("node-3")
		r.pass(time.Minute)
		n := len(r.queue.sent())
		r.Stop()
		if err := os.WriteFile(r.file, kept, 0o600); err != nil {
			t.Fatal(err)
		}
		r.start("node-4")
		r.pass(3 * time.Hour)
		want(t, "mail", len(r.queue.sent()), n)
		told := 0
		for _, m := range r.queue.mail {
			told += strings.Count(string(m.Body), "A device is refused again and again: ")
		}
		want(t, "devices told of", told, 11) // one of them in a Subject and in its text
	})
}

func devices(n int) (list []attention.Device) {
	for i := range n {
		list = append(list, attention.Device{Client: fmt.Sprintf("192.0.2.%d", i), Listener: "devices", Reason: reason.Sender, Refusals: 100})
	}
	return list
}

// TestAway: while a channel cannot be told, it is tried less and less often, always with the same
// ID, and the other one does not wait.
func TestAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newQueue())
		defer func() { r.Stop() }()
		r.hook.set(500)
		*r.redirect = "test@contoso.test"
		r.look()
		want(t, "mail", len(r.queue.sent()), 1)
		r.pass(time.Hour)
		tries := r.hook.requests()
		if len(tries) < 7 || len(tries) > 12 {
			t.Errorf("%d tries in an hour", len(tries))
		}
		for _, key := range tries {
			want(t, "key", key, tries[0])
		}
		r.hook.set(0)
		r.pass(time.Hour)
		want(t, "tries", len(r.hook.requests()), len(tries)+1)
		want(t, "ok", testutil.ToFloat64(r.metrics.sent.WithLabelValues("chat", "ok")), 1)
		want(t, "failed", int(testutil.ToFloat64(r.metrics.sent.WithLabelValues("chat", "failed"))), len(tries))
		r.hook.set(500)
		*r.redirect = ""
		r.pass(25 * time.Hour)
		n := len(r.hook.requests())
		r.pass(2 * time.Hour)
		want(t, "tries after a day", len(r.hook.requests()), n)
		want(t, "dropped", testutil.ToFloat64(r.metrics.sent.WithLabelValues("chat", "dropped")), 1)
	})
}

// TestRetryAfter waits as long as the answer says.
func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newQueue())
		defer func() { r.Stop() }()
		r.hook.answer, r.hook.after = 429, "600"
		*r.redirect = "test@contoso.test"
		r.pass(9 * time.Minute)
		want(t, "tries", len(r.hook.requests()), 1)
		r.pass(2 * time.Minute)
		want(t, "tries", len(r.hook.requests()), 2)
	})
}

// TestBriefly: an incident that is over before a channel could be told is told of once.
func TestBriefly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newQueue())
		defer func() { r.Stop() }()
		r.hook.set(500)
		*r.redirect = "test@contoso.test"
		r.look()
		*r.redirect = ""
		r.pass(5 * time.Minute)
		r.hook.set(0)
		tries := len(r.hook.requests())
		r.pass(time.Hour)
		want(t, "requests", r.hook.requests()[tries:], []string{r.only().Ref + ".closed"})
	})
}

// TestPerHour: what exceeds the messages of an hour is told in one.
func TestPerHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newQueue())
		defer func() { r.Stop() }()
		r.settings.PerHour = 5
		r.Apply(r.settings)
		*r.devices = devices(20)
		r.pass(50 * time.Minute)
		want(t, "requests", len(r.hook.requests()), 5)
		want(t, "mail", len(r.queue.sent()), 5)
		last := r.hook.bodies[4]
		if !strings.Contains(last, `"type":"alert.summary"`) || strings.Count(last, "A device is refused again and again: 192.0.2.") != 16 {
			t.Error(last)
		}
		*r.devices = nil
		r.pass(20 * time.Minute)
		want(t, "requests", len(r.hook.requests()), 10) // another hour has begun
		want(t, "suppressed", testutil.ToFloat64(r.metrics.sent.WithLabelValues("chat", "suppressed")), 30)
		r.pass(2 * time.Hour)
		want(t, "requests", len(r.hook.requests()), 10)
	})
}

// TestSeverity: a channel is told of what it wants to hear.
func TestSeverity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newQueue())
		defer func() { r.Stop() }()
		r.settings.Channels[0].Severity = attention.Critical
		r.settings.Sends = func(id string) bool { return id != "DeviceRefused" }
		r.Apply(r.settings)
		*r.redirect, *r.devices = "test@contoso.test", devices(1)
		r.pass(time.Minute)
		want(t, "mail", len(r.queue.sent()), 0)
		want(t, "requests", len(r.hook.requests()), 1)
		if list, _ := r.List(t.Context(), false); len(list) != 2 {
			t.Errorf("%+v", list)
		}
	})
}

// TestFallback: mail goes by the first mailbox that is not in trouble, and by another one if it
// turns out that it is; never if it may have been sent.
func TestFallback(t *testing.T) {
	for name, tt := range map[string]struct {
		before bool // the first mailbox is paused before
		record queue.Record
		paused bool
		want   []queue.Lane
	}{
		"healthy":               {record: queue.Record{Status: queue.Status{State: queue.Sent}}, want: []queue.Lane{laneA}},
		"paused before":         {before: true, want: []queue.Lane{laneB}},
		"failed":                {record: queue.Record{Status: queue.Status{State: queue.Failed}}, want: []queue.Lane{laneA, laneB}},
		"held":                  {record: queue.Record{Status: queue.Status{State: queue.Held, Reason: reason.NotConnected}}, want: []queue.Lane{laneA, laneB}},
		"held in doubt":         {record: queue.Record{Status: queue.Status{State: queue.Held, Reason: reason.SendUnknown}}, want: []queue.Lane{laneA}},
		"deferred":              {record: queue.Record{Status: queue.Status{State: queue.Deferred}}, want: []queue.Lane{laneA}},
		"deferred, paused":      {record: queue.Record{Status: queue.Status{State: queue.Deferred}}, paused: true, want: []queue.Lane{laneA, laneB}},
		"in doubt, paused":      {record: queue.Record{Status: queue.Status{State: queue.Deferred, Progress: queue.Progress{InDoubt: true}}}, paused: true, want: []queue.Lane{laneA}},
		"delivering, paused":    {record: queue.Record{Status: queue.Status{State: queue.Delivering}}, paused: true, want: []queue.Lane{laneA}},
		"deleted by a person":   {record: queue.Record{Status: queue.Status{State: queue.Deleted}}, want: []queue.Lane{laneA}},
		"confirming and paused": {record: queue.Record{Status: queue.Status{State: queue.Deferred, Reason: reason.Confirming}}, paused: true, want: []queue.Lane{laneA}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, newQueue())
				defer func() { r.Stop() }()
				r.queue.paused[laneA] = tt.before
				*r.redirect = "test@contoso.test"
				r.look()
				first := r.queue.mail[0]
				if !tt.before {
					tt.record.ID, tt.record.Entry = first.ID, first.Entry
					r.queue.mu.Lock()
					r.queue.state[first.ID] = tt.record
					r.queue.paused[laneA] = tt.paused
					r.queue.mu.Unlock()
				}
				r.pass(time.Hour)
				var lanes []queue.Lane
				for _, m := range r.queue.mail {
					lanes = append(lanes, m.Lane)
				}
				want(t, "lanes", lanes, tt.want)
			})
		})
	}
}

// TestFullDisk: while incidents cannot be recorded, a mail waits, and a webhook is told.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newQueue())
		defer func() { r.Stop() }()
		folder := r.file + ".gone"
		r.starts.path = folder + "/alerts.json"
		*r.redirect = "test@contoso.test"
		r.pass(2 * time.Minute)
		want(t, "mail", len(r.queue.sent()), 0)
		want(t, "requests", len(r.hook.requests()), 1)
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		r.pass(2 * time.Hour)
		want(t, "mail", len(r.queue.sent()), 1)
		want(t, "requests", len(r.hook.requests()), 1)
		want(t, "errors", strings.Count(r.log.String(), "cannot keep the incidents"), 1)
	})
}

// TestShared: of the nodes of a queue one tells, and another goes on when it has gone.
func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		q.shared = true
		now := time.Now()
		node := func(id string, started time.Duration) queue.NodeStatus {
			return queue.NodeStatus{Node: queue.Node{ID: id, Name: id, Lease: now.Add(365 * 24 * time.Hour), About: queue.About{Started: now.Add(started)}}}
		}
		q.nodes = []queue.NodeStatus{node("node-1", time.Second), node("elder", 0)}
		young := newRig(t, q)
		young.hook.set(0)
		elder := &rig{t: t, queue: q, hook: young.hook, file: young.file + ".elder", redirect: young.redirect, devices: new([]attention.Device), log: &testlog.Buffer{}, settings: young.settings}
		elder.settings.Log = slog.New(slog.NewTextHandler(elder.log, nil))
		elder.start("elder")
		defer func() { young.Stop() }()
		both := func(d time.Duration) {
			for ; d > 0; d -= 15 * time.Second {
				time.Sleep(15 * time.Second)
				young.look()
				elder.look()
			}
		}
		*young.redirect = "test@contoso.test" // about the queue
		*young.devices = devices(1)           // about a node
		both(5 * time.Minute)
		want(t, "requests", len(q.sent()), 2)
		list, err := young.List(t.Context(), false)
		if err != nil || len(list) != 2 {
			t.Fatalf("%+v, %v", list, err)
		}
		elder.Stop() // dies
		q.nodes = q.nodes[:1]
		young.pass(time.Hour)
		want(t, "requests", len(q.sent()), 2)
		*young.redirect = ""
		young.pass(5 * time.Minute)
		want(t, "requests", len(q.sent()), 3)
		want(t, "incidents that the elder opened", strings.Count(elder.log.String(), "msg=incident "), 1)
		young.pass(time.Minute)
		for range 40 {
			time.Sleep(24 * time.Hour)
			young.pass(time.Minute)
		}
		want(t, "notes", len(q.notes), 0)
	})
}

// TestTestMessage: a test goes at once, and says what went wrong.
func TestTestMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newQueue())
		defer func() { r.Stop() }()
		result, err := r.Test(t.Context(), "operators")
		if err != nil || !strings.HasPrefix(result, "queued as "+r.queue.mail[0].ID) {
			t.Error(result, err)
		}
		if _, err := r.Test(t.Context(), "chat"); err != nil || len(r.hook.requests()) != 1 {
			t.Error(err)
		}
		r.hook.err = errors.New("no route")
		if _, err := r.Test(t.Context(), "chat"); err == nil || err.Error() != "no route" {
			t.Error(err)
		}
		if _, err := r.Test(t.Context(), "pager"); !errors.Is(err, ErrNoChannel) {
			t.Error(err)
		}
	})
}

// TestDigest is sent once a day, by mail alone.
func TestDigest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Local = time.UTC // the clock begins at midnight
		q := newQueue()
		add := func(n int, user, client, from string, s queue.State) {
			for range n {
				q.list = append(q.list, queue.Record{ID: fmt.Sprintf("%06d", len(q.list)), Received: time.Now().Add(-time.Hour),
					Entry: queue.Entry{User: user, Client: client, Envelope: queue.Envelope{From: from}}, Status: queue.Status{State: s}})
			}
		}
		add(1500, "crm", "192.0.2.1", "crm@contoso.test", queue.Sent)
		add(3, "", "192.0.2.2", "scan\r\nner@contoso.test", queue.Failed)
		add(1, "", "192.0.2.2", "scan\r\nner@contoso.test", queue.Returned)
		add(2, "", "", "", queue.Sent)
		r := newRig(t, q)
		defer func() { r.Stop() }()
		r.settings.Digest = "07:00"
		r.Apply(r.settings)
		r.pass(7*time.Hour - time.Minute)
		want(t, "mail", len(q.sent()), 0)
		r.pass(time.Hour)
		r.Stop()
		r.start("node-2")
		r.pass(2 * time.Hour)
		want(t, "mail", len(q.sent()), 1)
		want(t, "requests", len(r.hook.requests()), 0)
		body := strings.ReplaceAll(string(q.mail[0].Body), "=\r\n", "")
		_, body, _ = strings.Cut(body, "\r\n\r\n")
		want(t, "digest", body, strings.ReplaceAll(`Mail of 1999-12-31 07:00 to 2000-01-01 07:00 UTC

accepted  delivered returned  failed    held      waiting   by
1506      1503      1         3         0         0         all
4         1         1         3         0         0         192.0.2.2, as scan  ner@contoso.test
1500      1500      0         0         0         0         crm, as crm@contoso.test
2         2         0         0         0         0         the relay itself
`, "\n", "\r\n"))
		r.pass(48 * time.Hour)
		want(t, "mail", len(q.sent()), 3)
	})
}

// TestHeartbeat: it beats while the relay is ready.
func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newQueue())
		defer func() { r.Stop() }()
		var down atomic.Bool
		r.ready = func() error {
			if down.Load() {
				return errors.New("disk full")
			}
			return nil
		}
		r.settings.Heartbeat = Heartbeat{URL: "https://hc.test/secret-token", Every: time.Minute}
		r.Apply(r.settings)
		time.Sleep(10*time.Minute + time.Second)
		want(t, "beats", len(r.hook.requests()), 11)
		synctest.Wait()
		down.Store(true)
		time.Sleep(10 * time.Minute)
		want(t, "beats", len(r.hook.requests()), 11)
		synctest.Wait()
		down.Store(false)
		r.hook.set(404)
		time.Sleep(10 * time.Minute)
		want(t, "warnings", strings.Count(r.log.String(), "the heartbeat cannot be sent"), 1)
		if strings.Contains(r.log.String(), "secret-token") {
			t.Error(r.log.String())
		}
	})
}

// TestBadFile: a file that cannot be read is said, and does not keep the relay from starting.
func TestBadFile(t *testing.T) {
	file := t.TempDir() + "/alerts.json"
	for _, content := range []string{"{", `{"incidents":[null,{"reference":""}]}`, `{"incidents":[{"reference":"A","told":{"chat":null}}]}`} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := New(Config{Queue: newQueue(), File: file, Metrics: nil})
		if (err != nil) != (content == "{") || m == nil {
			t.Errorf("%s: %v", content, err)
		}
	}
}
