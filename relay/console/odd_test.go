package console

import (
	"net/http"
	"net/url"
	"testing"

	"graphrelay/relay/operators"
)

// TestOddRequests makes requests that no page makes. Each leads to a page of the console that is
// there, or to an answer that says what is wrong with the request.
func TestOddRequests(t *testing.T) {
	m := newMailConsole(t)
	id := m.put(attachedEntry(), attached)
	for _, back := range []string{"", "//evil.test", "/console/../x", "/console/..", "/console/%0d%0aX: y\r\n", "/x", `/console\x`} {
		for path, want := range map[string]string{"/console/messages/" + id + "/resend": "/console/messages/" + id, "/console/messages/act": "/console/messages"} {
			w := m.do(operators.Operator, http.MethodPost, path, url.Values{"back": {back}, "action": {"nothing"}})
			if got := w.Header().Get("Location"); w.Code != http.StatusSeeOther || got != want {
				t.Errorf("%s leads back to %q with %q, want %q", path, got, back, want)
			}
		}
	}
	for path, want := range map[string]int{
		"/console/messages/confirm?action=export&scope=all":                http.StatusBadRequest,
		"/console/messages/confirm?action=nothing&scope=all":               http.StatusBadRequest,
		"/console/messages/confirm?action=release&scope=all&state=deleted": http.StatusOK,
	} {
		if w := m.do(operators.Operator, http.MethodGet, path, nil); w.Code != want {
			t.Errorf("%s answers %d, want %d", path, w.Code, want)
		}
	}
	if w := m.do(operators.Viewer, http.MethodGet, "/console/messages/confirm?action=delete&scope=all", nil); w.Code != http.StatusForbidden {
		t.Errorf("a viewer is asked before a deletion: %d", w.Code)
	}
}
