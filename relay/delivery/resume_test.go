package delivery_test

import (
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/delivery/graphmail"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// An operator who ends a pause after denied access has the relay try at once, however long
// the pause was. The next pause is short again.
func TestResumeAfterDeniedAccess(t *testing.T) {
	r := newRig(t, simulator.Options{World: simulator.World{Denied: []string{"anna@contoso.test"}}})
	r.out.Connections = map[string]graphmail.Connection{"main": {ClientID: "app-main"}}
	defer r.start(r.store)()
	id := r.submit("From: anna@contoso.test\r\nSubject: s\r\n\r\ntext\r\n", r.to("anna@contoso.test", "ben@example.test"))
	rec := r.await(id, queue.Deferred)
	for _, want := range []string{"Test-ServicePrincipalAuthorization -Identity app-main -Resource anna@contoso.test", "graphrelay queue resume main/anna@contoso.test", "35 minutes"} {
		if !strings.Contains(rec.Detail, want) {
			t.Errorf("the operator is not told %q: %s", want, rec.Detail)
		}
	}
	resume := func() {
		t.Helper()
		if err := r.store.Pause(t.Context(), rec.Lane, time.Now().Add(35*time.Minute), reason.AccessDenied); err != nil {
			t.Fatal(err)
		}
		if err := r.store.Resume(t.Context(), rec.Lane); err != nil {
			t.Fatal(err)
		}
	}
	resume()
	if !r.eventually(func() bool { rec = r.get(id); return rec.Attempts == 2 && rec.State == queue.Deferred }) {
		t.Fatalf("not tried: %+v", rec)
	}
	if left := time.Until(rec.Due); left > 5*time.Minute {
		t.Errorf("the pause after a resume is %s", left)
	}
	if err := r.sim.ChangeWorld(func(w *simulator.World) { w.Denied = nil }); err != nil {
		t.Fatal(err)
	}
	resume()
	r.await(id, queue.Sent)
	r.sentOnce(id)
}
