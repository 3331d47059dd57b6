package access

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"graphrelay/graph"
	"graphrelay/internal/fair"
	"graphrelay/relay/config"
	"graphrelay/relay/reason"
	"graphrelay/relay/smtpd"
)

// Authenticate implements smtpd.Policy.
func (p *Policy) Authenticate(ctx context.Context, who smtpd.Identity, name, password string) error {
	if c := p.passThrough(who); c != nil {
		return p.signedIn(ctx, who, name, p.signInApplication(ctx, who, c, name, password))
	}
	return p.signedIn(ctx, who, name, p.verify(ctx, who, name, password))
}

func (p *Policy) verify(ctx context.Context, who smtpd.Identity, name, password string) error {
	return verifyGuarded(ctx, p.guard, p.passwords, who.Client, name, password, func() (string, error) { return p.hash(ctx, name) })
}

// AuthenticateToken implements smtpd.Policy: the client brings a token for Graph. The name of
// an application is not a mailbox's, and its place is not for a token.
func (p *Policy) AuthenticateToken(ctx context.Context, who smtpd.Identity, user, token string) error {
	if _, _, application := config.ParseApplication(user); application || !smtpd.ValidAddress(user) {
		return &smtpd.Refusal{Code: 535, Enhanced: [3]int{5, 7, 8}, Reason: reason.Auth,
			Text: "The user name has to be the address of the mailbox that the token is for"}
	}
	c := p.passThrough(who)
	return p.signedIn(ctx, who, user, p.askMicrosoft(ctx, who, c, user, token, func() error {
		return p.PassThrough.SignInToken(ctx, c, user, token)
	}))
}

// signInApplication signs in an application, whose user name is client-id@tenant.
func (p *Policy) signInApplication(ctx context.Context, who smtpd.Identity, c *config.Connection, name, secret string) error {
	clientID, tenant, ok := config.ParseApplication(name)
	if !ok {
		return &smtpd.Refusal{Code: 535, Enhanced: [3]int{5, 7, 8}, Reason: reason.Auth,
			Text: "The user name has to be CLIENT-ID@TENANT of an Entra application, and the password its client secret"}
	}
	return p.askMicrosoft(ctx, who, c, name, secret, func() error {
		return p.PassThrough.SignInApplication(ctx, c, name, clientID, tenant, secret)
	})
}

// Sign-ins that Microsoft decides, at a time: of all clients, and of one.
const (
	maxSignIns       = 16
	maxClientSignIns = 4
)

// askMicrosoft calls signIn when the guard allows it and it is the client's turn. A
// credential that is known need not wait.
func (p *Policy) askMicrosoft(ctx context.Context, who smtpd.Identity, c *config.Connection, name, credential string, signIn func() error) error {
	delay, err := p.guard.check(who.Client, name)
	if err != nil {
		return err
	}
	sleep(ctx, delay)
	if p.PassThrough.Knows(c, name, credential) {
		return signIn()
	}
	release, err := p.signIns.Acquire(ctx, smtpd.HostPrefix(who.Client))
	if err != nil {
		return err
	}
	defer release()
	return signIn()
}

// passThrough returns the connection of a listener whose clients bring their credential,
// or nil.
func (p *Policy) passThrough(who smtpd.Identity) *config.Connection {
	l := p.listeners[who.Listener]
	if l == nil || l.PassThrough == "" {
		return nil
	}
	return p.Config.ConnectionOf("", l.PassThrough)
}

// signedIn counts the result of a sign-in and returns what the client is told of it.
func (p *Policy) signedIn(ctx context.Context, who smtpd.Identity, name string, err error) error {
	var e *graph.Error
	switch {
	case err == nil:
		p.guard.succeeded(who.Client, name)
	case errors.Is(err, ErrWrongPassword), graph.CredentialRefused(err):
		sleep(ctx, p.guard.failed(who.Client, name))
		return &smtpd.Refusal{Code: 535, Enhanced: [3]int{5, 7, 8}, Reason: reason.Auth,
			Text: "Wrong user name or password"}
	case errors.Is(err, ErrBlocked):
		return &smtpd.Refusal{Code: 421, Enhanced: [3]int{4, 7, 0}, Reason: reason.Blocked,
			Text: fmt.Sprintf("Too many wrong passwords from your address; correct yours and try again in %s", p.Config.Limits.AuthBlock)}
	case errors.Is(err, fair.ErrBusy):
		return &smtpd.Refusal{Code: 454, Enhanced: [3]int{4, 7, 0}, Reason: reason.Busy,
			Text: "Too many clients sign in at the moment; try again later"}
	case errors.As(err, &e):
		return &smtpd.Refusal{Code: 454, Enhanced: [3]int{4, 7, 0}, Reason: reason.Busy,
			Text: "Microsoft 365 cannot be asked about the credential at the moment; try again later"}
	}
	return err
}

// hash returns the bcrypt hash of a user's password; it is empty for a user that does
// not exist.
func (p *Policy) hash(ctx context.Context, name string) (string, error) {
	if u := p.users[name]; u != nil {
		return u.PasswordHash.Reveal(), nil
	}
	m, err := p.mailboxOf(ctx, name)
	if m == nil || err != nil {
		return "", err
	}
	return m.Hash, nil
}

// CertificateUser implements smtpd.Policy.
func (p *Policy) CertificateUser(cert *x509.Certificate) string {
	for _, name := range certificateNames(cert) {
		for _, u := range p.Config.Users {
			if u.Certificate != "" && u.Certificate == strings.ToLower(name) {
				return u.Name
			}
		}
	}
	return ""
}

// subjectAltName is the extension of RFC 5280 section 4.2.1.6.
var subjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// certificateNames returns the names that an authority vouches for. The common name
// counts only where there is no alternative name of any kind (RFC 6125 section 6.4.4): an
// authority that checks those may leave it to whoever asks for a certificate.
func certificateNames(cert *x509.Certificate) []string {
	if slices.ContainsFunc(cert.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(subjectAltName) }) {
		return slices.Concat(cert.DNSNames, cert.EmailAddresses)
	}
	return []string{cert.Subject.CommonName}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
