package access

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"graphrelay/graph"
	"graphrelay/internal/bounded"
	"graphrelay/internal/fair"
	"graphrelay/internal/mailaddr"
	"graphrelay/internal/window"
	"graphrelay/relay/smtpd"
)

// Directory finds the owner of an address in one connection's tenant. It asks once for
// each address and remembers the answer for a while, also that there is no owner.
type Directory struct {
	find func(ctx context.Context, address string) (graph.User, error)
	log  *slog.Logger

	mu       sync.Mutex
	known    *bounded.Map[string, *entry]                      // by mailaddr.Canonical
	pause    time.Time                                         // until when the directory is not asked
	paused   Lookup                                            // the result of every look-up until then
	failures int                                               // look-ups that failed in a row
	warned   map[string]bool                                   // error codes that were logged
	slots    *fair.Slots[netip.Prefix]                         // questions under way, by client
	misses   *bounded.Map[netip.Prefix, *window.Window[int32]] // questions for addresses that do not exist
}

// entry is the answer for one address, or the question under way.
type entry struct {
	done   context.Context // done when the answer is there
	finish context.CancelFunc
	askers int  // that wait for their turn to ask
	asked  bool // one of them has got it
	result Lookup
	user   graph.User
	until  time.Time // zero while it is asked
}

func newEntry() *entry {
	e := &entry{}
	e.done, e.finish = context.WithCancel(context.Background())
	return e
}

// Lookup is the result of looking an address up.
type Lookup int

// The results of a look-up.
const (
	Unknown     Lookup = iota // the directory is not asked, or the application may not read it
	Unavailable               // it cannot be asked now
	Found
	NotFound
	TooMany // the client has asked for too many addresses that do not exist
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
	maxLookups    = 8  // at a time
	maxOfClient   = 2  // of these, for one client
	maxMisses     = 60 // a minute, of addresses that do not exist, for one client
	maxClients    = 10_000
)

// NewDirectory returns a directory that asks through client.
func NewDirectory(client *graph.Client, log *slog.Logger) *Directory {
	return &Directory{
		find: func(ctx context.Context, address string) (graph.User, error) {
			u, _, err := client.FindUser(ctx, address)
			return u, err
		},
		log: log, known: bounded.New[string](maxKnownUsers, rankEntry), warned: map[string]bool{},
		slots: fair.New[netip.Prefix](fair.Limits{Slots: maxLookups, PerClient: maxOfClient, Waiting: maxKnownUsers}),
		misses: bounded.New[netip.Prefix, *window.Window[int32]](maxClients, func(w *window.Window[int32]) bounded.Rank {
			if w.Sum(time.Now()) == 0 {
				return bounded.Rank{Class: bounded.Expired}
			}
			return bounded.Rank{}
		}),
	}
}

// Owner returns the user whose mailbox has the address. client is whose mail it is about;
// the zero value stands for the relay itself. Clients take turns to ask, so that one that
// makes up addresses delays itself alone. The result of a nil Directory is Unknown.
func (d *Directory) Owner(ctx context.Context, client netip.Addr, address string) (graph.User, Lookup) {
	if d == nil {
		return graph.User{}, Unknown
	}
	key, host := mailaddr.Canonical(address), smtpd.HostPrefix(client)
	e, open, result := d.entry(key, host)
	if e == nil {
		return graph.User{}, result
	}
	if !open {
		return e.user, e.result
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	d.ask(ctx, e, key, host)
	select {
	case <-e.done.Done():
		return e.user, e.result
	case <-ctx.Done():
		return graph.User{}, Unavailable
	}
}

// entry returns the entry of an address, or nil and the result if the directory is not to be
// asked. open reports that there is no answer yet, so that the caller has to call ask.
func (d *Directory) entry(key string, host netip.Prefix) (e *entry, open bool, result Lookup) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	e, ok := d.known.Get(key)
	switch {
	case ok && now.Before(e.until):
		return e, false, 0
	case ok && e.until.IsZero(): // another client's question, or the same client's
	case now.Before(d.pause):
		return nil, false, d.paused
	case host.IsValid() && d.missesOf(host).Sum(now) >= maxMisses:
		return nil, false, TooMany
	default:
		e = newEntry()
		d.known.Put(key, e)
	}
	e.askers++
	return e, true, 0
}

// missesOf returns the count of a client's questions for addresses that do not exist. The
// caller holds d.mu.
func (d *Directory) missesOf(host netip.Prefix) *window.Window[int32] {
	return d.misses.GetOrPut(host, func() *window.Window[int32] {
		w := window.New[int32](time.Minute, 12)
		return &w
	})
}

// rankEntry keeps entries while they are asked for, and evicts first what is forgotten
// soonest.
func rankEntry(e *entry) bounded.Rank {
	if e.until.IsZero() {
		return bounded.Rank{Class: bounded.Pinned}
	}
	return rankByEnd(e.until)
}

// ask waits for the client's turn, or until another client's has brought the answer. In its
// turn, the address is looked up for all that wait for it. The answer is kept even if it
// comes after they have given up.
func (d *Directory) ask(ctx context.Context, e *entry, key string, host netip.Prefix) {
	turn, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.done, cancel)()
	release, err := d.slots.Acquire(turn, host)
	d.mu.Lock()
	defer d.mu.Unlock()
	e.askers--
	switch {
	case err == nil && e.asked:
		release()
	case err == nil:
		e.asked = true
		go d.lookUp(context.WithoutCancel(ctx), e, key, host, release)
	case e.askers == 0 && !e.asked: // nobody waits any longer, and nobody has asked
		e.result = Unavailable
		e.finish()
		d.known.Delete(key)
	}
}

func (d *Directory) lookUp(ctx context.Context, e *entry, key string, host netip.Prefix, release func()) {
	ctx, cancel := context.WithTimeout(ctx, 2*askTimeout)
	defer cancel()
	user, err := d.find(ctx, key)
	release()
	d.mu.Lock()
	defer d.mu.Unlock()
	defer e.finish()
	if errors.Is(err, graph.ErrNoUser) {
		d.missesOf(host).Add(time.Now(), 1)
	}
	d.answered(e, key, user, err)
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
