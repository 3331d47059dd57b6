package delivery

import (
	"fmt"
	"slices"
	"testing"
)

func TestSomeOf(t *testing.T) {
	var all []string
	for i := range 25 {
		all = append(all, fmt.Sprintf("r%d@example.test", i))
	}
	if got := someOf(all[:20]); !slices.Equal(got, all[:20]) {
		t.Errorf("got %q", got)
	}
	if got := someOf(all); len(got) != 21 || got[20] != "and 5 more" || len(all) != 25 {
		t.Errorf("got %q", got)
	}
}
