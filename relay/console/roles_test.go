package console

import (
	"net/http"
	"strings"
	"testing"

	"graphrelay/relay/operators"
)

// TestRolesOfRoutes has each action of a page asked for by each role that is too low for it. Every
// action needs one that may change something.
func TestRolesOfRoutes(t *testing.T) {
	_, mux := testConsole(testRelay{})
	for _, p := range pages() {
		for _, a := range p.actions {
			if a.role < operators.Operator || a.role > operators.Admin {
				t.Errorf("the action %s needs the role %s", a.path, a.role)
				continue
			}
			path := root + strings.NewReplacer("{id}", "06rq2p8k1v4t9x3m").Replace(a.path)
			for role := operators.None; role < a.role; role++ {
				if w := as(mux, role, http.MethodPost, path, nil); w.Code != http.StatusForbidden {
					t.Errorf("POST %s as %s: %d", path, role, w.Code)
				}
			}
		}
	}
}
