package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"graphrelay/relay/mailboxes"
	"graphrelay/relay/queue"
)

// connectedScope is the scope of the notes in which nodes say which mailboxes are connected there,
// by the name of the node.
const connectedScope = "connected"

// keepConnected is for how long the other nodes accept mail for the mailboxes of a node that is
// down, and tellConnected how often a note is written that says the same as before.
const (
	keepConnected = 24 * time.Hour
	tellConnected = time.Hour
)

// elsewhere knows the mailboxes that are connected on other nodes. Mail for them is accepted here,
// and delivered there.
type elsewhere struct {
	notes queue.Notes
	node  string // the name

	mu    sync.Mutex
	said  string // last
	at    time.Time
	lanes map[queue.Lane]bool
}

// has reports whether the mailbox of a lane is connected on another node; it may be nil.
func (e *elsewhere) has(l queue.Lane) bool {
	if e == nil {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lanes[l]
}

// tell says which mailboxes are connected here; own may be nil.
func (e *elsewhere) tell(ctx context.Context, own *mailboxes.Store) error {
	lanes := []queue.Lane{}
	if own != nil {
		list, err := own.List(ctx)
		if err != nil {
			return err
		}
		for _, m := range list {
			lanes = append(lanes, queue.Lane{Connection: m.Connection, Mailbox: m.Address})
		}
		slices.SortFunc(lanes, func(a, b queue.Lane) int { return strings.Compare(a.String(), b.String()) })
	}
	text, err := json.Marshal(lanes)
	if err != nil {
		return err
	}
	e.mu.Lock()
	same := e.said == string(text) && time.Since(e.at) < tellConnected
	e.mu.Unlock()
	if same {
		return nil
	}
	if err := e.notes.SetNote(ctx, queue.Note{Scope: connectedScope, Key: e.node, Value: string(text)}, keepConnected); err != nil {
		return err
	}
	e.mu.Lock()
	e.said, e.at = string(text), time.Now()
	e.mu.Unlock()
	return nil
}

// learn reads what the other nodes say.
func (e *elsewhere) learn(ctx context.Context) error {
	all, err := e.notes.Notes(ctx, connectedScope)
	if err != nil {
		return err
	}
	lanes := map[queue.Lane]bool{}
	for node, text := range all {
		if node == e.node {
			continue
		}
		var list []queue.Lane
		if bad := json.Unmarshal([]byte(text), &list); bad != nil { // keeps no other node from being heard
			err = errors.Join(err, fmt.Errorf("what the node %s says: %w", node, bad))
			continue
		}
		for _, l := range list {
			lanes[l] = true
		}
	}
	e.mu.Lock()
	e.lanes = lanes
	e.mu.Unlock()
	return err
}
