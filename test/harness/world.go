package harness

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"

	"graphrelay/graph/simulator"
)

// World returns the world that is in force.
func (s *Sim) World(t *testing.T) simulator.World {
	t.Helper()
	return View[simulator.World](t, s, "world")
}

// SetWorld puts a world in force, also while mail flows.
func (s *Sim) SetWorld(t *testing.T, w simulator.World) {
	t.Helper()
	s.request(t, http.MethodPut, "world", w, http.StatusOK, nil)
}

// Plant adds an item of a mailbox's owner, and returns its id.
func (s *Sim) Plant(t *testing.T, m simulator.Message) string {
	t.Helper()
	var planted struct{ ID string }
	s.request(t, http.MethodPost, "items", m, http.StatusCreated, &planted)
	return planted.ID
}

// WantUntouched fails the test if anything was done to the items of Plant.
func (s *Sim) WantUntouched(t *testing.T) {
	t.Helper()
	for _, touch := range View[[]simulator.Touch](t, s, "touched") {
		t.Errorf("the owner's item %q in %s of %s was %s", touch.Subject, touch.Folder, touch.Mailbox, touch.What)
	}
}

// request makes a request below /_simulator with a body, and reads the answer into result
// unless that is nil.
func (s *Sim) request(t *testing.T, method, path string, body any, status int, result any) {
	t.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequest(method, s.URL+"/_simulator/"+path, bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	if reply.StatusCode != status {
		t.Fatalf("%s %s: %s", method, path, reply.Status)
	}
	if result != nil {
		if err := json.NewDecoder(reply.Body).Decode(result); err != nil {
			t.Fatal(err)
		}
	}
}
