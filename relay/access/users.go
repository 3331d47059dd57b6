package access

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"graphrelay/graph"
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
	delay, err := p.guard.check(who.Client, name)
	if err != nil {
		return err
	}
	sleep(ctx, delay)
	hash, err := p.hash(ctx, name)
	if err != nil {
		return err
	}
	return p.passwords.verify(ctx, name, password, hash, func() error {
		_, err := p.guard.check(who.Client, name)
		return err
	})
}

// AuthenticateToken implements smtpd.Policy: the client brings a token for Graph.
func (p *Policy) AuthenticateToken(ctx context.Context, who smtpd.Identity, user, token string) error {
	if !smtpd.ValidAddress(user) {
		return &smtpd.Refusal{Code: 535, Enhanced: [3]int{5, 7, 8}, Reason: reason.Auth,
			Text: "The user name has to be the address of the mailbox that the token is for"}
	}
	delay, err := p.guard.check(who.Client, user)
	if err == nil {
		sleep(ctx, delay)
		err = p.PassThrough.SignInToken(ctx, p.passThrough(who), user, token)
	}
	return p.signedIn(ctx, who, user, err)
}

// signInApplication signs in an application, whose user name is client-id@tenant.
func (p *Policy) signInApplication(ctx context.Context, who smtpd.Identity, c *config.Connection, name, secret string) error {
	clientID, tenant, ok := config.ParseApplication(name)
	if !ok {
		return &smtpd.Refusal{Code: 535, Enhanced: [3]int{5, 7, 8}, Reason: reason.Auth,
			Text: "The user name has to be CLIENT-ID@TENANT of an Entra application, and the password its client secret"}
	}
	delay, err := p.guard.check(who.Client, name)
	if err != nil {
		return err
	}
	sleep(ctx, delay)
	return p.PassThrough.SignInApplication(ctx, c, name, clientID, tenant, secret)
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
	case errors.Is(err, errWrongPassword), graph.CredentialRefused(err):
		sleep(ctx, p.guard.failed(who.Client, name))
		return &smtpd.Refusal{Code: 535, Enhanced: [3]int{5, 7, 8}, Reason: reason.Auth,
			Text: "Wrong user name or password"}
	case errors.Is(err, errBlocked):
		return &smtpd.Refusal{Code: 421, Enhanced: [3]int{4, 7, 0}, Reason: reason.Blocked,
			Text: fmt.Sprintf("Too many wrong passwords from your address; correct yours and try again in %s", p.Config.Limits.AuthBlock)}
	case errors.Is(err, errBusy):
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

// certificateNames returns the names that an authority vouches for. The common name
// counts only where there is no other (RFC 6125 section 6.4.4): an authority that checks
// the others may leave it to whoever asks for a certificate.
func certificateNames(cert *x509.Certificate) []string {
	names := slices.Concat(cert.DNSNames, cert.EmailAddresses)
	if len(names) == 0 {
		names = append(names, cert.Subject.CommonName)
	}
	return names
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
