package graphmail

import (
	"slices"
	"testing"
)

// A message that is accepted with a part shows that Graph does not refuse it of all: a client
// whose messages are odd does not cost the others that part.
func TestHabits(t *testing.T) {
	h := &habits{}
	for range 5 {
		h.learn("main", omitHeaders)
		h.learn("main", omitHeaders)
		h.unlearn("main", omitHeaders)
	}
	if known := h.known("main"); len(known) != 0 {
		t.Fatalf("it leaves out %v", known)
	}
	for i := range 4 {
		if news := h.learn("main", omitHeaders); news != (i == minHelped-1) {
			t.Errorf("message %d: news %v", i, news)
		}
		h.learn("main", omitSender)
	}
	if known := h.known("main"); !slices.Equal(known, []omission{omitHeaders}) || len(h.known("other")) != 0 {
		t.Errorf("it leaves out %v, and of another connection %v", known, h.known("other"))
	}
}
