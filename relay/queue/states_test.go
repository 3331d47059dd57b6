package queue

import (
	"slices"
	"testing"
)

func TestParseStates(t *testing.T) {
	if got, err := ParseStates("held, queued"); err != nil || !slices.Equal(got, []State{Held, Queued}) {
		t.Errorf("%v, %v", got, err)
	}
	for _, names := range []string{"", "held,", "lost", "Held"} {
		if got, err := ParseStates(names); err == nil {
			t.Errorf("%q reads as %v", names, got)
		}
	}
}
