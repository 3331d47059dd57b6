package gossip

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"testing"
	"time"

	"graphrelay/relay/queue"
)

// board implements queue.Notes in memory.
type board struct {
	notes map[string]string
	fail  []error // of the next calls of SetNote, after the note was stored
}

func (b *board) SetNote(_ context.Context, n queue.Note, _ time.Duration) error {
	b.notes[n.Key] = n.Value
	if len(b.fail) > 0 {
		err := b.fail[0]
		b.fail = b.fail[1:]
		return err
	}
	return nil
}

func (b *board) Notes(context.Context, string) (map[string]string, error) {
	return maps.Clone(b.notes), nil
}

// part sums up what it learns.
type part struct {
	Counts[string]
	learned map[string]int64
}

func (p *part) Learn(data json.RawMessage) error {
	return Each(data, func(k string, n, m int64) { p.learned[k] += n + 100*m })
}

func node(b *board, id string) (*part, *Exchange) {
	p := &part{learned: map[string]int64{}}
	p.Share()
	return p, New(b, id, map[string]Part{"p": p})
}

func TestExchange(t *testing.T) {
	b := &board{notes: map[string]string{}}
	step := func(all ...*Exchange) {
		t.Helper()
		for _, x := range all {
			if err := x.Step(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	pa, a := node(b, "a")
	pc, c := node(b, "ab")
	pa.Add("k", 1, 2)
	pa.Add("k", 1, 0)
	pa.Add("undone", 1, 1)
	pa.Add("undone", -1, -1)
	step(a, c, a, c)
	pc.Add("k", 5, 0)
	b.fail = []error{queue.ErrUnknown}
	if err := c.Step(t.Context()); err == nil {
		t.Error("an unknown result was not reported")
	}
	pc.Add("k", 2, 0)
	step(a, c, a, c, a)
	if want := map[string]int64{"k": 202}; !maps.Equal(pc.learned, want) {
		t.Errorf("one node has learned %v, want %v", pc.learned, want)
	}
	if want := map[string]int64{"k": 7}; !maps.Equal(pa.learned, want) {
		t.Errorf("the other has learned %v, want %v", pa.learned, want)
	}
	late, l := node(b, "late")
	if err := l.Skip(t.Context()); err != nil {
		t.Error(err)
	}
	pa.Add("k", 3, 0)
	step(a, l, l)
	if want := map[string]int64{"k": 3}; !maps.Equal(late.learned, want) {
		t.Errorf("one that came later has learned %v, want %v", late.learned, want)
	}
}

// Counts are bounded, and collect nothing where there are no other nodes.
func TestBounded(t *testing.T) {
	var c Counts[string]
	c.Add("k", 1, 1)
	if data := c.Untold(); data != nil {
		t.Errorf("collected %s", data)
	}
	c.Share()
	for n := range 2 * maxKeys {
		c.Add(fmt.Sprint(n), 1, 0)
		c.Add("0", 1, 0)
	}
	n, sum := 0, int64(0)
	if err := Each(c.Untold(), func(_ string, a, _ int64) { n++; sum += a }); err != nil || n != maxKeys || sum != 3*maxKeys {
		t.Errorf("there are %d keys, %d in all, error %v", n, sum, err)
	}
	if c.Untold() != nil {
		t.Error("told twice")
	}
}
