package entra

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"golang.org/x/oauth2"

	"graphrelay/graph"
)

// RefreshTokens keeps the newest refresh token of each mailbox.
type RefreshTokens interface {
	// RefreshToken returns the token, and which one it is; graph.ErrNotConnected if
	// there is none, or Entra takes it no more.
	RefreshToken(ctx context.Context, mailbox string) (token string, version int64, err error)
	// Renew replaces that version, unless somebody else has by now. What it cannot keep,
	// it tells the operator: the token before still is good.
	Renew(ctx context.Context, mailbox string, version int64, token string)
	// Refuse notes that Entra takes that version no more, and why.
	Refuse(ctx context.Context, mailbox string, version int64, why string)
}

// Delegated signs in for owners of mailboxes, who agreed to it once: with a device code
// (v2-oauth2-device-code) or in a browser (v2-oauth2-auth-code-flow). From then on their
// refresh tokens do.
type Delegated struct {
	App
	Secret string // empty: a public client
	Tokens RefreshTokens
}

// PerMailbox implements graph.SignIn.
func (Delegated) PerMailbox() bool { return true }

func (d Delegated) config(redirect string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: d.ClientID, ClientSecret: d.Secret, RedirectURL: redirect,
		Endpoint: oauth2.Endpoint{
			AuthURL: d.endpoint("authorize"), DeviceAuthURL: d.endpoint("devicecode"), TokenURL: d.TokenURL(),
			AuthStyle: oauth2.AuthStyleInParams,
		},
		// Mail.ReadWrite does not include sending; offline_access asks for a refresh token.
		Scopes: []string{d.GraphURL + "/Mail.ReadWrite", d.GraphURL + "/Mail.Send", "offline_access"},
	}
}

// Source implements graph.SignIn.
func (d Delegated) Source(ctx context.Context, mailbox string) oauth2.TokenSource {
	return refreshSource{ctx, d, mailbox}
}

type refreshSource struct {
	ctx     context.Context
	d       Delegated
	mailbox string
}

// Token implements oauth2.TokenSource.
func (r refreshSource) Token() (*oauth2.Token, error) {
	old, version, err := r.d.Tokens.RefreshToken(r.ctx, r.mailbox)
	if err != nil {
		return nil, err
	}
	fresh, err := r.d.config("").TokenSource(r.ctx, &oauth2.Token{RefreshToken: old}).Token()
	if err != nil {
		err = redactError(err, old, r.d.Secret)
		if why := ownerRefusal(err); why != "" {
			r.d.Tokens.Refuse(r.ctx, r.mailbox, version, why)
			err = fmt.Errorf("%w: %w", graph.ErrNotConnected, err)
		}
		return nil, err
	}
	if fresh.RefreshToken != old {
		r.d.Tokens.Renew(r.ctx, r.mailbox, version, fresh.RefreshToken)
	}
	return fresh, nil
}

// ownerRefusal is what the endpoint says where only the owner can help: consent was revoked
// or has run out, or something is asked of the owner (OpenID Connect Core section
// 3.1.2.6). Otherwise it is empty.
func ownerRefusal(err error) string {
	var r *oauth2.RetrieveError
	owner := []string{"invalid_grant", "interaction_required", "consent_required", "login_required"}
	if !errors.As(err, &r) || !slices.Contains(owner, r.ErrorCode) {
		return ""
	}
	if r.ErrorDescription == "" {
		return r.ErrorCode
	}
	return r.ErrorDescription
}

// DeviceCode begins a sign-in on another device.
func (d Delegated) DeviceCode(ctx context.Context) (*oauth2.DeviceAuthResponse, error) {
	code, err := d.config("").DeviceAuth(ctx)
	return code, redactError(err, d.Secret)
}

// WaitForDevice asks, as often as the endpoint allows, until the owner has signed in with
// the code, has declined, or the code has run out.
func (d Delegated) WaitForDevice(ctx context.Context, code *oauth2.DeviceAuthResponse) (*oauth2.Token, error) {
	var more []oauth2.AuthCodeOption
	if d.Secret != "" {
		more = append(more, oauth2.SetAuthURLParam("client_secret", d.Secret))
	}
	token, err := d.config("").DeviceAccessToken(ctx, code, more...)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = &oauth2.RetrieveError{ErrorCode: "expired_token", ErrorDescription: "nobody signed in with the code in time"}
	}
	return requireRefreshToken(token, redactError(err, d.Secret, code.DeviceCode))
}

// AuthURL is where the owner's browser signs in, to come back to redirect with state and
// a code. verifier is from oauth2.GenerateVerifier (PKCE, RFC 7636).
func (d Delegated) AuthURL(redirect, state, verifier, hint string) string {
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("prompt", "select_account")}
	if hint != "" {
		options = append(options, oauth2.SetAuthURLParam("login_hint", hint))
	}
	return d.config(redirect).AuthCodeURL(state, options...)
}

// Exchange redeems the code that the browser came back with.
func (d Delegated) Exchange(ctx context.Context, redirect, code, verifier string) (*oauth2.Token, error) {
	token, err := d.config(redirect).Exchange(ctx, code, oauth2.VerifierOption(verifier))
	return requireRefreshToken(token, redactError(err, d.Secret, code, verifier))
}

// requireRefreshToken wants a token that lasts.
func requireRefreshToken(token *oauth2.Token, err error) (*oauth2.Token, error) {
	if err == nil && token.RefreshToken == "" {
		err = errors.New("the sign-in gave no refresh token; the application has to be allowed offline_access")
	}
	if err != nil {
		return nil, err
	}
	return token, nil
}

// PassThroughToken signs in with a token that somebody has brought, until it is refused: there is
// no other.
type PassThroughToken struct {
	Value oauth2.Token
	given atomic.Bool
}

// Source implements graph.SignIn.
func (b *PassThroughToken) Source(context.Context, string) oauth2.TokenSource { return b }

// Token implements oauth2.TokenSource.
func (b *PassThroughToken) Token() (*oauth2.Token, error) {
	if b.given.Swap(true) {
		return nil, fmt.Errorf("%w: the token that the client brought is good no more; the mail goes on when it signs in again", graph.ErrNotConnected)
	}
	return &b.Value, nil
}

// PerMailbox implements graph.SignIn.
func (*PassThroughToken) PerMailbox() bool { return false }

// StaticToken signs in with a token that is there already.
type StaticToken struct{ Value *oauth2.Token }

// Source implements graph.SignIn.
func (f StaticToken) Source(context.Context, string) oauth2.TokenSource {
	return oauth2.StaticTokenSource(f.Value)
}

// PerMailbox implements graph.SignIn.
func (StaticToken) PerMailbox() bool { return false }
