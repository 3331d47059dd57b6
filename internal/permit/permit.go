// Package permit carries, in a context, the question whether work may still go on.
package permit

import "context"

type key struct{}

// With returns a context in which Check calls check.
func With(ctx context.Context, check func() error) context.Context {
	return context.WithValue(ctx, key{}, check)
}

// Check returns the error of the check in ctx, nil if there is none. It is called right before
// a step that has an effect outside: a context that is done may come to know it too late.
func Check(ctx context.Context) error {
	if check, ok := ctx.Value(key{}).(func() error); ok {
		return check()
	}
	return nil
}
