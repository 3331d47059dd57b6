package access

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"graphrelay/graph"
	"graphrelay/internal/bounded"
	"graphrelay/internal/mailaddr"
)

// Directory finds the owner of an address in one connection's tenant. It asks once for
// each address and remembers the answer for a while, also that there is no owner.
type Directory struct {
	find func(ctx context.Context, address string) (graph.User, error)
	log  *slog.Logger

	mu       sync.Mutex
	known    *bounded.Map[string, *entry] // by mailaddr.Canonical
	pause    time.Time                    // until when the directory is not asked
	paused   Lookup                       // the result of every look-up until then
	failures int                          // look-ups that failed in a row
	warned   map[string]bool              // error codes that were logged
	slots    chan struct{}
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
	maxFailures   = 3 // in a row, before no address is asked about for failurePause
	maxWarned     = 20
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
		log: log, known: bounded.New[string](maxKnownUsers, rankEntry), slots: make(chan struct{}, maxLookups), warned: map[string]bool{},
	}
}

// Owner returns the user whose mailbox has the address. The result of a nil Directory is
// Unknown.
func (d *Directory) Owner(ctx context.Context, address string) (graph.User, Lookup) {
	if d == nil {
		return graph.User{}, Unknown
	}
	key := mailaddr.Canonical(address)
	e, ask := d.entry(key)
	if ask {
		d.ask(ctx, e, key)
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
		d.answered(e, key, user, err)
	}()
}

// answered stores the result of a look-up. What concerns one address alone keeps only
// that address from being asked about again. The caller holds d.mu.
func (d *Directory) answered(e *entry, key string, user graph.User, err error) {
	now := time.Now()
	var refused *graph.Error
	switch {
	case err == nil:
		d.failures = 0
		e.result, e.user, e.until = Found, user, now.Add(foundFor)
		if name := mailaddr.Canonical(user.UserPrincipalName); name != key { // the lane's mailbox, which delivery looks up
			d.known.Put(name, e)
		}
	case errors.Is(err, graph.ErrNoUser):
		d.failures = 0
		e.result, e.until = NotFound, now.Add(notFoundFor)
	case errors.Is(err, graph.ErrNotAsked):
		e.result, e.until = Unknown, now.Add(foundFor)
	case errors.As(err, &refused) && refused.Status == http.StatusForbidden:
		e.result, e.until = Unknown, now.Add(deniedPause)
		d.pause, d.paused = e.until, Unknown
		d.warn(refused, graph.DirectoryAdvice(refused))
	case errors.As(err, &refused) && (refused.Status == http.StatusNotFound || refused.Status == http.StatusBadRequest):
		e.result, e.until = Unknown, now.Add(deniedPause)
		d.warn(refused, "the directory refuses to look an address up; mail from it goes to the mailbox of that name; if this is said of every address, set directory: off for the connection")
	default:
		e.result, e.until = Unavailable, now.Add(failurePause)
		if d.failures++; d.failures >= maxFailures {
			d.pause, d.paused = e.until, Unavailable
		}
		d.log.Debug("the directory cannot be asked", "error", err)
	}
}

// warn logs a refusal once for each error code.
func (d *Directory) warn(refused *graph.Error, text string) {
	if d.warned[refused.Code] || len(d.warned) >= maxWarned {
		return
	}
	d.warned[refused.Code] = true
	d.log.Warn(text, "error", refused)
}
