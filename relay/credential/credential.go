// Package credential keeps the certificates with which a connection signs in to Entra, and
// renews them.
//
// A folder has two certificates in use: the current one, and a standby one that lasts longer,
// for the case that the current one is lost, corrupt, or expires while the relay is off. When
// half of a certificate's life is over, a new one is made, registered with a proof by one that
// is registered already, and used once Entra has issued a token for it. The old one is removed
// days later.
//
// The package promises that the application keeps a certificate that Entra accepts: no key is
// given up before Entra has issued a token for its successor. Each request that changes Entra is
// on the disk before it is made, so that after a kill at any point the next start tries the new
// key and goes on from there. One process at a time renews the certificates of a folder, and takes
// up what another has changed there. The package never touches a file that it did not make.
package credential

import (
	"bytes"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"graphrelay/internal/private"
)

// How long certificates live. A certificate is renewed at half of its life.
const (
	currentLife = 365 * 24 * time.Hour
	standbyLife = 2 * currentLife
	keepRetired = 7 * 24 * time.Hour // before an old certificate is removed
)

// role is what a certificate is for.
type role string

const (
	current role = "current"
	standby role = "standby"
)

func (r role) life() time.Duration {
	if r == standby {
		return standbyLife
	}
	return currentLife
}

// stage is how far a certificate has come.
type stage string

const (
	candidate stage = "candidate" // made; no token has been issued for it yet
	inUse     stage = "in use"
	retired   stage = "retired" // replaced, to be removed
)

// record is a certificate as the state file has it.
type record struct {
	File       string    `json:"file"`
	Role       role      `json:"role"`
	Stage      stage     `json:"stage"`
	Since      time.Time `json:"since"`           // of the stage
	Asked      time.Time `json:"asked,omitzero"`  // just before its registration was last requested
	Registered bool      `json:"registered"`      // Entra has confirmed the registration
	KeyID      string    `json:"key_id,omitzero"` // in Entra; "" is unknown
}

// state is the content of the state file.
type state struct {
	ObjectID string   `json:"object_id"` // of the application; "" until it is registered
	Keys     []record `json:"keys"`
}

// key is a certificate with its key.
type key struct {
	record
	pair    *tls.Certificate // nil: the file cannot be used, see err
	err     error
	refused time.Time // since when Entra refuses it; zero if it does not
}

// valid reports whether the key can be used at the time.
func (k *key) valid(now time.Time) bool {
	return k.pair != nil && !now.Before(k.pair.Leaf.NotBefore) && now.Before(k.pair.Leaf.NotAfter)
}

// renewAt returns when the certificate has lived half of its life.
func (k *key) renewAt() time.Time {
	begin, end := k.pair.Leaf.NotBefore, k.pair.Leaf.NotAfter
	return begin.Add(end.Sub(begin) / 2)
}

// Store is a folder with certificates. It is safe for concurrent use.
type Store struct {
	dir     string
	newKey  func() (*rsa.PrivateKey, error)
	touched func(what string) // called before and after each change of the disk; for tests

	stepping sync.Mutex // held while the renewal works

	mu       sync.Mutex
	objectID string
	keys     []*key
	onDisk   []byte // the state file as this process has read or written it
	problem  error  // why the last renewal did not succeed
	// unwritable is why the folder could not be written at the start, or nil.
	unwritable error
}

const (
	stateFile = "state.json"
	lockFile  = "lock"
)

// maxState limits what is read of a state file.
const maxState = 1 << 20

// Create makes a folder with two new keys and self-signed certificates with a common name: the
// current one and the standby one. They have to be registered for an application, see
// Register. Create fails if the folder has certificates already.
func Create(dir, name string, now time.Time) (*Store, error) {
	s := newStore(dir)
	if err := private.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("make the folder of the certificates: %w", err)
	}
	if _, err := os.Lstat(s.path(stateFile)); !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s has certificates already; choose another folder, or use what is there", dir)
	}
	for _, r := range []role{current, standby} {
		k, err := s.makeKey(r, name, now)
		if err != nil {
			return nil, err
		}
		k.Stage = inUse
		s.keys = append(s.keys, k)
	}
	return s, s.save()
}

func newStore(dir string) *Store {
	return &Store{dir: dir, newKey: generateKey, touched: func(string) {}}
}

// Open opens a folder that Create has made. A certificate that cannot be read is no error as
// long as another one can.
func Open(dir string) (*Store, error) {
	s := newStore(dir)
	return s, s.load()
}

