package access

import (
	"context"
	"errors"
	"net/netip"
)

// SignIns signs in others than mail clients, such as operators, as mail clients are: guesses are
// slowed down and then blocked. It is for one configuration. Its guard is another than that of
// mail clients, so that wrong passwords of those keep no operator out, and the other way round.
type SignIns struct {
	guard     *Guard
	passwords *passwords
}

// NewSignIns returns sign-ins with the hashes of all names. guard and v outlive it.
func NewSignIns(guard *Guard, v *Verifications, hashes []string) *SignIns {
	return &SignIns{guard, newPasswords(highestCost(hashes), v)}
}

// SignIn returns nil if the password is that of the hash, which is empty for a name that does not
// exist. Otherwise the error is ErrWrongPassword, after a while; ErrBlocked if there were too many
// of those; fair.ErrBusy if too many wait; or that of ctx.
func (s *SignIns) SignIn(ctx context.Context, client netip.Addr, name, password, hash string) error {
	err := verifyGuarded(ctx, s.guard, s.passwords, client, name, password, func() (string, error) { return hash, nil })
	switch {
	case err == nil:
		s.guard.succeeded(client, name)
	case errors.Is(err, ErrWrongPassword):
		sleep(ctx, s.guard.failed(client, name))
	}
	return err
}

// verifyGuarded verifies a password when the guard allows it.
func verifyGuarded(ctx context.Context, g *Guard, p *passwords, client netip.Addr, name, password string, hash func() (string, error)) error {
	delay, err := g.check(client, name)
	if err != nil {
		return err
	}
	sleep(ctx, delay)
	h, err := hash()
	if err != nil {
		return err
	}
	return p.verify(ctx, client, name, password, h, func() error {
		_, err := g.check(client, name)
		return err
	})
}
