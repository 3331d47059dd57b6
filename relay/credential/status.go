package credential

import (
	"crypto/tls"
	"fmt"
	"path/filepath"
	"time"
)

// Status describes a certificate of a store.
type Status struct {
	Use        string    `json:"use" doc:"What it is used as: current, standby, new or old."`
	Thumbprint string    `json:"thumbprint,omitempty" doc:"The thumbprint of the certificate."`
	Until      time.Time `json:"until,omitzero" doc:"When the certificate expires."`
	Renewal    time.Time `json:"renewal,omitzero" doc:"When its renewal is due."`
	Registered bool      `json:"registered" doc:"Whether it is registered in Entra."`
	Managed    bool      `json:"managed" doc:"Whether the relay made it."`
	// Unremovable means that Entra's ID of the certificate is not known, so that it stays
	// registered after its renewal, unless the application may read itself.
	Unremovable bool   `json:"unremovable,omitempty" doc:"Whether it stays registered in Entra after its renewal."`
	Fault       string `json:"fault,omitempty" doc:"Why its file cannot be used."`

	Pair *tls.Certificate `json:"-"` // nil if its file cannot be used
}

// Of returns the status of a certificate that is not in a store.
func Of(pair *tls.Certificate) Status {
	return Status{Use: string(current), Thumbprint: thumbprint(pair), Until: pair.Leaf.NotAfter, Registered: true, Pair: pair}
}

// Status returns the certificates of the store: those in use, then the others.
func (s *Store) Status() (list []Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, of := range []stage{inUse, candidate, retired} {
		for _, k := range s.keys {
			if k.Stage != of {
				continue
			}
			shown := Status{Use: map[stage]string{inUse: string(k.Role), candidate: "new", retired: "old"}[of], Registered: k.Registered, Managed: true, Pair: k.pair,
				Unremovable: k.Registered && k.KeyID == ""}
			if k.pair == nil {
				shown.Fault = k.err.Error()
			} else {
				shown.Thumbprint, shown.Until = thumbprint(k.pair), k.pair.Leaf.NotAfter
				if of == inUse {
					shown.Renewal = k.renewAt()
				}
			}
			list = append(list, shown)
		}
	}
	return list
}

// Expires returns when the certificate expires that is used for the next token.
func (s *Store) Expires(now time.Time) time.Time {
	if usable := s.usable(now); len(usable) > 0 {
		return usable[0].pair.Leaf.NotAfter
	}
	return time.Time{}
}

// renewalGrace is how long a renewal may be overdue before Problem reports it.
const renewalGrace = 7 * 24 * time.Hour

// Problem returns why certificates that should have been renewed days ago have not been, and
// what to do; "" if all is well.
func (s *Store) Problem(now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.objectID == "" {
		return "it is not registered for an application; run graphrelay setup"
	}
	if s.unwritable != nil {
		return fmt.Sprintf("the relay cannot write to the folder (%v); let its user write there", s.unwritable)
	}
	for _, r := range []role{current, standby} {
		k := s.find(r, inUse)
		var overdue string
		switch {
		case k == nil:
			overdue = fmt.Sprintf("there is no %s certificate", r)
		case k.pair == nil:
			overdue = fmt.Sprintf("the %s certificate cannot be used (%v)", r, k.err)
		case now.Sub(k.renewAt()) > renewalGrace:
			overdue = fmt.Sprintf("the %s certificate has been due since %s", r, k.renewAt().UTC().Format(time.DateOnly))
		default:
			continue
		}
		if s.problem != nil {
			return fmt.Sprintf("%s: %v", overdue, s.problem)
		}
		return overdue + "; the relay renews it while it runs, and its log says what became of that"
	}
	return ""
}

// Stores keeps the stores that are in use, so that a reload goes on with those of the
// configuration before. Its zero value is ready.
type Stores struct {
	kept map[string]*Store // by folder
}

// Keep returns the store that is in use for the folder of s, or s if there is none. What has
// been changed in the folder by another program is read again, unless a renewal is at work.
func (k *Stores) Keep(s *Store) *Store {
	dir := filepath.Clean(s.dir)
	old := k.kept[dir]
	if old == nil {
		if k.kept == nil {
			k.kept = map[string]*Store{}
		}
		k.kept[dir] = s
		return s
	}
	if old.stepping.TryLock() {
		defer old.stepping.Unlock()
		old.mu.Lock()
		defer old.mu.Unlock()
		_ = old.load() // on a fault the store stays as it is; the configuration has reported it
	}
	return old
}
