// Package gossip tells the nodes of a shared queue what each of them has counted, so that limits
// on a client or a mailbox hold over all of them.
//
// Each node leaves in the queue, every few seconds, a note with what it has counted since the
// last one, and reads those of the others. Nothing is counted twice. What a node has counted
// just before it died is not told, and what it has counted while the queue could not be reached
// is told later.
package gossip

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"graphrelay/relay/queue"
)

// Interval is how often nodes tell each other.
const Interval = 5 * time.Second

const (
	scope = "gossip" // of the notes
	// keep is for how long the others may take to read a note.
	keep = time.Minute
	// maxKeys bounds how much one note tells: clients can invent any number of senders.
	maxKeys = 2000
)

// Part counts something on each node.
type Part interface {
	// Untold returns what was counted here since the last call, nil if nothing was.
	Untold() json.RawMessage
	// Learn counts what another node has counted.
	Learn(json.RawMessage) error
}

// Exchange tells the other nodes of some parts, and the parts of the other nodes.
type Exchange struct {
	notes queue.Notes
	node  string
	parts map[string]Part

	mu   sync.Mutex
	seq  int
	note *queue.Note     // that could not be stored
	read map[string]bool // notes that were read
}

// New returns an Exchange for the process that has this ID as a node. Parts has a name for
// each part, which is the same on all nodes.
func New(notes queue.Notes, node string, parts map[string]Part) *Exchange {
	return &Exchange{notes: notes, node: node, parts: parts}
}

// Skip passes over what was told before now.
func (x *Exchange) Skip(ctx context.Context) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	_, err := x.unread(ctx)
	return err
}

// Step tells the others, then learns from them.
func (x *Exchange) Step(ctx context.Context) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	err := x.tell(ctx)
	news, failed := x.unread(ctx)
	err = errors.Join(err, failed)
	for _, text := range news {
		err = errors.Join(err, x.learn(text))
	}
	return err
}

// tell stores a note. One of which it is not known whether it was stored is stored again.
func (x *Exchange) tell(ctx context.Context) error {
	if x.note == nil {
		untold := map[string]json.RawMessage{}
		for name, p := range x.parts {
			if data := p.Untold(); data != nil {
				untold[name] = data
			}
		}
		if len(untold) == 0 {
			return nil
		}
		value, err := json.Marshal(untold)
		if err != nil {
			return err
		}
		x.seq++
		x.note = &queue.Note{Scope: scope, Key: fmt.Sprintf("%s %d", x.node, x.seq), Value: string(value)}
	}
	if err := x.notes.SetNote(ctx, *x.note, keep); err != nil {
		return fmt.Errorf("tell the other nodes what was counted: %w", err)
	}
	x.note = nil
	return nil
}

// unread returns the notes of other nodes that were not read before.
func (x *Exchange) unread(ctx context.Context) (news []string, err error) {
	all, err := x.notes.Notes(ctx, scope)
	if err != nil {
		return nil, fmt.Errorf("read what the other nodes have counted: %w", err)
	}
	read := map[string]bool{}
	for key, text := range all {
		read[key] = true
		if !x.read[key] && !strings.HasPrefix(key, x.node+" ") {
			news = append(news, text)
		}
	}
	x.read = read
	return news, nil
}

// learn passes a note on to the parts. A node of another version may have other ones.
func (x *Exchange) learn(text string) error {
	var told map[string]json.RawMessage
	err := json.Unmarshal([]byte(text), &told)
	for name, data := range told {
		if p := x.parts[name]; p != nil {
			err = errors.Join(err, p.Learn(data))
		}
	}
	if err != nil {
		return fmt.Errorf("learn what another node has counted: %w", err)
	}
	return nil
}

// Counts collects what was counted by key, for Part.Untold. Its zero value collects nothing
// until Share. It is safe for concurrent use.
type Counts[K comparable] struct {
	mu     sync.Mutex
	shared bool
	counts map[K][2]int64
}

// Share begins to collect.
func (c *Counts[K]) Share() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shared = true
}

// Add adds one or two amounts to a key.
func (c *Counts[K]) Add(k K, n, m int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old, known := c.counts[k]
	if !c.shared || !known && len(c.counts) >= maxKeys {
		return
	}
	if c.counts == nil {
		c.counts = map[K][2]int64{}
	}
	c.counts[k] = [2]int64{old[0] + n, old[1] + m}
}

// count is an entry of a note.
type count[K comparable] struct {
	Key K
	N   [2]int64
}

// Untold returns what was collected since the last call, nil if nothing was.
func (c *Counts[K]) Untold() json.RawMessage {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []count[K]
	for k, n := range c.counts {
		if n != [2]int64{} {
			list = append(list, count[K]{k, n})
		}
	}
	c.counts = nil
	if len(list) == 0 {
		return nil
	}
	data, err := json.Marshal(list)
	if err != nil {
		return nil // keys are of types that can be encoded
	}
	return data
}

// Each calls do with each entry of what Untold has returned elsewhere.
func Each[K comparable](data json.RawMessage, do func(k K, n, m int64)) error {
	var list []count[K]
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	for _, e := range list {
		do(e.Key, e.N[0], e.N[1])
	}
	return nil
}
