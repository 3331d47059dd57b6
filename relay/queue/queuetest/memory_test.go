package queuetest_test

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"graphrelay/internal/text"
	"graphrelay/relay/queue"
	"graphrelay/relay/queue/queuetest"
	"graphrelay/relay/reason"
)

// TestMemory runs the suite on a storage that keeps all in memory and knows no rule of
// the queue: what the suite expects has to come from package queue.
func TestMemory(t *testing.T) {
	var mu sync.Mutex
	stored := map[string]*memory{} // by directory
	queuetest.Run(t, func(t *testing.T, dir string) *queue.Queue {
		mu.Lock()
		defer mu.Unlock()
		if stored[dir] == nil {
			stored[dir] = newMemory()
		}
		q := queue.New(stored[dir], queue.NewClock(stored[dir].clock, nil))
		if err := q.Recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		return q
	})
}

func newMemory() *memory {
	return &memory{tx: tx{map[string]message{}, map[queue.LaneID]lane{}, map[tagOf]int64{}, map[queue.Lane]pause{}, map[string]queue.Node{}, map[string]queue.Cleanup{}, map[string]queue.Audit{}, map[[2]string]queue.Note{}, queue.Reading{}, false, queue.Closed{}}}
}

// memory implements queue.Storage. Its tx is what is committed.
type memory struct {
	mu sync.Mutex
	tx
}

// tx implements queue.Tx.
type tx struct {
	messages map[string]message
	lanes    map[queue.LaneID]lane
	tags     map[tagOf]int64
	pauses   map[queue.Lane]pause
	nodes    map[string]queue.Node
	cleanups map[string]queue.Cleanup
	audits   map[string]queue.Audit
	notes    map[[2]string]queue.Note // by scope and key
	clock    queue.Reading
	divided  bool // the lanes belong to nodes
	closed   queue.Closed
}

type message struct {
	queue.Record
	lane   queue.LaneID
	body   []byte
	events []queue.Event
}

type lane struct {
	queue.Lane
	served       time.Time
	deferredNext bool
	virtualTime  int64
	reportsRead  time.Time
	owner        string // of a storage that is shared
	epoch        int64
	carry        string
}

type tagOf struct {
	lane   queue.LaneID
	source string
}

type pause struct {
	until time.Time
	why   reason.Reason
}

func (m *memory) Update(_ context.Context, fn func(queue.Tx) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := tx{maps.Clone(m.messages), maps.Clone(m.lanes), maps.Clone(m.tags), maps.Clone(m.pauses), maps.Clone(m.nodes), maps.Clone(m.cleanups), maps.Clone(m.audits), maps.Clone(m.notes), m.clock, m.divided, m.closed}
	var given queue.Tx = &t
	if m.divided {
		given = &sharedTx{&t}
	}
	err := fn(given)
	if err == nil {
		m.tx = t
	}
	return err
}

func (m *memory) Healthy() error { return nil }
func (m *memory) Close() error   { return nil }

// content implements queue.Content.
type content struct{ bytes.Buffer }

func (m *memory) NewContent(string) queue.Content { return &content{} }

func (m *memory) ContentOf(_ string, body []byte) queue.Content {
	return &content{*bytes.NewBuffer(body)}
}

func (m *memory) Space() (free, size int64, err error) { return 1 << 40, 1 << 40, nil }

func (c *content) View(do func(io.ReaderAt) error) error { return do(bytes.NewReader(c.Bytes())) }
func (c *content) Size() int64                           { return int64(c.Len()) }
func (c *content) Sync() error                           { return nil }
func (c *content) Discard() error                        { return nil }

// body implements queue.Body.
type body struct{ *bytes.Reader }

func (body) Close() error { return nil }
func (body) Check() error { return nil }

func (m *memory) Open(_ context.Context, id string) (queue.Body, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.messages[id].HasContent {
		return nil, queue.ErrNotFound
	}
	return body{bytes.NewReader(m.messages[id].body)}, nil
}

// find returns the messages that are wanted, oldest first.
func (t *tx) find(wanted func(message) bool) (list []queue.Record) {
	for _, m := range t.messages {
		if wanted(m) {
			list = append(list, m.Record)
		}
	}
	slices.SortFunc(list, func(a, b queue.Record) int { return a.Received.Compare(b.Received) })
	return list
}

func contains(part string, texts ...string) bool {
	return part == "" || slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(text.Fold(s), text.Fold(part)) })
}

