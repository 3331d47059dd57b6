package access

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"graphrelay/graph"
	"graphrelay/internal/bounded"
)

// Directory finds the owner of an address in one connection's tenant. It asks once for
// each address and remembers the answer for a while, also that there is no owner.
type Directory struct {
	find func(ctx context.Context, address string) (graph.User, error)
	log  *slog.Logger

	mu     sync.Mutex
	known  *bounded.Map[string, *entry] // by address in lower case
	pause  time.Time                    // until when the directory is not asked
	paused Lookup                       // the result of every look-up until then
	warned bool                         // that the permission is missing
	slots  chan struct{}
}

// entry is the answer for one address, or the question under way.
type entry struct {
	done   chan struct{} // closed when the answer is there
	result Lookup
	user   graph.User
	until  time.Time // zero while it is asked
}

// Lookup is the result of looking an address up.
type Lookup int

// The results of a look-up.
const (
	Unknown     Lookup = iota // the directory is not asked, or the application may not read it
	Unavailable               // it cannot be asked now
	Found
	NotFound
)

const (
	foundFor      = time.Hour
	notFoundFor   = 5 * time.Minute // a new mailbox, or a new alias, is found after that
	deniedPause   = time.Hour
	failurePause  = 30 * time.Second
	askTimeout    = 5 * time.Second // an SMTP session waits for it
	maxKnownUsers = 50_000
	maxLookups    = 4 // at a time
)

// NewDirectory returns a directory that asks through client.
func NewDirectory(client *graph.Client, log *slog.Logger) *Directory {
	return &Directory{
		find: func(ctx context.Context, address string) (graph.User, error) {
			u, _, err := client.FindUser(ctx, address)
			return u, err
		},
		log: log, known: bounded.New[string](maxKnownUsers, rankEntry), slots: make(chan struct{}, maxLookups),
	}
}

// Owner returns the user whose mailbox has the address. The result of a nil Directory is
// Unknown.
func (d *Directory) Owner(ctx context.Context, address string) (graph.User, Lookup) {
	if d == nil {
		return graph.User{}, Unknown
	}
	e, ask := d.entry(strings.ToLower(address))
	if ask {
		d.ask(ctx, e, strings.ToLower(address))
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	select {
	case <-e.done:
		return e.user, e.result
	case <-ctx.Done():
		return graph.User{}, Unavailable
	}
}

// entry returns the entry of an address. ask reports whether it is new, so that the
// caller has to ask.
func (d *Directory) entry(key string) (e *entry, ask bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if e, ok := d.known.Get(key); ok && (e.until.IsZero() || now.Before(e.until)) {
		return e, false
	}
	if now.Before(d.pause) {
		e = &entry{done: make(chan struct{}), result: d.paused}
		close(e.done)
		return e, false
	}
	e = &entry{done: make(chan struct{})}
	d.known.Put(key, e)
	return e, true
}

// rankEntry keeps entries while they are asked for, and evicts first what is forgotten
// soonest.
func rankEntry(e *entry) bounded.Rank {
	if e.until.IsZero() {
		return bounded.Rank{Class: bounded.Pinned}
	}
	return rankByEnd(e.until)
}

// ask looks the address up for all that wait for it. The answer is kept even if it comes
// after they have given up.
func (d *Directory) ask(ctx context.Context, e *entry, key string) {
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*askTimeout)
		defer cancel()
		var user graph.User
		var err error
		select {
		case d.slots <- struct{}{}:
			user, err = d.find(ctx, key)
			<-d.slots
		case <-ctx.Done():
			err = ctx.Err()
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		defer close(e.done)
		now := time.Now()
		switch {
		case err == nil:
			e.result, e.user, e.until = Found, user, now.Add(foundFor)
			if name := strings.ToLower(user.UserPrincipalName); name != key { // the lane's mailbox, which delivery looks up
				d.known.Put(name, e)
			}
		case errors.Is(err, graph.ErrNoUser):
			e.result, e.until = NotFound, now.Add(notFoundFor)
		default:
			d.known.Delete(key)
			e.result = d.failed(err, now)
		}
	}()
}

// failed pauses the look-ups and returns their result until the pause ends. The caller
// holds d.mu.
func (d *Directory) failed(err error, now time.Time) Lookup {
	var e *graph.Error
	denied := errors.As(err, &e) && (e.Status == http.StatusForbidden || e.Status == http.StatusNotFound || e.Status == http.StatusBadRequest)
	if !denied {
		d.pause, d.paused = now.Add(failurePause), Unavailable
		d.log.Debug("the directory cannot be asked", "error", err)
		return d.paused
	}
	d.pause, d.paused = now.Add(deniedPause), Unknown
	if !d.warned {
		d.warned = true
		d.log.Warn("the application is not allowed to read the directory: grant it User.Read.All, with admin consent, so that aliases find their mailbox and unknown senders are refused; or set directory: off for the connection", "error", err)
	}
	return d.paused
}
