package alert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"graphrelay/internal/durable"
	"graphrelay/relay/attention"
)

const (
	// keepClosed is how long an incident is kept that is over, and maxClosed how many of them.
	keepClosed = 7 * 24 * time.Hour
	maxClosed  = 200
	// noteScope is the scope of the notes with the incidents of a queue.
	noteScope = "alerts"
	// maxFile bounds what is read of the file: some 1,000 incidents.
	maxFile = 8 << 20
)

// book holds incidents, in memory and where they outlast the process.
type book struct {
	incidents []*Incident // oldest first
	dirty     map[*Incident]bool
	store     store
}

// store keeps the incidents of a book.
type store interface {
	load(ctx context.Context) ([]*Incident, error)
	// save stores the book, of which only the given incidents have changed. Those that are no
	// longer in it are removed.
	save(ctx context.Context, all []*Incident, changed map[*Incident]bool) error
}

func newBook(s store) *book { return &book{store: s, dirty: map[*Incident]bool{}} }

func (b *book) load(ctx context.Context) error {
	list, err := b.store.load(ctx)
	if err == nil {
		b.incidents, b.dirty = list, map[*Incident]bool{}
	}
	return err
}

// changed marks an incident to be saved.
func (b *book) changed(i *Incident) { b.dirty[i] = true }

// save saves what has changed. After an error it is saved the next time.
func (b *book) save(ctx context.Context) error {
	if len(b.dirty) == 0 {
		return nil
	}
	err := b.store.save(ctx, b.incidents, b.dirty)
	if err == nil {
		b.dirty = map[*Incident]bool{}
	}
	return err
}

// sync opens an incident for each condition that has none, and closes those of others. It returns
// the incidents that it opened and closed.
func (b *book) sync(list []attention.Condition, now time.Time) (opened, closed []*Incident) {
	known := map[[2]string]*Incident{}
	for _, i := range b.incidents {
		if i.open() {
			known[[2]string{i.ID, i.Subject}] = i
		}
	}
	for _, c := range list {
		at := [2]string{c.ID, c.Subject}
		if i := known[at]; i != nil {
			c.Since = i.Since
			i.Condition = c // its cause may be another by now; that is saved with the next change
			delete(known, at)
			continue
		}
		i := &Incident{Ref: newRef(), Condition: c, Opened: now, Told: map[string]*Told{}}
		b.incidents = append(b.incidents, i)
		b.changed(i)
		opened = append(opened, i)
	}
	for _, i := range b.incidents {
		if known[[2]string{i.ID, i.Subject}] == i {
			i.Closed = now
			b.changed(i)
			closed = append(closed, i)
		}
	}
	return opened, closed
}

// prune removes incidents that have been over for long, and the oldest of too many.
func (b *book) prune(now time.Time) {
	over := 0
	for _, i := range slices.Backward(b.incidents) {
		if i.open() {
			continue
		}
		if over++; over > maxClosed || now.Sub(i.Closed) > keepClosed {
			b.changed(i)
			b.incidents = slices.DeleteFunc(b.incidents, func(x *Incident) bool { return x == i })
		}
	}
}

// openConditions returns the conditions of the open incidents.
func (b *book) openConditions() (list []attention.Condition) {
	for _, i := range b.incidents {
		if i.open() {
			list = append(list, i.Condition)
		}
	}
	return list
}

// fileStore keeps incidents in a file of this node.
type fileStore struct {
	path   string
	starts []time.Time // of the process and those before it, lately
}

type fileContent struct {
	Incidents []*Incident `json:"incidents"`
	Starts    []time.Time `json:"starts,omitempty"`
}

const maxStarts = 100

func (s *fileStore) load(context.Context) ([]*Incident, error) {
	data, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var c fileContent
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s is larger than any that the relay writes", s.path)
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("%s: %w", s.path, err)
	}
	s.starts = c.Starts[max(0, len(c.Starts)-maxStarts):]
	return repaired(c.Incidents), nil
}

func (s *fileStore) save(_ context.Context, all []*Incident, _ map[*Incident]bool) error {
	data, err := json.Marshal(fileContent{all, s.starts})
	if err != nil {
		return err
	}
	return durable.Replace(s.path, data)
}

// repaired leaves out what cannot be an incident.
func repaired(list []*Incident) []*Incident {
	list = slices.DeleteFunc(list, func(i *Incident) bool { return i == nil || i.Ref == "" })
	for _, i := range list {
		if i.Told == nil {
			i.Told = map[string]*Told{}
		}
		for name, t := range i.Told {
			if t == nil {
				delete(i.Told, name)
			}
		}
	}
	return list
}

// noteStore keeps incidents in the queue, one in each note.
type noteStore struct{ notes Notes }

func (s noteStore) load(ctx context.Context) ([]*Incident, error) {
	notes, err := s.notes.Notes(ctx, noteScope)
	if err != nil {
		return nil, err
	}
	var list []*Incident
	for _, value := range notes {
		var i Incident
		if json.Unmarshal([]byte(value), &i) == nil { // a note of another version says nothing
			list = append(list, &i)
		}
	}
	slices.SortFunc(list, func(a, b *Incident) int { return a.Opened.Compare(b.Opened) })
	return repaired(list), nil
}

// keepNote is longer than an incident is kept that is over. One that is open is written anew
// before that.
const keepNote = 30 * 24 * time.Hour

func (s noteStore) save(ctx context.Context, all []*Incident, changed map[*Incident]bool) error {
	for i := range changed {
		keep := keepNote
		if !slices.Contains(all, i) {
			keep = 0
		}
		value, err := json.Marshal(i)
		if err != nil {
			return err
		}
		if err := s.notes.SetNote(ctx, note(i.Ref, string(value)), keep); err != nil {
			return err
		}
	}
	return nil
}
