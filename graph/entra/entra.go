// Package entra signs in to Microsoft Entra ID. Each way to sign in is a type whose
// Source gives an oauth2.TokenSource that asks for one new token for Microsoft Graph;
// caching is left to the package graph. It knows nothing of mail.
//
// It promises that what the token endpoint refuses comes as an *oauth2.RetrieveError,
// whatever the way, and that no error holds a credential that it was given.
package entra

import (
	"context"
	"net/url"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// App is an application in a tenant, and where it signs in for what. A token is good
// for the Graph of one cloud alone.
type App struct {
	Tenant   string // directory ID or domain
	ClientID string
	LoginURL string // such as https://login.microsoftonline.com
	GraphURL string // such as https://graph.microsoft.com
}

// TokenURL is the token endpoint (v2-oauth2-client-creds-grant-flow).
func (a App) TokenURL() string { return a.endpoint("token") }

func (a App) endpoint(name string) string {
	return a.LoginURL + "/" + url.PathEscape(a.Tenant) + "/oauth2/v2.0/" + name
}

// credentials is the client credentials grant (RFC 6749 section 4.4).
func (a App) credentials() clientcredentials.Config {
	return clientcredentials.Config{
		ClientID: a.ClientID, TokenURL: a.TokenURL(), Scopes: []string{a.GraphURL + "/.default"},
		AuthStyle: oauth2.AuthStyleInParams,
	}
}

// ClientSecret signs an application in with its secret.
type ClientSecret struct {
	App
	Secret string
}

// Source implements graph.SignIn.
func (s ClientSecret) Source(ctx context.Context, _ string) oauth2.TokenSource {
	cc := s.credentials()
	cc.ClientSecret = s.Secret
	return redactingSource{cc.TokenSource(ctx), []string{s.Secret}}
}

// PerMailbox implements graph.SignIn.
func (ClientSecret) PerMailbox() bool { return false }
