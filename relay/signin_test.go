package relay

import (
	"crypto/tls"
	"io"
	"reflect"
	"testing"

	"graphrelay/graph/entra"
	"graphrelay/graph/simulator"
	"graphrelay/relay/config"
)

func TestSignIn(t *testing.T) {
	cert := tls.Certificate{Certificate: [][]byte{{1}}}
	c := config.Connection{
		Tenant: "contoso.test", ClientID: "id", Endpoints: config.Endpoints{Login: "https://login.test", Graph: "https://graph.test"},
		ClientSecret: config.NewSecret("secret"), Certificate: &cert, CertificateChain: true, FederatedTokenFile: "token", ManagedIdentityClientID: "identity",
	}
	app := entra.App{Tenant: "contoso.test", ClientID: "id", LoginURL: "https://login.test", GraphURL: "https://graph.test"}
	for way, want := range map[config.SignIn]any{
		config.SignInSecret:      entra.ClientSecret{App: app, Secret: "secret"},
		config.SignInCertificate: entra.Certificate{App: app, Certificate: cert, Chain: true},
		config.SignInWorkload:    entra.WorkloadIdentity{App: app, TokenFile: "token"},
		config.SignInManaged:     entra.ManagedIdentity{GraphURL: "https://graph.test", ClientID: "identity"},
	} {
		c.SignIn = way
		if got := signIn(c, nil); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %T", way, got)
		}
	}
}

// A relay in App Service sends with its managed identity, and asks for a new token when
// Graph takes the old one no more.
func TestManagedIdentitySends(t *testing.T) {
	s, url := simWith(t, simulator.Options{SendDelay: -1})
	t.Setenv("IDENTITY_ENDPOINT", url+"/msi/token")
	t.Setenv("IDENTITY_HEADER", simulator.IdentityHeader)
	t.Setenv("IMDS_ENDPOINT", "")
	cfg := settings(t, t.TempDir(), url, "")
	c := &cfg.Connections[0]
	c.SignIn, c.Tenant, c.ClientID, c.ClientSecret = config.SignInManaged, "", "", config.Secret{}
	r := startRelay(t, cfg, io.Discard)
	for n := range 2 {
		if err := send(t, r, "127.0.0.1:0", "s"); err != nil {
			t.Fatal(err)
		}
		waitSent(t, s, n+1)
		s.RevokeTokens()
	}
	if n := s.Stats().Calls[simulator.OpToken]; n != 2 {
		t.Errorf("%d tokens", n)
	}
}
