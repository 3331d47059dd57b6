package graph_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"graphrelay/graph"
	"graphrelay/graph/simulator"
	"graphrelay/internal/permit"
)

// TestNoCallWithoutPermit has work forbidden before each call: the request is not made, and the error
// says why.
func TestNoCallWithoutPermit(t *testing.T) {
	_, rec, c := simulated(t, simulator.Options{SendDelay: -1})
	m := c.Mailbox(mailbox)
	id := draft(t, c) // has the client get a token, too
	upload, _, err := m.CreateUploadSession(t.Context(), id, file("large.bin", strings.Repeat("x", 3_000_000)))
	if err != nil {
		t.Fatal(err)
	}
	before := len(rec.of("", ""))
	over := errors.New("the lease is over")
	ctx := permit.With(t.Context(), func() error { return over })
	for name, call := range map[string]func(context.Context) error{
		"create": func(ctx context.Context) error { _, _, err := m.CreateDraft(ctx, message("m")); return err },
		"attach": func(ctx context.Context) error { _, err := m.PostAttachment(ctx, id, file("a", "b")); return err },
		"session": func(ctx context.Context) error {
			_, _, err := m.CreateUploadSession(ctx, id, file("a", "b"))
			return err
		},
		"range": func(ctx context.Context) error {
			_, _, err := m.PutRange(ctx, upload, graph.UploadRange{Content: strings.NewReader("x"), Length: 1, Total: 3_000_000})
			return err
		},
		"send":   func(ctx context.Context) error { _, err := m.Send(ctx, id, func() error { return nil }); return err },
		"delete": func(ctx context.Context) error { _, err := m.Delete(ctx, id); return err },
		"find":   func(ctx context.Context) error { _, _, err := m.FindByQueueID(ctx, "0q1"); return err },
	} {
		if err := call(ctx); !errors.Is(err, over) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if after := len(rec.of("", "")); after != before {
		t.Errorf("%d requests were made", after-before)
	}
	if _, err := m.Send(t.Context(), id, nil); err != nil {
		t.Errorf("with a permit: %v", err)
	}
}
