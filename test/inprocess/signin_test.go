package inprocess

import (
	"io"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/relay/config"
)

// A relay in App Service sends with its managed identity, and requests a new token when
// Graph no longer accepts the old one.
func TestManagedIdentitySends(t *testing.T) {
	s, url := Simulate(t, simulator.Options{SendDelay: -1})
	t.Setenv("IDENTITY_ENDPOINT", url+"/msi/token")
	t.Setenv("IDENTITY_HEADER", simulator.IdentityHeader)
	t.Setenv("IMDS_ENDPOINT", "")
	cfg := Settings(t, t.TempDir(), url, "")
	c := &cfg.Connections[0]
	c.SignIn, c.Tenant, c.ClientID, c.ClientSecret = config.SignInManaged, "", "", config.Secret{}
	r := Run(t, cfg, io.Discard)
	for n := range 2 {
		if err := r.Send("127.0.0.1:0", "s"); err != nil {
			t.Fatal(err)
		}
		WaitSent(t, s, n+1)
		s.RevokeTokens()
	}
	if n := s.Stats().Calls[simulator.OpToken]; n != 2 {
		t.Errorf("%d tokens", n)
	}
}
