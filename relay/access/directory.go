//go:build ignore

package relay

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"graphrelay/graph"
)

// directory finds whose mailbox an address is, in one connection's tenant. It asks once
// for each address, and remembers for a while also that nobody has it.
type directory struct {
	find func(ctx context.Context, address string) (graph.User, error)
	log  *slog.Logger

	mu     sync.Mutex
	known  map[string]*entry // by address in lower case
	silent time.Time         // until when the directory is not asked
	excuse whose             // what is answered until then
	warned bool              // of the right that is missing
	slots  chan struct{}
}

// entry is what is known of an address, or asked for.
type entry struct {
	done   chan struct{} // closed when the answer is there
	answer whose
	user   graph.User
	until  time.Time
}

// whose is what the directory says of an address.
type whose int

const (
	cannotTell whose = iota // it may not be read
	notNow                  // it cannot be asked now
	somebodys
	nobodys
)

const (
	knownTime      = time.Hour
	nobodyTime     = 5 * time.Minute // a new mailbox, or a new alias, is found after that
	deniedSilence  = time.Hour
	failureSilence = 30 * time.Second
	askTimeout     = 5 * time.Second // an SMTP session waits for it
	maxKnownUsers  = 50_000
	directoryAsks  = 4 // at a time
)

func newDirectory(client *graph.Client, log *slog.Logger) *directory {
	return &directory{
		find: func(ctx context.Context, address string) (graph.User, error) {
			u, _, err := client.FindUser(ctx, address)
			return u, err
		},
		log: log, known: map[string]*entry{}, slots: make(chan struct{}, directoryAsks),
	}
}

// owner says whose the address is. A nil directory cannot tell.
func (d *directory) owner(ctx context.Context, address string) (graph.User, whose) {
	if d == nil {
		return graph.User{}, cannotTell
	}
	e, mine := d.entry(strings.ToLower(address))
	if mine {
		d.ask(ctx, e, strings.ToLower(address))
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	select {
	case <-e.done:
		return e.user, e.answer
	case <-ctx.Done():
		return graph.User{}, notNow
	}
}

// entry returns what is known or asked for already; mine: the caller is to ask.
func (d *directory) entry(key string) (e *entry, mine bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if e = d.known[key]; e != nil && (e.until.IsZero() || now.Before(e.until)) {
		return e, false
	}
	if now.Before(d.silent) {
		e = &entry{done: make(chan struct{}), answer: d.excuse}
		close(e.done)
		return e, false
	}
	if len(d.known) >= maxKnownUsers {
		maps.DeleteFunc(d.known, func(_ string, e *entry) bool { return !e.until.IsZero() && now.After(e.until) })
	}
	if len(d.known) >= maxKnownUsers {
		maps.DeleteFunc(d.known, func(_ string, e *entry) bool { return !e.until.IsZero() })
	}
	e = &entry{done: make(chan struct{})}
	d.known[key] = e
	return e, true
}

// ask asks for everybody who waits. What is found out beyond the caller's patience still
// counts.
func (d *directory) ask(ctx context.Context, e *entry, key string) {
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
			e.answer, e.user, e.until = somebodys, user, now.Add(knownTime)
			if name := strings.ToLower(user.UserPrincipalName); name != key { // the lane, which delivery asks for
				d.known[name] = e
			}
		case errors.Is(err, graph.ErrNoUser):
			e.answer, e.until = nobodys, now.Add(nobodyTime)
		default:
			delete(d.known, key)
			e.answer = d.failed(err, now)
		}
	}()
}

// failed keeps the directory from being asked for a while. The caller holds d.mu.
func (d *directory) failed(err error, now time.Time) whose {
	var e *graph.Error
	denied := errors.As(err, &e) && (e.Status == http.StatusForbidden || e.Status == http.StatusNotFound || e.Status == http.StatusBadRequest)
	if !denied {
		d.silent = now.Add(failureSilence)
		d.excuse = notNow
		d.log.Debug("the directory cannot be asked", "error", err)
		return d.excuse
	}
	d.excuse = cannotTell
	d.silent = now.Add(deniedSilence)
	if !d.warned {
		d.warned = true
		d.log.Warn("the directory may not be read: grant the application User.Read.All, with admin consent, so that aliases find their mailbox and unknown senders are refused; or set directory: off for the connection", "error", err)
	}
	return d.excuse
}
