package connection

import (
	"crypto/tls"
	"reflect"
	"testing"

	"graphrelay/graph/entra"
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
		if got := SignIn(c, nil); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %T", way, got)
		}
	}
}
