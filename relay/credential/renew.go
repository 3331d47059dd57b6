package credential

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"graphrelay/graph"
	"graphrelay/graph/entra"
)

// Entra makes the requests of the renewal to Entra and Graph.
type Entra interface {
	// Try requests a token with this certificate alone. Its error wraps ErrRefused if Entra does
	// not accept the certificate. Any other error says nothing about the certificate.
	Try(ctx context.Context, certificate tls.Certificate) error
	// AddKey, RemoveKey and FindKey are those of graph.Client, with a token that any accepted
	// certificate brings.
	AddKey(ctx context.Context, objectID string, certificate []byte, proof string) (keyID string, err error)
	RemoveKey(ctx context.Context, objectID, keyID, proof string) error
	FindKey(ctx context.Context, objectID string, certificate []byte) (keyID string, err error)
}

// ErrRefused means that Entra does not accept a certificate, at least not yet.
var ErrRefused = errors.New("Entra does not accept the certificate")

const (
	lookEvery = time.Hour        // at certificates that need nothing
	tryEvery  = 10 * time.Second // at most, a certificate that was just registered; Entra takes about 20 s
	maxPolls  = 120              // of a certificate at that pace
	busyWait  = time.Minute      // while another process renews the certificates of the folder
	// askAgain is the time after which a registration is asked for again if the certificate is
	// still not accepted, and confirmedFor that after Entra has confirmed it.
	askAgain     = 10 * time.Minute
	confirmedFor = 24 * time.Hour
	// checkStandby is how often a token is requested with the standby certificate.
	checkStandby = 24 * time.Hour
)

// Renewal renews the certificates of a store.
type Renewal struct {
	Store *Store
	Entra Entra
	Log   *slog.Logger

	begun        bool // the folder was cleared up and tried
	standbyTried time.Time
	polled       map[string]int // how often each file's certificate was tried soon after it was registered
	logged       string         // the last problem in the log
}

