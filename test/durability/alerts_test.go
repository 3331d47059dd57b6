package durability

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"graphrelay/test/harness"
)

// chat is a webhook of alerts that answers with an error while it is down.
type chat struct {
	mu   sync.Mutex
	down bool
	got  []told
	keys map[string]bool // of these
}

type told struct {
	Type, Reference, Condition string
	Since, Closed              time.Time
	Seconds                    float64 `json:"duration_seconds"`
}

func (c *chat) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var m told
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil || c.down {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	// What a process was telling when it was killed is told again under the same key.
	if key := r.Header.Get("Webhook-Id"); !c.keys[key] {
		c.keys[key] = true
		c.got = append(c.got, m)
	}
}

func (c *chat) set(down bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = down
}

// of returns what was told of a condition.
func (c *chat) of(condition, kind string) (list []told) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.got {
		if m.Condition == condition && m.Type == "alert."+kind {
			list = append(list, m)
		}
	}
	return list
}

// TestKilledWithIncident kills the relay while an incident is open: before a channel could be told,
// and after. The incident keeps its reference, is told once, and is closed with its whole duration.
func TestKilledWithIncident(t *testing.T) {
	t.Parallel()
	hook := &chat{down: true, keys: map[string]bool{}}
	server := httptest.NewServer(hook)
	t.Cleanup(server.Close)
	relay := harness.StartRelay(t, harness.StartSim(t), harness.Replace("\ndelivery:\n", fmt.Sprintf(`
alerts:
  check_every: 1s
  close_after: 1s
  webhooks: [{name: chat, url: %q}]
  conditions: [{id: MailboxPaused, for: 1s}, {id: ConnectionPaused, for: 1s}]

delivery:
`, server.URL)))
	file := filepath.Join(relay.Dir, "data", "alerts.json")
	kept := func() (list []keptIncident) {
		data, err := os.ReadFile(file)
		var c struct{ Incidents []keptIncident }
		if err == nil {
			err = json.Unmarshal(data, &c)
		}
		if err != nil {
			t.Fatal(err)
		}
		return c.Incidents
	}
	lane := func(action, lane string) {
		t.Helper()
		if got := relay.QueueCommand(t, action, lane); got.Status != 0 {
			t.Fatalf("%s %s: %s", action, lane, got.Stderr)
		}
	}

	lane("pause", "contoso/crm@contoso.test")
	harness.WaitFor(t, "an incident that is kept", func() bool { return len(kept()) == 1 })
	before := kept()[0]
	relay.Kill(t)
	hook.set(false)
	relay.Start(t)
	harness.WaitFor(t, "the alert", func() bool { return len(hook.of("MailboxPaused", "opened")) > 0 })
	harness.WaitFor(t, "a record of it", func() bool { return kept()[0].Told["chat"].Opened })
	for range 2 {
		relay.Kill(t)
		relay.Start(t)
	}

	// The alert of another condition shows that the relay has looked, and told what there was to tell.
	lane("pause", "contoso")
	harness.WaitFor(t, "another alert", func() bool { return len(hook.of("ConnectionPaused", "opened")) > 0 })
	resumed := time.Now()
	lane("resume", "contoso") // and the mailbox
	harness.WaitFor(t, "the end", func() bool {
		return len(hook.of("MailboxPaused", "closed")) > 0 && len(hook.of("ConnectionPaused", "closed")) > 0
	})
	opened, closed := hook.of("MailboxPaused", "opened"), hook.of("MailboxPaused", "closed")
	if len(opened) != 1 || len(closed) != 1 {
		t.Fatalf("told %+v and %+v", opened, closed)
	}
	if o, c := opened[0], closed[0]; o.Reference != before.Reference || c.Reference != before.Reference || !o.Since.Equal(before.Since) || !c.Since.Equal(before.Since) {
		t.Errorf("%+v and %+v, want the incident %+v", o, c, before)
	}
	lasted := time.Duration(closed[0].Seconds * float64(time.Second))
	if d := closed[0].Closed.Sub(before.Since); closed[0].Closed.Before(resumed) || (lasted-d).Abs() > time.Millisecond {
		t.Errorf("it lasted %s, want %s, until after %s", lasted, d, resumed)
	}
	if list := harness.Command(t, "", "alerts", "--all", "--config", relay.Config); strings.Count(list.Stdout, before.Reference) != 1 {
		t.Errorf("alerts --all does not list %s once:\n%s%s", before.Reference, list.Stdout, list.Stderr)
	}
}

// keptIncident is what the test reads of an incident in the file.
type keptIncident struct {
	Reference string
	Since     time.Time
	Told      map[string]struct{ Opened bool }
}
