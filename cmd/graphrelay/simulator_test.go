package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"graphrelay/graph/simulator"
)

// simProcess is `graphrelay simulate`.
type simProcess struct {
	*process
	url string
}

// startSim starts a simulator that notes every breach of what graphrelay promises
// to send; the test's end wants none.
func startSim(t *testing.T, args ...string) *simProcess {
	t.Helper()
	return startSimOf(t, programPath(t), args...)
}

func startSimOf(t *testing.T, program string, args ...string) *simProcess {
	t.Helper()
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	s := &simProcess{url: "http://" + address}
	s.process = startProcess(t, program, append([]string{"simulate", "--listen", address, "--strict", "--quiet"}, args...)...)
	waitFor(t, "the simulator", func() bool {
		if !s.running() {
			t.Fatalf("simulate ended with status %d: %s", s.status(), s.log.String())
		}
		reply, err := http.Get(s.url + "/_simulator/stats")
		if err != nil {
			return false
		}
		return reply.Body.Close() == nil
	})
	t.Cleanup(func() {
		for _, v := range read[[]simulator.Violation](t, s, "violations") {
			t.Errorf("%s %s breaks the contract: %s", v.Operation, v.Path, v.Text)
		}
	})
	return s
}

// read gets a part of the simulator's view.
func read[T any](t *testing.T, s *simProcess, path string) T {
	t.Helper()
	var value T
	reply, err := http.Get(s.url + "/_simulator/" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	if err := json.NewDecoder(reply.Body).Decode(&value); err != nil {
		t.Fatalf("simulator, %s: %v", path, err)
	}
	return value
}

// ledger lists every send that was accepted.
func (s *simProcess) ledger(t *testing.T) []simulator.Delivery {
	t.Helper()
	return read[[]simulator.Delivery](t, s, "ledger")
}

// messages lists what a mailbox holds; all of them, if mailbox is empty.
func (s *simProcess) messages(t *testing.T, mailbox string) []simulator.Message {
	t.Helper()
	return read[[]simulator.Message](t, s, "messages?mailbox="+url.QueryEscape(mailbox))
}

// sent waits for a message in a mailbox's Sent Items.
func (s *simProcess) sent(t *testing.T, mailbox, subject string) simulator.Message {
	t.Helper()
	var found simulator.Message
	waitFor(t, fmt.Sprintf("%q in %s", subject, mailbox), func() bool {
		list := s.messages(t, mailbox)
		i := slices.IndexFunc(list, func(m simulator.Message) bool { return m.Subject == subject && m.Folder == simulator.SentItems })
		if i >= 0 {
			found = list[i]
		}
		return i >= 0
	})
	return found
}

// moved waits until all that was accepted for sending is in Sent Items.
func (s *simProcess) moved(t *testing.T) {
	t.Helper()
	waitFor(t, "the moves to Sent Items", func() bool {
		return !slices.ContainsFunc(s.messages(t, ""), func(m simulator.Message) bool { return m.Submitted && m.Folder == simulator.Drafts })
	})
}

// fault makes calls go wrong from now on.
func (s *simProcess) fault(t *testing.T, f simulator.Fault) {
	t.Helper()
	body, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := http.Post(s.url+"/_simulator/faults", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusCreated {
		t.Fatalf("fault: %s", reply.Status)
	}
}

// clearFaults makes all calls go right again.
func (s *simProcess) clearFaults(t *testing.T) { s.remove(t, "faults") }

// reset forgets what all mailboxes hold.
func (s *simProcess) reset(t *testing.T) { s.remove(t, "state") }

func (s *simProcess) remove(t *testing.T, what string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodDelete, s.url+"/_simulator/"+what, nil)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = reply.Body.Close()
}

// releasedSim is startSim with the program as it is released.
func releasedSim(t *testing.T, args ...string) *simProcess {
	t.Helper()
	program, err := plainProgram()
	if err != nil {
		t.Fatal(err)
	}
	return startSimOf(t, program, args...)
}

// storedMIME is the message as the mailbox holds it.
func (s *simProcess) storedMIME(t *testing.T, m simulator.Message) []byte {
	t.Helper()
	if m.MIME == nil {
		t.Fatal("the item was not made from MIME")
	}
	reply, err := http.Get(s.url + "/_simulator/attachments/" + url.PathEscape(m.MIME.ID))
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	raw, err := io.ReadAll(reply.Body)
	if err != nil || reply.StatusCode != http.StatusOK || sha256Hex(raw) != m.MIME.SHA256 {
		t.Fatalf("the MIME: %s, %v, %d bytes", reply.Status, err, len(raw))
	}
	return raw
}
