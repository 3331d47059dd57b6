package delivery_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/delivery/graphmail"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// restore has do happen, and then brings the queue back to what it was before.
func (r *rig) restore(do func()) {
	r.t.Helper()
	backup := r.t.TempDir()
	if err := r.store.Close(); err != nil {
		r.t.Fatal(err)
	}
	if err := os.CopyFS(backup, os.DirFS(r.dir)); err != nil {
		r.t.Fatal(err)
	}
	r.open()
	do()
	if !r.eventually(func() bool { return r.sim.UnderWay() == 0 }) { // a restore takes longer than the way to Sent Items
		r.t.Error("what was sent does not arrive in Sent Items")
	}
	if err := r.store.Close(); err != nil {
		r.t.Fatal(err)
	}
	if err := os.RemoveAll(r.dir); err != nil {
		r.t.Fatal(err)
	}
	if err := os.CopyFS(r.dir, os.DirFS(backup)); err != nil {
		r.t.Fatal(err)
	}
	r.open()
}

// TestRestored has messages sent, and the queue restored from a backup in which they wait. What is
// in the mailbox is not sent again, what is not there is sent, and what cannot be looked for is
// held.
func TestRestored(t *testing.T) {
	r := newRig(t, simulator.Options{})
	r.out.Connections = map[string]graphmail.Connection{"copyless": {DropCopies: true}, "sendonly": {SendOnly: true}}
	r.connect("copyless", secret)
	r.connect("sendonly", secret)
	in := func(connection, mailbox string) queue.Entry {
		e := r.to(mailbox, "bob@example.org")
		e.Lane.Connection = connection
		return e
	}
	sent := map[string]string{
		"draft":      r.submit(compose(header("draft"), "text", smallFiles[0]), in("main", anna)),
		"MIME":       r.submit(signed("mime"), in("main", anna)),
		"no copies":  r.submit(compose(header("copyless"), "text"), in("copyless", "carl@contoso.test")),
		"no look-up": r.submit(compose(header("sendonly"), "text"), in("sendonly", "dora@contoso.test")),
	}
	twin := r.submit(signed("twin"), in("main", "eve@contoso.test"))
	other := r.submit(signed("twin"), in("main", "eve@contoso.test"))
	waiting := r.submit(compose(header("waiting"), "text"), in("main", "fred@contoso.test"))
	lane := queue.Lane{Connection: "main", Mailbox: "fred@contoso.test"}
	if err := r.store.Pause(t.Context(), lane, queue.Forever, reason.Operator); err != nil {
		t.Fatal(err)
	}
	r.restore(func() {
		defer r.start(nil)()
		for _, id := range sent {
			r.await(id, queue.Sent)
		}
		r.await(twin, queue.Sent)
		r.await(other, queue.Sent)
	})
	if n, err := r.store.Restored(t.Context(), "anna"); n != 7 || err != nil {
		t.Fatalf("%d messages may have been sent, error %v; want 7", n, err)
	}
	if err := r.store.Resume(t.Context(), lane); err != nil {
		t.Fatal(err)
	}
	defer r.start(nil)()
	for name, id := range sent {
		state := queue.Sent
		if strings.HasPrefix(name, "no ") {
			state = queue.Held
		}
		if rec := r.await(id, state); state == queue.Held && rec.Reason != reason.SendUnknown {
			t.Errorf("%s: held for %s", name, rec.Reason)
		}
		if found := r.deliveries(id); len(found) != 1 {
			t.Errorf("%s: it was sent %d times\n%s", name, len(found), r.history(id))
		}
	}
	for _, id := range []string{twin, other} { // which cannot be told from each other
		r.await(id, queue.Held)
	}
	if n := len(r.deliveries(twin)); n != 2 { // which are found by their Message-ID
		t.Errorf("two messages that look the same were sent %d times", n)
	}
	r.await(waiting, queue.Sent)
	if found := r.deliveries(waiting); len(found) != 1 {
		t.Errorf("a message that had not been sent was sent %d times\n%s", len(found), r.history(waiting))
	}
	r.noDrafts()
}

// TestRestoredInWorlds restores a queue where what was sent has lost its queue ID, where mailboxes
// cannot be searched, and where searches fail for a while.
func TestRestoredInWorlds(t *testing.T) {
	for name, tt := range map[string]struct {
		world simulator.World
		fault *simulator.Fault
		state queue.State
	}{
		"no queue ID":       {simulator.World{SendLosesProperties: true}, nil, queue.Sent},
		"no search":         {simulator.World{FilterStatus: 400}, nil, queue.Held},
		"unreliable search": {simulator.World{FilterIgnored: true}, nil, queue.Sent},
		"fails for a while": {simulator.World{}, &simulator.Fault{Operation: simulator.OpList, Count: 3, Status: 503, RetryAfter: "0.05"}, queue.Sent},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, simulator.Options{World: tt.world})
			id := r.submit(compose(header("one"), "text"), r.to(anna, "bob@example.org"))
			r.restore(func() {
				defer r.start(nil)()
				r.await(id, queue.Sent)
			})
			if _, err := r.store.Restored(t.Context(), "anna"); err != nil {
				t.Fatal(err)
			}
			passing := 0
			if tt.fault != nil {
				passing = r.fault(*tt.fault)
			}
			defer r.start(nil)()
			r.await(id, tt.state)
			if found := r.deliveries(id); len(found) != 1 {
				t.Errorf("it was sent %d times\n%s", len(found), r.history(id))
			}
			if tt.fault != nil && r.acted(passing) != tt.fault.Count {
				t.Errorf("the search has failed %d times", r.acted(passing))
			}
		})
	}
}

// TestRestoredAfterDays: the backup is older than the time for which the queue believes to have
// been stopped. What was sent meanwhile is found by its Message-ID, since the message was received
// before it.
func TestRestoredAfterDays(t *testing.T) {
	r := newRig(t, simulator.Options{})
	r.clock.set(-3 * day)
	r.reopen()
	id := r.submit(signed("days"), r.to(anna, "bob@example.org"))
	r.plantAlike(simulator.SentItems, "days", time.Now().Add(-2*day))
	r.clock.set(0)
	r.reopen()
	if n, err := r.store.Restored(t.Context(), "anna"); n != 1 || err != nil {
		t.Fatalf("%d messages may have been sent, error %v; want 1", n, err)
	}
	defer r.start(nil)()
	r.await(id, queue.Sent)
	if n := len(r.sim.Ledger()); n != 0 {
		t.Errorf("it was sent again\n%s", r.history(id))
	}
}

// TestRestoredAmongMany restores a queue whose message is one of hundreds in the mailbox with the
// same Message-ID: a program has sent it to each recipient alone.
func TestRestoredAmongMany(t *testing.T) {
	r := newRig(t, simulator.Options{})
	id := r.submit(signed("many"), r.to(anna, "bob@example.org"))
	others := func() {
		item := simulator.Message{Mailbox: anna, Folder: simulator.SentItems, Subject: "many", InternetMessageID: "<many@client.test>"}
		for n := range 120 { // more than a page
			item.To = []simulator.Address{{Address: fmt.Sprintf("to%d@example.org", n)}}
			if _, err := r.sim.Plant(item); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.restore(func() {
		others()
		defer r.start(nil)()
		r.await(id, queue.Sent)
		others()
	})
	if _, err := r.store.Restored(t.Context(), "anna"); err != nil {
		t.Fatal(err)
	}
	defer r.start(nil)()
	r.await(id, queue.Sent)
	if found := r.deliveries(id); len(found) != 1 {
		t.Errorf("it was sent %d times\n%s", len(found), r.history(id))
	}
}
