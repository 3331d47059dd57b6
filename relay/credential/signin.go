package credential

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/oauth2"

	"graphrelay/graph/entra"
)

// maxTries limits how many certificates are tried for one token.
const maxTries = 6

// refusedLong is how long Entra has to refuse a certificate, while it accepts another, until
// that is taken for final. A new one is refused until Entra knows it everywhere.
const refusedLong = time.Hour

// SignIn signs an application in with the first certificate of the store that Entra accepts.
// It implements graph.SignIn.
type SignIn struct {
	entra.App
	Store *Store
}

// Source implements graph.SignIn.
func (s SignIn) Source(ctx context.Context, _ string) oauth2.TokenSource { return source{ctx, s} }

// PerMailbox implements graph.SignIn.
func (SignIn) PerMailbox() bool { return false }

type source struct {
	ctx    context.Context
	signIn SignIn
}

// Token implements oauth2.TokenSource. The error is that of the first certificate.
func (s source) Token() (*oauth2.Token, error) {
	var first error
	var refused []*key
	for _, k := range s.signIn.Store.usable(time.Now()) {
		token, err := entra.Certificate{App: s.signIn.App, Certificate: *k.pair}.Source(s.ctx, "").Token()
		if err == nil {
			s.signIn.Store.accepted(k, refused...)
			return token, nil
		}
		first = cmp.Or(first, err)
		if !Refused(err) {
			return nil, first
		}
		refused = append(refused, k)
	}
	if first == nil {
		first = &oauth2.RetrieveError{ErrorCode: "no_assertion", ErrorDescription: "no certificate in the folder can be read"}
	}
	return nil, first
}

// Refused reports whether an error of the token endpoint concerns the credential (RFC 6749
// section 5.2), so that another one of the application may be accepted.
func Refused(err error) bool {
	var e *oauth2.RetrieveError
	return errors.As(err, &e) && e.ErrorCode == "invalid_client"
}

// usable returns the keys in the order in which they are tried: the current one, the standby
// one, those that were replaced, and those that are being registered. Keys that seem not to
// be valid now come last, since the clock may be wrong.
func (s *Store) usable(now time.Time) []*key {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(s.keys), func(k *key) bool {
		return k.pair == nil || k.Stage == candidate && k.Asked.IsZero()
	})
	slices.SortStableFunc(list, func(a, b *key) int {
		return cmp.Or(cmp.Compare(a.order(now), b.order(now)), b.Since.Compare(a.Since))
	})
	return list[:min(len(list), maxTries)]
}

func (k *key) order(now time.Time) int {
	n := map[stage]int{inUse: 0, retired: 2, candidate: 3}[k.Stage]
	if k.Role == standby {
		n++
	}
	if !k.valid(now) {
		n += 10
	}
	return n
}

// accepted records that Entra has accepted a key, after it has refused others.
func (s *Store) accepted(k *key, refused ...*key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k.refused = time.Time{}
	for _, other := range refused {
		if other.refused.IsZero() {
			other.refused = time.Now()
		}
	}
}
