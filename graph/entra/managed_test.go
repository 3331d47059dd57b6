package entra_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"graphrelay/graph/entra"
	"graphrelay/graph/simulator"
)

// redirected sends requests for the endpoint of a virtual machine to another server.
type redirected struct {
	to    string
	hosts []string
}

func (r *redirected) Do(req *http.Request) (*http.Response, error) {
	r.hosts = append(r.hosts, req.URL.Host)
	target, err := url.Parse(r.to)
	if err != nil {
		return nil, err
	}
	req.URL.Host = target.Host
	req.Host = target.Host
	return http.DefaultClient.Do(req)
}

func startManaged(t *testing.T, o simulator.Options) (*simulator.Simulator, string) {
	t.Helper()
	for _, name := range []string{"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IMDS_ENDPOINT", "MSI_ENDPOINT", "MSI_SECRET", "IDENTITY_SERVER_THUMBPRINT"} {
		t.Setenv(name, "")
	}
	sim := simulator.New(o)
	server := httptest.NewServer(sim)
	t.Cleanup(func() { server.Close(); sim.Close() })
	return sim, server.URL
}

// The endpoints of a virtual machine and of App Service. Each token is a new one.
func TestManagedIdentity(t *testing.T) {
	for _, form := range []string{"virtual machine", "App Service"} {
		t.Run(form, func(t *testing.T) {
			_, server := startManaged(t, simulator.Options{Apps: []simulator.App{{ClientID: "44444444-1111-2222-3333-444444444444"}, {ClientID: ""}}})
			m := entra.ManagedIdentity{GraphURL: server}
			imds := &redirected{to: server}
			if form == "App Service" {
				t.Setenv("IDENTITY_ENDPOINT", server+"/msi/token")
				t.Setenv("IDENTITY_HEADER", simulator.IdentityHeader)
			} else {
				m.Client = imds
			}
			first, err := m.Source(t.Context(), "").Token()
			if err != nil || first.Expiry.IsZero() {
				t.Fatalf("%+v, %v", first, err)
			}
			second, err := m.Source(t.Context(), "").Token()
			if err != nil || second.AccessToken == first.AccessToken {
				t.Errorf("the second: %v", err)
			}
			m.ClientID = "44444444-1111-2222-3333-444444444444"
			if _, err := m.Source(t.Context(), "").Token(); err != nil {
				t.Errorf("user-assigned: %v", err)
			}
			if form != "App Service" && (len(imds.hosts) != 3 || imds.hosts[0] != "169.254.169.254") {
				t.Errorf("asked %v", imds.hosts)
			}
			m.GraphURL = "https://graph.microsoft.us"
			if _, err := m.Source(t.Context(), "").Token(); !strings.Contains(err.Error(), "invalid_resource") && !strings.Contains(err.Error(), "500011") {
				t.Errorf("another cloud: %v", err)
			}
		})
	}
}

// A refusal by the endpoint is a *oauth2.RetrieveError, a missing endpoint is not. Errors are
// one line.
func TestManagedIdentityFails(t *testing.T) {
	_, server := startManaged(t, simulator.Options{Apps: []simulator.App{{ClientID: "44444444-1111-2222-3333-444444444444"}}})
	m := entra.ManagedIdentity{GraphURL: server, ClientID: "55555555-1111-2222-3333-444444444444", Client: &redirected{to: server}}
	_, err := m.Source(t.Context(), "").Token()
	var r *oauth2.RetrieveError
	if !errors.As(err, &r) || r.Response.StatusCode != 400 || strings.Contains(err.Error(), "\n") {
		t.Errorf("not assigned: %v", err)
	}
	r, m.ClientID = nil, ""
	if _, err := m.Source(t.Context(), "").Token(); !errors.As(err, &r) || r.Response.StatusCode != 400 || strings.Contains(err.Error(), "\n") {
		t.Errorf("no system-assigned identity: %v", err)
	}
	t.Setenv("IDENTITY_ENDPOINT", server+"/msi/token")
	t.Setenv("IDENTITY_HEADER", "wrong")
	if _, err = (entra.ManagedIdentity{GraphURL: server}).Source(t.Context(), "").Token(); !errors.As(err, &r) || r.Response.StatusCode != 401 {
		t.Errorf("wrong header: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	t.Setenv("IDENTITY_ENDPOINT", "")
	if _, err = (entra.ManagedIdentity{GraphURL: server, Client: &redirected{to: "http://127.0.0.1:1"}}).Source(ctx, "").Token(); err == nil || errors.As(err, &r) && r.Response != nil && r.Response.StatusCode == 200 {
		t.Errorf("no endpoint: %v", err)
	}
}
