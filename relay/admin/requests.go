package admin

import (
	"context"
	"net/http"
	"sync"
)

// requests are those that a server serves at present.
type requests struct {
	mu        sync.Mutex
	all       int
	unawaited int           // of all: those that a Shutdown does not wait for
	alone     chan struct{} // of a Shutdown; closed when only unawaited requests are left
}

// request is one of them.
type request struct {
	of        *requests
	unawaited bool
}

type requestKey struct{}

// Unawaited has the Shutdown of a server not wait for the request that has this context, if there is
// one. A request that reloads the configuration would otherwise wait for the end of the server that
// serves it. It is still answered.
func Unawaited(ctx context.Context) {
	r, ok := ctx.Value(requestKey{}).(*request)
	if !ok {
		return
	}
	r.of.change(func() {
		if !r.unawaited {
			r.unawaited = true
			r.of.unawaited++
		}
	})
}

// count counts the requests that h serves.
func (q *requests) count(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		one := &request{of: q}
		q.change(func() { q.all++ })
		defer q.change(func() {
			q.all--
			if one.unawaited {
				q.unawaited--
			}
		})
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestKey{}, one)))
	})
}

// change makes a change, and sees whether only unawaited requests are left.
func (q *requests) change(do func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	do()
	if q.alone != nil && q.unawaited > 0 && q.unawaited == q.all {
		close(q.alone)
		q.alone = nil
	}
}

// onlyUnawaited returns a context that ends with ctx, or when only unawaited requests are left.
func (q *requests) onlyUnawaited(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	alone := make(chan struct{})
	q.change(func() { q.alone = alone })
	go func() {
		defer cancel()
		select {
		case <-alone:
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
