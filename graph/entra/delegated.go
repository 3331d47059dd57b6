package entra

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"graphrelay/graph"
)

// RefreshTokens stores the newest refresh token of each mailbox.
type RefreshTokens interface {
	// RefreshToken returns the mailbox's token and its version. The error wraps
	// graph.ErrNotConnected if there is none, or if Entra no longer accepts it.
	RefreshToken(ctx context.Context, mailbox string) (token string, version int64, err error)
	// Grant returns what identifies the sign-in that the mailbox's tokens come from: it
	// changes when the mailbox is connected again. The error is as that of RefreshToken.
	Grant(ctx context.Context, mailbox string) (int64, error)
	// Renew replaces the token if it still has that version. It reports errors to the
	// operator itself: the previous token remains valid.
	Renew(ctx context.Context, mailbox string, version int64, token string)
	// Refuse records that Entra no longer accepts the token with that version, and why.
	Refuse(ctx context.Context, mailbox string, version int64, why string)
}

// Delegated signs in for the owners of mailboxes. Each owner signs in once, with a device
// code (v2-oauth2-device-code) or in a browser (v2-oauth2-auth-code-flow). From then on
// Delegated uses the owner's refresh tokens.
type Delegated struct {
	App
	Secret string // client secret; empty: a public client
	Tokens RefreshTokens
	// Shared asks to use also mailboxes of others in which the one who signs in has rights
	// (outlook-send-mail-from-other-user). It concerns sign-ins, not the tokens that follow.
	Shared bool
}

// sharedSuffix marks the permissions for mailboxes of others (permissions-reference).
const sharedSuffix = ".Shared"

// scopes returns the permissions that a sign-in has to bring. Mail.ReadWrite does not
// include sending.
func (d Delegated) scopes() []string {
	if d.Shared {
		return []string{"Mail.ReadWrite" + sharedSuffix, "Mail.Send" + sharedSuffix}
	}
	return []string{"Mail.ReadWrite", "Mail.Send"}
}

// requested returns the scope parameter of a sign-in. offline_access asks for a refresh
// token.
func (d Delegated) requested() []string {
	own := d
	own.Shared = false
	list := own.scopes()
	if d.Shared {
		list = append(list, d.scopes()...)
	}
	for i, name := range list {
		list[i] = d.GraphURL + "/" + name
	}
	return append(list, "offline_access")
}

// PerMailbox implements graph.SignIn.
func (Delegated) PerMailbox() bool { return true }

// Grant implements graph.Grants.
func (d Delegated) Grant(ctx context.Context, mailbox string) (int64, error) {
	return d.Tokens.Grant(ctx, mailbox)
}

// interactive returns the sign-in of an owner.
func (d Delegated) interactive() Interactive { return Interactive{d.App, d.Secret, d.requested()} }

// Source implements graph.SignIn.
func (d Delegated) Source(ctx context.Context, mailbox string) oauth2.TokenSource {
	return refreshSource{ctx, d, mailbox}
}

// refreshSource requests a token with the mailbox's refresh token.
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
	fresh, err := r.d.interactive().config("").TokenSource(r.ctx, &oauth2.Token{RefreshToken: old}).Token()
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

// ownerRefusal returns the endpoint's explanation if the owner has to sign in again: the
// consent was revoked or has expired, or Entra wants something of the owner (OpenID Connect
// Core section 3.1.2.6). Otherwise it returns "".
func ownerRefusal(err error) string {
	var r *oauth2.RetrieveError
	codes := []string{"invalid_grant", "interaction_required", "consent_required", "login_required"}
	if !errors.As(err, &r) || !slices.Contains(codes, r.ErrorCode) {
		return ""
	}
	if r.ErrorDescription == "" {
		return r.ErrorCode
	}
	return r.ErrorDescription
}

// DeviceCode begins a sign-in with a device code.
func (d Delegated) DeviceCode(ctx context.Context) (*oauth2.DeviceAuthResponse, error) {
	return d.interactive().DeviceCode(ctx)
}

