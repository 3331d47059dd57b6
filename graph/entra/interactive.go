package entra

import (
	"context"
	"errors"

	"golang.org/x/oauth2"
)

// Interactive signs a person in, with a device code (v2-oauth2-device-code) or in a browser
// (v2-oauth2-auth-code-flow). It stores nothing.
type Interactive struct {
	App
	Secret string // client secret; empty: a public client
	Scopes []string
}

// config returns the OAuth configuration. redirect is for the authorization code flow only.
func (i Interactive) config(redirect string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: i.ClientID, ClientSecret: i.Secret, RedirectURL: redirect,
		Endpoint: oauth2.Endpoint{
			AuthURL: i.endpoint("authorize"), DeviceAuthURL: i.endpoint("devicecode"), TokenURL: i.TokenURL(),
			AuthStyle: oauth2.AuthStyleInParams,
		},
		Scopes: i.Scopes,
	}
}

// DeviceCode begins a sign-in with a device code.
func (i Interactive) DeviceCode(ctx context.Context) (*oauth2.DeviceAuthResponse, error) {
	code, err := i.config("").DeviceAuth(ctx)
	return code, redactError(err, i.Secret)
}

// WaitForDevice polls the token endpoint, as often as it allows, until the person has signed
// in with the code or declined, or the code has expired.
func (i Interactive) WaitForDevice(ctx context.Context, code *oauth2.DeviceAuthResponse) (*oauth2.Token, error) {
	var more []oauth2.AuthCodeOption
	if i.Secret != "" {
		more = append(more, oauth2.SetAuthURLParam("client_secret", i.Secret))
	}
	token, err := i.config("").DeviceAccessToken(ctx, code, more...)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = &oauth2.RetrieveError{ErrorCode: "expired_token", ErrorDescription: "nobody signed in with the code in time"}
	}
	return token, redactError(err, i.Secret, code.DeviceCode)
}

// AuthURL returns the URL at which the person signs in with a browser, which Entra then
// sends to redirect with state and a code. verifier is from oauth2.GenerateVerifier (PKCE,
// RFC 7636); hint is the person's address, if known.
func (i Interactive) AuthURL(redirect, state, verifier, hint string) string {
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("prompt", "select_account")}
	if hint != "" {
		options = append(options, oauth2.SetAuthURLParam("login_hint", hint))
	}
	return i.config(redirect).AuthCodeURL(state, options...)
}

// Exchange redeems the code that the browser brought to redirect.
func (i Interactive) Exchange(ctx context.Context, redirect, code, verifier string) (*oauth2.Token, error) {
	token, err := i.config(redirect).Exchange(ctx, code, oauth2.VerifierOption(verifier))
	return token, redactError(err, i.Secret, code, verifier)
}
