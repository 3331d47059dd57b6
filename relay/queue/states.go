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
			var known []string
			for _, s := range States() {
				known = append(known, string(s))
			}
			return nil, fmt.Errorf("unknown state %q; choose from %s", name, strings.Join(known, ", "))
		}
		states = append(states, s)
	}
	return states, nil
}