// WaitForDevice waits for the owner, as Interactive does.
func (d Delegated) WaitForDevice(ctx context.Context, code *oauth2.DeviceAuthResponse) (*oauth2.Token, error) {
	return d.complete(d.interactive().WaitForDevice(ctx, code))
}

// AuthURL returns the URL at which the owner signs in with a browser, as Interactive does.
func (d Delegated) AuthURL(redirect, state, verifier, hint string) string {
	return d.interactive().AuthURL(redirect, state, verifier, hint)
}

// Exchange redeems the code that the browser brought to redirect.
func (d Delegated) Exchange(ctx context.Context, redirect, code, verifier string) (*oauth2.Token, error) {
	return d.complete(d.interactive().Exchange(ctx, redirect, code, verifier))
}

// Widen requests, with the refresh token of a sign-in, a token with the scopes of d. Entra
// issues it only if the user or an administrator has agreed to them before.
func (d Delegated) Widen(ctx context.Context, signedIn *oauth2.Token) (*oauth2.Token, error) {
	request := clientcredentials.Config{ // a token request without interaction, with the fields of RFC 6749 section 6
		ClientID: d.ClientID, ClientSecret: d.Secret, TokenURL: d.TokenURL(), Scopes: d.requested(), AuthStyle: oauth2.AuthStyleInParams,
		EndpointParams: url.Values{"grant_type": {"refresh_token"}, "refresh_token": {signedIn.RefreshToken}},
	}
	token, err := request.Token(ctx)
	return d.complete(token, redactError(err, d.Secret, signedIn.RefreshToken))
}

// complete returns an error if the token of a sign-in has no refresh token, or lacks a
// permission. Without the field scope it has what was asked for (RFC 6749 section 5.1).
func (d Delegated) complete(token *oauth2.Token, err error) (*oauth2.Token, error) {
	if err != nil {
		return nil, err
	}
	if token.RefreshToken == "" {
		return nil, errors.New("no refresh token came from Entra; grant the application the permission offline_access")
	}
	granted, _ := token.Extra("scope").(string)
	if lacking := d.lacking(granted); len(lacking) > 0 {
		return nil, fmt.Errorf("the token that Entra issued lacks %[1]s; add %[1]s to the delegated permissions of the application in the Entra admin center, and agree when you sign in",
			strings.Join(lacking, " and "))
	}
	return token, nil
}

// lacking returns the permissions that a sign-in has to bring and that the scope parameter
// of its token does not name, each with or without the Graph that it is for. A permission
// for mailboxes of others includes the signer's own.
func (d Delegated) lacking(granted string) (lacking []string) {
	fields := strings.Fields(granted)
	for _, name := range d.scopes() {
		if len(fields) > 0 && !slices.ContainsFunc(fields, func(f string) bool {
			f = f[strings.LastIndexByte(f, '/')+1:]
			return strings.EqualFold(f, name) || strings.EqualFold(f, name+sharedSuffix)
		}) {
			lacking = append(lacking, name)
		}
	}
	return lacking
}

// PassThroughToken signs in with an access token that an SMTP client has presented. There
// is no way to get another one: once Graph has refused it, the client has to sign in again.
type PassThroughToken struct {
	Value oauth2.Token
	used  atomic.Bool
}

// Source implements graph.SignIn.
func (p *PassThroughToken) Source(context.Context, string) oauth2.TokenSource { return p }

// Token implements oauth2.TokenSource. It returns the token once: a second call means that
// the token was refused or has expired.
func (p *PassThroughToken) Token() (*oauth2.Token, error) {
	if p.used.Swap(true) {
		return nil, fmt.Errorf("%w: the token that the client presented is no longer accepted; its mail is sent when the client signs in again", graph.ErrNotConnected)
	}
	return &p.Value, nil
}

// PerMailbox implements graph.SignIn.
func (*PassThroughToken) PerMailbox() bool { return false }

// StaticToken signs in with a token that was obtained before.
type StaticToken struct{ Value *oauth2.Token }

// Source implements graph.SignIn.
func (f StaticToken) Source(context.Context, string) oauth2.TokenSource {
	return oauth2.StaticTokenSource(f.Value)
}

// PerMailbox implements graph.SignIn.
func (StaticToken) PerMailbox() bool { return false }
