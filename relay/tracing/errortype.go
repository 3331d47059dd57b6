package tracing

import (
	"errors"

	"graphrelay/graph"
	"graphrelay/internal/calls"
)

// errorType returns the reason of an error of Graph, which is one of a list.
func errorType(c calls.Call) string {
	var e *graph.Error
	if errors.As(c.Err, &e) {
		return string(e.Reason)
	}
	return "_OTHER"
}
