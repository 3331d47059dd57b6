package queue

import (
	"fmt"
	"slices"
	"strings"
)

// ParseStates parses the names of states, separated by commas.
func ParseStates(names string) ([]State, error) {
	var states []State
	for name := range strings.SplitSeq(names, ",") {
		s := State(strings.TrimSpace(name))
		if !slices.Contains(States(), s) {
			return nil, fmt.Errorf("unknown state %q; there are %v", name, States())
		}
		states = append(states, s)
	}
	return states, nil
}