// load reads the folder. The caller holds s.mu, or nobody else has s.
func (s *Store) load() error {
	data, err := readFile(s.path(stateFile), maxState)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return errors.New("has no certificates; make and register them with: graphrelay setup")
	case err != nil:
		return fmt.Errorf("cannot be read: %w", err)
	}
	var read state
	if err := json.Unmarshal(data, &read); err != nil {
		return fmt.Errorf("has a damaged %s (%w); restore it from a backup, or make a new folder with: graphrelay setup", stateFile, err)
	}
	var keys []*key
	usable := false
	for _, r := range read.Keys {
		if !ownFile(r.File) {
			return fmt.Errorf("has a damaged %s, which names %q; restore it from a backup, or make a new folder with: graphrelay setup", stateFile, r.File)
		}
		k := &key{record: r}
		k.pair, k.err = readPair(s.path(r.File))
		usable = usable || k.pair != nil
		keys = append(keys, k)
	}
	if !usable {
		return errors.New("has no certificate that can be read; make a new folder with: graphrelay setup")
	}
	for _, k := range keys {
		if n := slices.IndexFunc(s.keys, func(old *key) bool { return old.File == k.File }); n >= 0 {
			k.refused = s.keys[n].refused
		}
	}
	s.objectID, s.keys, s.onDisk = read.ObjectID, keys, data
	return nil
}

// lock keeps other processes from renewing the certificates of the folder. unlock is nil if one
// of them has the lock.
func (s *Store) lock() (unlock func(), err error) {
	l := flock.New(s.path(lockFile), flock.SetPermissions(0o600))
	if ok, err := l.TryLock(); !ok {
		return nil, err
	}
	return func() { _ = l.Unlock() }, nil
}

// takeUp reads the folder again if another process has changed its state. On a fault the store
// stays as it is, and its next change replaces what cannot be read.
func (s *Store) takeUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if data, err := readFile(s.path(stateFile), maxState); err == nil && !bytes.Equal(data, s.onDisk) {
		_ = s.load()
	}
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }

// Dir returns the folder.
func (s *Store) Dir() string { return s.dir }

// Certificates returns the current certificate and the standby one, as far as they can be
// read.
func (s *Store) Certificates() (list []*x509.Certificate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range []role{current, standby} {
		if k := s.find(r, inUse); k != nil && k.pair != nil {
			list = append(list, k.pair.Leaf)
		}
	}
	return list
}

// TLS returns the current certificate with its key.
func (s *Store) TLS() tls.Certificate {
	if usable := s.usable(time.Now()); len(usable) > 0 {
		return *usable[0].pair
	}
	return tls.Certificate{}
}

// ObjectID returns the object ID of the application for which the certificates are registered,
// "" if they are not.
func (s *Store) ObjectID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objectID
}

// Register records that the certificates are registered for the application with this object
// ID, with these key IDs, in the order of Certificates. A key ID is "" if it is not known.
func (s *Store) Register(objectID string, keyIDs ...string) error {
	return s.update(func() {
		s.objectID = objectID
		for n, r := range []role{current, standby} {
			if k := s.find(r, inUse); k != nil {
				k.Registered = true
				if n < len(keyIDs) {
					k.KeyID = keyIDs[n]
				}
			}
		}
	})
}

// find returns the key with a role and stage, or nil. The caller holds s.mu.
func (s *Store) find(r role, st stage) *key {
	if n := slices.IndexFunc(s.keys, func(k *key) bool { return k.Role == r && k.Stage == st }); n >= 0 {
		return s.keys[n]
	}
	return nil
}

// update makes a change of the state and saves it. If that fails, the change is undone.
func (s *Store) update(change func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	objectID, keys := s.objectID, slices.Clone(s.keys)
	records := make([]record, len(keys))
	for n, k := range keys {
		records[n] = k.record
	}
	change()
	err := s.save()
	if err != nil {
		s.objectID, s.keys = objectID, keys
		for n, k := range keys {
			k.record = records[n]
		}
	}
	return err
}

// save writes the state file. The caller holds s.mu, or nobody else has s.
func (s *Store) save() error {
	written := state{ObjectID: s.objectID, Keys: []record{}}
	for _, k := range s.keys {
		written.Keys = append(written.Keys, k.record)
	}
	data, err := json.MarshalIndent(written, "", "  ")
	if err != nil {
		return err
	}
	data = append(data, '\n')
	if err := s.write(stateFile, data); err != nil {
		return err
	}
	s.onDisk = data
	return nil
}
