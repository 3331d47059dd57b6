package attention

import (
	"fmt"
	"testing"
)

// What is beyond the bound of a kind is one observation, however few these are.
func TestLimit(t *testing.T) {
	for n := range maxSubjects + 3*maxExamples {
		var list []Observation
		for i := range n {
			list = append(list, Observation{Subject: fmt.Sprint(i)})
		}
		e := New(State{}, Catalogue, nil, nil)
		got := e.limit("DeviceRefused", list[:n:n])
		if n <= maxSubjects {
			if len(got) != n {
				t.Errorf("%d of %d are left", len(got), n)
			}
			continue
		}
		last, rest := got[len(got)-1], n-maxSubjects
		if len(got) != maxSubjects+1 || last.Subject != Others || last.Count != rest || len(last.Examples) != min(rest, maxExamples) || last.Examples[0] != fmt.Sprint(maxSubjects) {
			t.Errorf("of %d: %d, the last one %+v", n, len(got), last)
		}
	}
}
