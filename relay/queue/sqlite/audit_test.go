package sqlite

import (
	"testing"
	"time"

	"graphrelay/relay/queue"
)

// The oldest audits are removed beyond a bound.
func TestDropAudits(t *testing.T) {
	s := open(t, Options{Dir: t.TempDir(), Exclusive: true})
	for _, id := range []string{"1", "2", "3", "4"} {
		if err := s.SetAudit(t.Context(), queue.Audit{ID: id, At: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	for keep, want := range map[int]int{4: 4, 5: 4} {
		if err := s.storage.Update(t.Context(), func(tx queue.Tx) error { return tx.DropAudits(keep) }); err != nil {
			t.Fatal(err)
		}
		if list, err := s.Audits(t.Context(), 10); err != nil || len(list) != want {
			t.Errorf("of 4 audits, %d are kept as %+v, %v", keep, list, err)
		}
	}
	if err := s.storage.Update(t.Context(), func(tx queue.Tx) error { return tx.DropAudits(2) }); err != nil {
		t.Fatal(err)
	}
	if list, err := s.Audits(t.Context(), 10); err != nil || len(list) != 2 || list[0].ID != "3" {
		t.Errorf("kept %+v, %v", list, err)
	}
}