// Run renews certificates until ctx is done. A store may have several renewals, such as those
// of two configurations during a reload; one at a time works.
func (r *Renewal) Run(ctx context.Context) {
	for ctx.Err() == nil {
		wait := r.step(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// step does what can be done now, and returns when to look again.
func (r *Renewal) step(ctx context.Context) (wait time.Duration) {
	s := r.Store
	s.stepping.Lock()
	defer s.stepping.Unlock()
	unlock, err := s.lock()
	if err != nil {
		s.setUnwritable(err)
		r.logProblem(ctx, err, lookEvery)
		return lookEvery
	}
	if unlock == nil {
		return busyWait
	}
	defer unlock()
	s.takeUp()
	r.begin()
	if s.ObjectID() == "" {
		s.setProblem(errors.New("it is not registered for an application; run graphrelay setup"))
		return lookEvery
	}
	wait = lookEvery
	s.mu.Lock()
	all := s.unwritable
	s.mu.Unlock()
	for _, role := range []role{current, standby} {
		next, err := r.renew(ctx, role)
		wait = min(wait, next)
		if err != nil {
			err = fmt.Errorf("%s certificate: %w", role, err)
		}
		all = errors.Join(all, err)
	}
	all = errors.Join(all, r.tryStandby(ctx), r.removeRetired(ctx))
	if ctx.Err() == nil {
		s.setProblem(all)
	}
	r.logProblem(ctx, all, wait)
	return wait
}

// begin clears up what a crash has left, and finds out whether the folder can be written: at the
// start, and not when a renewal is due half a year later.
func (r *Renewal) begin() {
	s := r.Store
	if !r.begun {
		if err := s.removeStrays(); err != nil {
			r.Log.Warn("cannot remove files of certificates that a crash has left", "directory", s.dir, "error", err)
		}
	}
	if !r.begun || s.isUnwritable() {
		s.mu.Lock()
		err := s.save()
		s.mu.Unlock()
		s.setUnwritable(err)
	}
	r.begun = true
}

// logProblem logs why a renewal did not succeed: when that changes, and once an hour.
func (r *Renewal) logProblem(ctx context.Context, err error, wait time.Duration) {
	switch {
	case ctx.Err() != nil:
	case err == nil:
		r.logged = ""
	case wait >= lookEvery || err.Error() != r.logged:
		r.logged = err.Error()
		r.Log.Warn("cannot renew the certificate now; it is tried again", "directory", r.Store.dir, "in", wait.String(), "error", err)
	}
}

// soon returns when to try a certificate again that is being registered: after growing
// intervals up to tryEvery, but not for ever at that pace.
func (r *Renewal) soon(k *key) time.Duration {
	if r.polled == nil {
		r.polled = map[string]int{}
	}
	n := r.polled[k.File]
	if r.polled[k.File]++; n >= maxPolls {
		return lookEvery
	}
	return min(tryEvery, time.Second<<min(n, 4))
}

func (s *Store) isUnwritable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unwritable != nil
}

func (s *Store) setUnwritable(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unwritable = err
}

func (s *Store) setProblem(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problem = err
}

// renew takes the certificate with a role one step further, if it is due.
func (r *Renewal) renew(ctx context.Context, role role) (wait time.Duration, err error) {
	next, err := r.successor(role)
	if err != nil || next == nil {
		return lookEvery, err
	}
	if !next.Asked.IsZero() {
		err := r.Entra.Try(ctx, *next.pair)
		if err == nil {
			return lookEvery, r.use(next)
		}
		if !errors.Is(err, ErrRefused) {
			return r.soon(next), err
		}
		age, most := time.Since(next.Asked), askAgain
		if next.Registered {
			most = confirmedFor
		}
		switch {
		case age < 0: // the clock was set back
		case age < askAgain:
			return r.soon(next), nil
		case age < most:
			return lookEvery, fmt.Errorf("Entra has registered it, but has not accepted it for %s", age.Round(time.Minute))
		}
	}
	return r.register(ctx, next)
}

// successor returns the certificate that is to replace the one in use, or nil if that is not
// due. It makes one if there is none.
func (r *Renewal) successor(role role) (*key, error) {
	s, now := r.Store, time.Now()
	s.mu.Lock()
	next, old := s.find(role, candidate), s.find(role, inUse)
	s.mu.Unlock()
	if next != nil {
		if next.pair != nil && next.valid(now) && now.Before(next.renewAt()) {
			return next, nil
		}
		// Its file is lost, it has waited for too long, or the clock was wrong.
		if err := s.update(func() { next.Stage, next.Since = retired, now }); err != nil {
			return nil, err
		}
	} else if old != nil && !s.due(old, now) {
		return nil, nil
	}
	made, err := s.makeKey(role, s.name(), now)
	if err != nil {
		return nil, err
	}
	if err := s.update(func() { s.keys = append(s.keys, made) }); err != nil {
		_ = s.remove(made.File) // the next try makes another one
		return nil, err
	}
	r.Log.Info("made a new certificate", "directory", s.dir, "for", role, "thumbprint", thumbprint(made.pair), "until", made.pair.Leaf.NotAfter)
	return made, nil
}

// due reports whether a certificate in use has to be replaced.
func (s *Store) due(k *key, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return k.pair == nil || !now.Before(k.renewAt()) || !k.refused.IsZero() && now.Sub(k.refused) >= refusedLong
}

// name returns the common name of the certificates.
func (s *Store) name() string {
	for _, k := range s.usable(time.Now()) {
		if name := k.pair.Leaf.Subject.CommonName; name != "" {
			return name
		}
	}
	return "graphrelay"
}

// register asks Entra to register a certificate. Whatever the answer, a later call of Try finds
// out whether it is registered.
func (r *Renewal) register(ctx context.Context, next *key) (wait time.Duration, err error) {
	s := r.Store
	if err := s.update(func() { next.Asked, next.Registered = time.Now(), false }); err != nil {
		return lookEvery, err
	}
	var keyID string
	err = r.prove(next, func(proof string) (err error) {
		keyID, err = r.Entra.AddKey(ctx, s.ObjectID(), next.pair.Certificate[0], proof)
		return err
	})
	if err != nil {
		if refused, _ := graph.KeyRefused(err); refused {
			if graph.AccessDenied(err) {
				err = fmt.Errorf("%w; a policy seems to keep applications from registering their own certificates; an administrator can upload this one to Entra (docs/sign-in.md)", err)
			}
			return lookEvery, fmt.Errorf("Entra has refused to register %s: %w", next.File, err)
		}
		if errors.Is(err, errNoProof) {
			return lookEvery, fmt.Errorf("%s: %w", next.File, err)
		}
		return r.soon(next), fmt.Errorf("it is not known whether Entra has registered it: %w", err)
	}
	r.Log.Info("registered a new certificate", "directory", s.dir, "for", next.Role, "thumbprint", thumbprint(next.pair), "key_id", keyID)
	return r.soon(next), s.update(func() { next.Registered, next.KeyID = true, keyID })
}

// errNoProof means that no certificate is left with which another could be registered.
var errNoProof = errors.New("no registered certificate is valid any more, so that an administrator has to upload the new one to Entra (docs/sign-in.md)")

// prove calls do with a proof by each valid certificate but this one, until the proof is not
// refused.
func (r *Renewal) prove(except *key, do func(proof string) error) error {
	err := errNoProof
	now := time.Now()
	for _, k := range r.Store.usable(now) {
		if k == except || !k.valid(now) || k.Stage == candidate {
			continue
		}
		proof, e := entra.Certificate{Certificate: *k.pair}.Proof(r.Store.ObjectID())
		if e != nil {
			return e
		}
		err = do(proof)
		if _, refused := graph.KeyRefused(err); !refused {
			return err
		}
	}
	return err
}

// use puts a certificate that Entra accepts into use, and retires the one before.
func (r *Renewal) use(next *key) error {
	s, now := r.Store, time.Now()
	err := s.update(func() {
		if old := s.find(next.Role, inUse); old != nil {
			old.Stage, old.Since = retired, now
		}
		next.Stage, next.Since, next.Registered = inUse, now, true
	})
	delete(r.polled, next.File)
	if err == nil {
		r.Log.Info("use the new certificate", "directory", s.dir, "for", next.Role, "thumbprint", thumbprint(next.pair), "until", next.pair.Leaf.NotAfter)
	}
	return err
}

// tryStandby requests a token with the standby certificate now and then, since an administrator
// may have removed it. If Entra refuses it while it accepts the current one, it is replaced.
func (r *Renewal) tryStandby(ctx context.Context) error {
	s := r.Store
	s.mu.Lock()
	first, second := s.find(current, inUse), s.find(standby, inUse)
	wanted := second != nil && second.pair != nil && (!second.refused.IsZero() || time.Since(r.standbyTried) >= checkStandby)
	s.mu.Unlock()
	if !wanted {
		return nil
	}
	err := r.Entra.Try(ctx, *second.pair)
	switch {
	case err == nil:
		s.accepted(second)
	case !errors.Is(err, ErrRefused):
		return nil // it is not known; the current one would be refused as well
	case first != nil && first.pair != nil && r.Entra.Try(ctx, *first.pair) == nil:
		s.accepted(first, second)
	}
	r.standbyTried = time.Now()
	return nil
}

// removeRetired removes certificates from Entra and the disk that were replaced days ago.
func (r *Renewal) removeRetired(ctx context.Context) error {
	s, now := r.Store, time.Now()
	s.mu.Lock()
	old := slices.DeleteFunc(slices.Clone(s.keys), func(k *key) bool { return k.Stage != retired || now.Sub(k.Since) < keepRetired })
	s.mu.Unlock()
	for _, k := range old {
		if err := r.removeKey(ctx, k); err != nil {
			return fmt.Errorf("remove the old certificate: %w", err)
		}
		if err := s.update(func() { s.keys = slices.DeleteFunc(s.keys, func(other *key) bool { return other == k }) }); err != nil {
			return err
		}
		if err := s.remove(k.File); err != nil {
			return err
		}
	}
	return nil
}

// removeKey removes a certificate from Entra. One that is not there is removed. One whose key
// ID is not known, because the answer to its registration was lost, stays there until it
// expires, unless the application may read itself.
func (r *Renewal) removeKey(ctx context.Context, k *key) error {
	s, keyID := r.Store, k.KeyID
	if !k.Registered && k.Asked.IsZero() {
		return nil // it never was there
	}
	if keyID == "" && k.pair != nil {
		found, err := r.Entra.FindKey(ctx, s.ObjectID(), k.pair.Certificate[0])
		refused, _ := graph.KeyRefused(err)
		switch {
		case errors.Is(err, graph.ErrNoKey):
			return nil
		case err != nil && !refused:
			return err
		}
		keyID = found
	}
	if keyID == "" {
		r.Log.Info("the old certificate stays registered until it expires, since its key ID is not known; its key is deleted", "directory", s.dir, "file", k.File)
		return nil
	}
	err := r.prove(k, func(proof string) error { return r.Entra.RemoveKey(ctx, s.ObjectID(), keyID, proof) })
	if err == nil {
		r.Log.Info("removed the old certificate", "directory", s.dir, "file", k.File, "key_id", keyID)
	}
	if errors.Is(err, graph.ErrNoKey) {
		return nil
	}
	return err
}
