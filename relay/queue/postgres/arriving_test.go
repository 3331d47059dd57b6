package postgres

import (
	"testing"
	"time"

	"graphrelay/internal/testpostgres"
)

// TestForgottenConfirmation has the database lose the confirmation of a message, as a standby may
// that takes over: the message is claimed all the same, after a while, though its node lives on.
func TestForgottenConfirmation(t *testing.T) {
	t.Parallel()
	o := open(t, Options{URL: testpostgres.Database(t), Node: "n1"})
	old, young := o.mustPut(t, "old"), o.mustPut(t, "young")
	if err := o.storage.confirm(); err != nil {
		t.Fatal(err)
	}
	_, err := o.storage.work.Exec(t.Context(), "INSERT INTO arriving (id, node, lane) SELECT id, 'n1', lane FROM message")
	if err != nil {
		t.Fatal(err)
	}
	_, err = o.storage.work.Exec(t.Context(), "UPDATE message SET arrived = arrived - $1 WHERE id = $2", (2 * time.Minute).Microseconds(), old)
	if err != nil {
		t.Fatal(err)
	}
	for o.storage.sweep() {
	}
	if ids := o.claimed(t, "n1"); len(ids) != 1 || ids[0] != old {
		t.Errorf("claimed %v, want %s and not %s, which may be arriving", ids, old, young)
	}
}
