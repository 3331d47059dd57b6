// Package calls carries, in a context, who is told of each request that is made for it.
package calls

import (
	"context"
	"time"
)

// Call is one request over HTTP, and its answer.
type Call struct {
	Operation string // as in errors and metrics
	Method    string // of HTTP; empty for a token
	Host      string // that was asked; empty for a token
	Started   time.Time
	Status    int    // 0: no answer came
	RequestID string // that the answer names; may be empty
	Resent    bool   // with a new token, since the one before was refused
	Err       error  // nil: it succeeded
}

type (
	key    struct{}
	resent struct{}
)

// With returns a context in which Report calls told.
func With(ctx context.Context, told func(Call)) context.Context {
	return context.WithValue(ctx, key{}, told)
}

// Resent returns a context whose calls are those of a request that is made once more.
func Resent(ctx context.Context) context.Context { return context.WithValue(ctx, resent{}, true) }

// Report tells of a call that has ended. It does nothing in a context without With.
func Report(ctx context.Context, c Call) {
	if told, ok := ctx.Value(key{}).(func(Call)); ok {
		c.Resent = ctx.Value(resent{}) != nil
		told(c)
	}
}
