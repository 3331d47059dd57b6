// Package entra signs in to Microsoft Entra ID. Each way to sign in is a type that
// implements graph.SignIn: its Source returns an oauth2.TokenSource that requests one new
// token for Microsoft Graph. Package graph caches the tokens.
//
// The package promises that a refusal by the token endpoint is an *oauth2.RetrieveError,
// whatever the way to sign in, and that no error contains a credential. It knows nothing
// of mail. Names in parentheses in comments, such as (v2-oauth2-device-code), are pages of
// the documentation of the Microsoft identity platform.
package entra

import (
	"context"
	"net/url"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// App is an application in a tenant, with the endpoints of its cloud. A token is valid for
// the Graph of that cloud only.
type App struct {
	Tenant   string // directory ID or domain
	ClientID string
	LoginURL string // such as https://login.microsoftonline.com
	GraphURL string // such as https://graph.microsoft.com
}

// TokenURL returns the URL of the token endpoint (v2-oauth2-client-creds-grant-flow).
func (a App) TokenURL() string { return a.endpoint("token") }

func (a App) endpoint(name string) string {
	return a.LoginURL + "/" + url.PathEscape(a.Tenant) + "/oauth2/v2.0/" + name
}

// credentials returns the configuration of a client credentials grant (RFC 6749 section
// 4.4), without a credential.
func (a App) credentials() clientcredentials.Config {
	return clientcredentials.Config{
		ClientID: a.ClientID, TokenURL: a.TokenURL(), Scopes: []string{a.GraphURL + "/.default"},
		AuthStyle: oauth2.AuthStyleInParams,
	}
}

// ClientSecret signs an application in with its client secret.
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
