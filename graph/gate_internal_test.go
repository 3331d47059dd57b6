package graph

import (
	"context"
	"testing"
)

func TestGateForgetsMailboxes(t *testing.T) {
	g := newGate(1)
	leave, err := g.enter(t.Context(), "A@x")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.enter(ctx, "a@X"); err == nil {
		t.Fatal("a second one came in")
	}
	if len(g.open) != 1 {
		t.Fatalf("%d turnstiles", len(g.open))
	}
	leave()
	if len(g.open) != 0 {
		t.Fatalf("%d turnstiles left behind", len(g.open))
	}
}
