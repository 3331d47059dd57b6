package connection

import (
	"sync"
	"time"

	"graphrelay/graph"
	"graphrelay/internal/text"
	"graphrelay/internal/window"
)

// Activity is what was seen of a connection's requests since the relay started.
type Activity struct {
	LastToken     *time.Time `json:"last_token,omitempty" doc:"When the last token was got since the relay started."`
	LastError     string     `json:"last_error,omitempty" doc:"What the last failed request for a token was answered."`
	LastErrorAt   *time.Time `json:"last_error_at,omitempty" doc:"When that was."`
	Requests      int64      `json:"requests_24h" doc:"The requests to Graph of the last 24 hours."`
	Throttled     int64      `json:"throttled_24h" doc:"How many of them Graph asked to slow down for."`
	LastThrottled *time.Time `json:"last_throttled,omitempty" doc:"When the last of these was."`
	SignInFailing bool       `json:"sign_in_failing" doc:"Whether the last request for a token failed."`
}

// maxErrorText is how many bytes of an error are kept.
const maxErrorText = 1000

// Activities follow what connections do. They outlive a reload.
type Activities struct {
	mu  sync.Mutex
	all map[string]*activity // by connection
}

type activity struct {
	mu                  sync.Mutex
	now                 Activity
	requests, throttled window.Window[int64]
}

// NewActivities returns Activities that have seen nothing.
func NewActivities() *Activities { return &Activities{all: map[string]*activity{}} }

func (a *Activities) of(name string) *activity {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all[name] == nil {
		a.all[name] = &activity{requests: window.New[int64](24*time.Hour, 96), throttled: window.New[int64](24*time.Hour, 96)}
	}
	return a.all[name]
}

// Of returns what a connection did.
func (a *Activities) Of(name string) Activity {
	of := a.of(name)
	of.mu.Lock()
	defer of.mu.Unlock()
	now, at := of.now, time.Now()
	now.Requests, now.Throttled = of.requests.Sum(at), of.throttled.Sum(at)
	return now
}

// Retain forgets connections that are not named.
func (a *Activities) Retain(has func(name string) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name := range a.all {
		if !has(name) {
			delete(a.all, name)
		}
	}
}

// Observer returns an observer of a connection that passes everything on to next.
func (a *Activities) Observer(name string, next graph.Observer) graph.Observer {
	return &observer{next, a.of(name)}
}

type observer struct {
	graph.Observer
	of *activity
}

// Request implements graph.Observer.
func (o *observer) Request(operation string, status int, took time.Duration) {
	o.Observer.Request(operation, status, took)
	o.of.mu.Lock()
	defer o.of.mu.Unlock()
	o.of.requests.Add(time.Now(), 1)
}

// Throttled implements graph.Observer.
func (o *observer) Throttled() {
	o.Observer.Throttled()
	o.of.mu.Lock()
	defer o.of.mu.Unlock()
	at := time.Now()
	o.of.throttled.Add(at, 1)
	o.of.now.LastThrottled = &at
}

// Token implements graph.Observer.
func (o *observer) Token(err error) {
	o.Observer.Token(err)
	o.of.mu.Lock()
	defer o.of.mu.Unlock()
	at := time.Now()
	if o.of.now.SignInFailing = err != nil; err == nil {
		o.of.now.LastToken = &at
		return
	}
	o.of.now.LastError, o.of.now.LastErrorAt = text.Shorten(text.Printable(err.Error()), maxErrorText), &at
}
