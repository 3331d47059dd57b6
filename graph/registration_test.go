package graph_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"graphrelay/graph"
	"graphrelay/graph/entra"
)

const (
	objectA = "aaaaaaaa-0000-4000-8000-000000000001"
	objectB = "bbbbbbbb-0000-4000-8000-000000000002"
)

// directory returns a client of a directory that gives this answer to every request.
func directory(t *testing.T, status int, answer string) *graph.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(server.Close)
	return graph.New(graph.Config{GraphURL: server.URL, Timeout: time.Minute, SignIn: entra.StaticToken{Value: &oauth2.Token{AccessToken: "token"}}})
}

// TestApplicationsBelieved: an application is taken only if it shows the tag, and IDs that
// can stand in a path.
func TestApplicationsBelieved(t *testing.T) {
	c := directory(t, http.StatusOK, `{"value": [
		{"id": "`+objectA+`", "appId": "`+objectB+`", "tags": ["other"]},
		{"id": "../users", "appId": "`+objectB+`", "tags": ["ours"]},
		{"id": "`+objectB+`", "appId": "`+objectA+`", "tags": ["ours"]}]}`)
	found, err := c.FindApplications(t.Context(), "ours", "graphrelay")
	if err != nil || len(found) != 1 || found[0].ID != objectB {
		t.Errorf("found %+v, %v", found, err)
	}
	c = directory(t, http.StatusCreated, `{"id": "x", "appId": "y"}`)
	if _, err := c.CreateApplication(t.Context(), graph.Registration{}); !graph.Ambiguous(err) {
		t.Errorf("an application without a usable id: %v", err)
	}
}

func TestServicePrincipalBelieved(t *testing.T) {
	c := directory(t, http.StatusOK, `{"value": [{"id": "`+objectA+`", "appId": "`+objectA+`", "appRoles": [{"id": "`+objectB+`", "value": "Mail.Send"}]}]}`)
	if _, err := c.FindServicePrincipal(t.Context(), objectB); !errors.Is(err, graph.ErrNotRegistered) {
		t.Errorf("another application's service principal: %v", err)
	}
	p, err := c.FindServicePrincipal(t.Context(), strings.ToUpper(objectA))
	if err != nil || p.Role("Mail.Send") != objectB || p.Role("Mail.Read") != "" {
		t.Errorf("found %+v, %v", p, err)
	}
}

func TestNotRegistered(t *testing.T) {
	c := directory(t, http.StatusNotFound, `{"error": {"code": "Request_ResourceNotFound"}}`)
	if _, err := c.Application(t.Context(), objectA); !errors.Is(err, graph.ErrNotRegistered) {
		t.Errorf("get: %v", err)
	}
	if err := c.DeleteApplication(t.Context(), objectA); !errors.Is(err, graph.ErrNotRegistered) {
		t.Errorf("delete: %v", err)
	}
}

// TestKeyID: customKeyIdentifier comes in hex or in base64.
func TestKeyID(t *testing.T) {
	for _, identifier := range []string{"A9993E364706816ABA3E25717850C26C9CD0D89D", "qZk+NkcGgWq6PiVxeFDCbJzQ2J0="} {
		var app graph.Application
		if err := json.Unmarshal([]byte(`{"keyCredentials": [{"keyId": "other", "customKeyIdentifier": null}, {"keyId": "ours", "customKeyIdentifier": "`+identifier+`"}]}`), &app); err != nil {
			t.Fatal(err)
		}
		if got := app.KeyID([]byte("abc")); got != "ours" {
			t.Errorf("%s: %q", identifier, got)
		}
		if got := app.KeyID([]byte("abd")); got != "" {
			t.Errorf("%s: %q for another certificate", identifier, got)
		}
	}
}