// selects reports whether the filter selects a message.
func selects(f queue.Filter, x message) bool {
	from, to := f.IDs()
	return x.ID >= from && (to == "" || x.ID < to) &&
		(len(f.States) == 0 || slices.Contains(f.States, x.State)) && (len(f.Reasons) == 0 || slices.Contains(f.Reasons, x.Reason)) &&
		contains(f.From, x.Envelope.From) && contains(f.To, x.Envelope.To...) && contains(f.Subject, x.Subject) && contains(f.Client, x.Client) &&
		contains(f.Text, append([]string{x.ID, x.MessageID, x.Envelope.From, x.From, x.Subject}, x.Envelope.To...)...) &&
		(f.Lane == "" || f.Lane == x.Lane.String() || f.Lane == x.Lane.Whole().String()) &&
		(f.MessageID == "" || x.MessageID == f.MessageID) && (f.User == "" || strings.EqualFold(x.User, f.User)) &&
		(!f.HasContent || x.HasContent) && !x.Received.Before(f.Since) && (f.Before.IsZero() || x.Received.Before(f.Before))
}

func (m *memory) List(_ context.Context, f queue.Filter) ([]queue.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := m.find(func(x message) bool { return selects(f, x) })
	slices.SortFunc(list, func(a, b queue.Record) int {
		if f.Newest {
			a, b = b, a
		}
		return cmp.Compare(a.ID, b.ID)
	})
	for i := range list {
		list[i].PausedUntil = m.pausedUntil(list[i].Lane)
	}
	if f.Limit > 0 {
		list = list[:min(f.Limit, len(list))]
	}
	return list, nil
}

func (m *memory) Search(ctx context.Context, f queue.Filter, _ time.Duration) (queue.Found, error) {
	list, err := m.List(ctx, f)
	return queue.Found{Records: list}, err
}

func (m *memory) Count(ctx context.Context, f queue.Filter) (int64, error) {
	f.Limit = 0
	list, err := m.List(ctx, f)
	return int64(len(list)), err
}

func (m *memory) Get(_ context.Context, id string) (queue.Record, []queue.Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, err := m.Record(id)
	r.PausedUntil = m.pausedUntil(r.Lane)
	return r, m.messages[id].events, err
}

func (m *memory) Receipts(_ context.Context, since time.Time, each func(queue.Receipt)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.find(func(x message) bool { return !x.Arrived.Before(since) }) {
		each(queue.Receipt{Received: r.Arrived, Sender: r.Envelope.From, From: r.From, ReplyTo: r.ReplyTo, User: r.User, Client: r.Client, Recipients: len(r.Envelope.To)})
	}
	return nil
}

func (m *memory) Sends(_ context.Context, arrived, left time.Time, each func(queue.Send)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.find(func(x message) bool { return x.State.Left() && !x.Arrived.Before(arrived) && !x.Due.Before(left) }) {
		each(queue.Send{Lane: r.Lane, At: r.Due, To: r.Envelope.To})
	}
	return nil
}

func ended(m message) bool {
	return m.State.Left() || m.State == queue.Failed || m.State == queue.Deleted
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

func (m *memory) Stats(context.Context) (queue.Stats, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	st := queue.Stats{Messages: map[queue.State]int64{}}
	for _, x := range m.messages {
		st.Messages[x.State]++
		if !x.State.Left() && x.State != queue.Deleted {
			st.Bytes += x.Size
			if x.State == queue.Failed {
				st.FailedBytes += x.Size
			}
		}
		if !ended(x) {
			st.Oldest = earlier(st.Oldest, x.Arrived)
		}
	}
	return st, nil
}

func (m *memory) Lanes(_ context.Context, now time.Time) ([]queue.LaneStatus, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[queue.Lane]queue.LaneStatus{}
	status := func(l queue.Lane) queue.LaneStatus {
		if s, ok := all[l]; ok {
			return s
		}
		return queue.LaneStatus{Lane: l, Messages: map[queue.State]int64{}}
	}
	for _, x := range m.messages {
		if s := status(x.Lane); !ended(x) {
			s.Messages[x.State]++
			s.Oldest = earlier(s.Oldest, x.Received)
			all[x.Lane] = s
		}
	}
	for l, p := range m.pauses {
		if s := status(l); p.until.After(now) {
			s.PausedUntil, s.PausedFor = p.until, p.why
			all[l] = s
		}
	}
	return slices.SortedFunc(maps.Values(all), func(a, b queue.LaneStatus) int { return cmp.Compare(a.String(), b.String()) }), nil
}
