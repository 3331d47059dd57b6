package access

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"time"

	"graphrelay/internal/bounded"
	"graphrelay/internal/durable"
)

// knownFor is how long a user who has signed in from a host is known there.
const knownFor = 24 * time.Hour

// maxKnownClients bounds who is known. Only a right password adds to it.
const maxKnownClients = 10_000

// saveAfter is how much longer than in the file a client has to be known to be saved again.
const saveAfter = time.Hour

// knownClients are the users who have signed in lately, each with the host.
type knownClients struct {
	*bounded.Map[knownClient, *knownTime]
	changed bool // since the last Save
}

type knownClient struct {
	user string
	host netip.Prefix
}

type knownTime struct{ until, saved time.Time }

func newKnownClients() knownClients {
	return knownClients{Map: bounded.New[knownClient](maxKnownClients, func(t *knownTime) bounded.Rank { return rankByEnd(t.until) })}
}

func (k *knownClients) has(user string, host netip.Prefix, now time.Time) bool {
	t, ok := k.Get(knownClient{user, host})
	return ok && now.Before(t.until)
}

func (k *knownClients) add(user string, host netip.Prefix, now time.Time) {
	t := k.GetOrPut(knownClient{user, host}, func() *knownTime { return &knownTime{} })
	t.until = now.Add(knownFor)
	k.changed = k.changed || t.until.Sub(t.saved) > saveAfter
}

// knownRecord is a known client in the file.
type knownRecord struct {
	User  string       `json:"user"`
	Host  netip.Prefix `json:"host"`
	Until time.Time    `json:"until"`
}

// Save writes whom the guard knows to the file, if that has changed. It holds no secrets. Of
// a file that is not there or damaged, Load returns nothing and the relay goes on: those
// clients are known again after their next sign-in.
func (g *Guard) Save(path string) error {
	g.saving.Lock()
	defer g.saving.Unlock()
	data, err := g.encode()
	if data == nil || err != nil {
		return err
	}
	if err = durable.Replace(path, data); err != nil {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.known.changed = true
		return fmt.Errorf("save whom the relay knows: %w", err)
	}
	return nil
}

// encode returns nil if nothing has changed.
func (g *Guard) encode() ([]byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.known.changed {
		return nil, nil
	}
	g.known.changed = false
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	for c, t := range g.known.All() {
		if err := e.Encode(knownRecord{c.user, c.host, t.until.UTC().Round(0)}); err != nil {
			return nil, err
		}
		t.saved = t.until
	}
	return b.Bytes(), nil
}

// maxKnownFile bounds what Load reads.
const maxKnownFile = maxKnownClients * 1024

// Load adds whom the file names.
func (g *Guard) Load(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	for d := json.NewDecoder(io.LimitReader(f, maxKnownFile)); ; {
		var r knownRecord
		switch err := d.Decode(&r); {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("read %s: %w", path, err)
		case !r.Host.IsValid() || !now.Before(r.Until):
			continue
		}
		until := r.Until
		if most := now.Add(knownFor); until.After(most) { // the clock was ahead
			until = most
		}
		g.known.Put(knownClient{r.User, r.Host}, &knownTime{until, until})
	}
}
