package harness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"

	"graphrelay/graph/simulator"
)

// Sim is a process of graphrelay simulate, or a simulator in the test's process.
type Sim struct {
	*Process // nil in the test's process
	URL      string
}

// StartSim starts a simulator that records requests which lack something that graphrelay
// promises to send. The test fails at its end if there were any.
func StartSim(t *testing.T, args ...string) *Sim {
	t.Helper()
	return startSim(t, ProgramPath(t), args...)
}

func startSim(t *testing.T, program string, args ...string) *Sim {
	t.Helper()
	address := fmt.Sprintf("127.0.0.1:%d", FreePort(t))
	s := &Sim{URL: "http://" + address}
	s.Process = StartProcess(t, program, append([]string{"simulate", "--listen", address, "--strict", "--quiet"}, args...)...)
	WaitFor(t, "the simulator", func() bool {
		if !s.Running() {
			t.Fatalf("simulate ended with status %d: %s", s.Status(), s.Log.String())
		}
		reply, err := http.Get(s.URL + "/_simulator/stats")
		if err != nil {
			return false
		}
		return reply.Body.Close() == nil
	})
	s.wantContract(t)
	return s
}

// ServeSim is StartSim in the test's process, for options that have no flags.
func ServeSim(t *testing.T, o simulator.Options) *Sim {
	t.Helper()
	o.RequireContract = true
	handler := simulator.New(o)
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.Close()
		handler.Close()
	})
	s := &Sim{URL: server.URL}
	s.wantContract(t)
	return s
}

func (s *Sim) wantContract(t *testing.T) {
	t.Cleanup(func() {
		for _, v := range View[[]simulator.Violation](t, s, "violations") {
			t.Errorf("%s %s breaks the contract: %s", v.Operation, v.Path, v.Text)
		}
	})
}

// View returns a part of the simulator's state, by its path below /_simulator.
func View[T any](t *testing.T, s *Sim, path string) T {
	t.Helper()
	var value T
	reply, err := http.Get(s.URL + "/_simulator/" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	if err := json.NewDecoder(reply.Body).Decode(&value); err != nil {
		t.Fatalf("simulator, %s: %v", path, err)
	}
	return value
}

// Ledger returns every accepted send.
func (s *Sim) Ledger(t *testing.T) []simulator.Delivery {
	t.Helper()
	return View[[]simulator.Delivery](t, s, "ledger")
}

// Sends returns the number of accepted sends. It costs less than Ledger.
func (s *Sim) Sends(t *testing.T) int {
	t.Helper()
	return View[simulator.Stats](t, s, "stats").Sent
}

// Messages returns the messages of a mailbox, or of all mailboxes if mailbox is empty.
func (s *Sim) Messages(t *testing.T, mailbox string) []simulator.Message {
	t.Helper()
	return View[[]simulator.Message](t, s, "messages?mailbox="+url.QueryEscape(mailbox))
}

// Drafts returns the drafts that clients have made.
func (s *Sim) Drafts(t *testing.T) []simulator.Message {
	t.Helper()
	return slices.DeleteFunc(s.Messages(t, ""), func(m simulator.Message) bool { return m.Planted || m.Folder != simulator.Drafts })
}

// Sent waits for a message in Sent Items of a mailbox, and returns it.
func (s *Sim) Sent(t *testing.T, mailbox, subject string) simulator.Message {
	t.Helper()
	var found simulator.Message
	WaitFor(t, fmt.Sprintf("%q in %s", subject, mailbox), func() bool {
		list := s.Messages(t, mailbox)
		i := slices.IndexFunc(list, func(m simulator.Message) bool { return m.Subject == subject && m.Folder == simulator.SentItems })
		if i >= 0 {
			found = list[i]
		}
		return i >= 0
	})
	return found
}

// moved waits until every accepted send has been moved to Sent Items.
func (s *Sim) moved(t *testing.T) {
	t.Helper()
	WaitFor(t, "the moves to Sent Items", func() bool {
		return !slices.ContainsFunc(s.Messages(t, ""), func(m simulator.Message) bool { return m.Submitted && m.Folder == simulator.Drafts })
	})
}

// Fault makes requests fail from now on.
func (s *Sim) Fault(t *testing.T, f simulator.Fault) {
	t.Helper()
	body, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := http.Post(s.URL+"/_simulator/faults", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusCreated {
		t.Fatalf("fault: %s", reply.Status)
	}
}

// ClearFaults removes all faults.
func (s *Sim) ClearFaults(t *testing.T) { s.remove(t, "faults") }

// Reset empties all mailboxes.
func (s *Sim) Reset(t *testing.T) { s.remove(t, "state") }

func (s *Sim) remove(t *testing.T, what string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodDelete, s.URL+"/_simulator/"+what, nil)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = reply.Body.Close()
}

// ReleasedSim is StartSim with the program built as for a release.
func ReleasedSim(t *testing.T, args ...string) *Sim {
	t.Helper()
	return startSim(t, ReleasedPath(t), args...)
}

// StoredMIME returns the MIME of an item that was created from MIME.
func (s *Sim) StoredMIME(t *testing.T, m simulator.Message) []byte {
	t.Helper()
	if m.MIME == nil {
		t.Fatal("the item was not made from MIME")
	}
	reply, err := http.Get(s.URL + "/_simulator/attachments/" + url.PathEscape(m.MIME.ID))
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	raw, err := io.ReadAll(reply.Body)
	if err != nil || reply.StatusCode != http.StatusOK || SHA256Hex(raw) != m.MIME.SHA256 {
		t.Fatalf("the MIME: %s, %v, %d bytes", reply.Status, err, len(raw))
	}
	return raw
}
