package alert

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"graphrelay/relay/attention"
	"graphrelay/relay/queue"
)

// Queue is what the alerts need of the queue.
type Queue interface {
	Notes
	Submit(ctx context.Context, m *queue.Submission) error
	Get(ctx context.Context, id string) (queue.Record, []queue.Event, error)
	List(ctx context.Context, f queue.Filter) ([]queue.Record, error)
	Apply(ctx context.Context, id string, a queue.Action, by string) error
	Paused(ctx context.Context, l queue.Lane) (bool, error)
	Nodes(ctx context.Context) ([]queue.NodeStatus, error)
	Shared() bool
	Now() time.Time
	Wall(t time.Time) time.Time
}

// Notes are those of a shared queue.
type Notes interface {
	SetNote(ctx context.Context, n queue.Note, keep time.Duration) error
	Notes(ctx context.Context, scope string) (map[string]string, error)
}

func note(key, value string) queue.Note { return queue.Note{Scope: noteScope, Key: key, Value: value} }

// Manager keeps the incidents and tells the channels of them. It outlives a reload.
type Manager struct {
	queue     Queue
	node      string // the ID of this node
	ready     func() error
	evaluator *attention.Evaluator
	metrics   *Metrics
	starts    *fileStore

	mu       sync.Mutex // of the fields below
	settings Settings
	local    *book // of this node
	shared   *book // of the queue, nil if it is this node's alone; in memory while leading
	leading  bool
	fault    string // the last one, which is logged once
	renewed  time.Time
	states   map[string]*state // of channels, by name
	stop     func()            // ends the workers of the settings
}

// Config is what a Manager works with.
type Config struct {
	Queue   Queue
	Node    string       // the ID of this node
	File    string       // where the incidents of this node are kept
	Ready   func() error // why no mail can be taken; the heartbeat stops then
	Metrics *Metrics
}

// New returns a manager that has read the incidents of before. An error means that these could not
// be read; the manager works all the same, and may tell of them again.
func New(c Config) (*Manager, error) {
	file := &fileStore{path: c.File}
	m := &Manager{queue: c.Queue, node: c.Node, ready: c.Ready, metrics: c.Metrics, starts: file, local: newBook(file),
		states: map[string]*state{}, stop: func() {}, settings: Settings{Log: slog.New(slog.DiscardHandler)}}
	if c.Queue.Shared() {
		m.shared = newBook(noteStore{c.Queue})
	}
	err := m.local.load(context.Background())
	file.starts = append(file.starts, time.Now())
	if err == nil {
		err = file.save(context.Background(), m.local.incidents, nil)
	}
	return m, err
}

// Starts returns when the process and those before it were started, lately.
func (m *Manager) Starts() []time.Time { return m.starts.starts }

// Attach has the evaluator go on with the incidents that are open.
func (m *Manager) Attach(e *attention.Evaluator) {
	m.evaluator = e
	e.Restore(m.local.openConditions())
}

// Apply takes the settings of a configuration. Channels keep what they were told, and their pace.
func (m *Manager) Apply(s Settings) {
	m.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settings = s
	m.stop = func() { cancel(); all.Wait() }
	for _, c := range s.Channels {
		if m.states[c.Name] == nil {
			m.states[c.Name] = &state{wake: make(chan struct{}, 1)}
		}
		m.metrics.prepare(c.Name)
		w := &worker{m: m, channel: c, state: m.states[c.Name]}
		all.Go(func() { w.run(ctx) })
	}
	if s.Heartbeat.URL != "" {
		all.Go(func() { s.Heartbeat.run(ctx, m.ready, m.metrics, s.Log) })
	}
}

// Stop ends what the settings have started. What is not told yet is told after the next Apply, also
// by another process.
func (m *Manager) Stop() {
	m.mu.Lock()
	stop := m.stop
	m.stop = func() {}
	m.mu.Unlock()
	stop()
}

// Step carries over what the evaluator has found, and wakes the channels.
func (m *Manager) Step(ctx context.Context) {
	conditions := m.evaluator.Conditions()
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.lead(ctx)
	now := time.Now()
	for _, b := range m.books() {
		list := slices.DeleteFunc(slices.Clone(conditions), func(c attention.Condition) bool { return m.bookOf(c) != b })
		opened, closed := b.sync(list, now)
		m.log(opened, closed, now)
		b.prune(now)
	}
	m.makeDigest(ctx, now)
	for _, b := range m.books() {
		err = cmp.Or(b.save(ctx), err)
	}
	m.report(ctx, err)
	for _, s := range m.states {
		s.poke()
	}
}

// books returns the books that this node looks after.
func (m *Manager) books() []*book {
	if m.leading {
		return []*book{m.local, m.shared}
	}
	return []*book{m.local}
}

// bookOf returns the book of a condition; nil if another node looks after it.
func (m *Manager) bookOf(c attention.Condition) *book {
	switch {
	case m.shared == nil || !c.Shared:
		return m.local
	case m.leading:
		return m.shared
	}
	return nil
}

// lead finds out whether this node looks after what is about the queue: the one does that has run
// longest. Whoever begins to goes on with the incidents that are there.
func (m *Manager) lead(ctx context.Context) error {
	if m.shared == nil {
		return nil
	}
	nodes, err := m.queue.Nodes(ctx)
	if err != nil {
		return err
	}
	now := m.queue.Wall(m.queue.Now())
	nodes = slices.DeleteFunc(nodes, func(n queue.NodeStatus) bool { return n.State(now) == queue.Gone })
	slices.SortFunc(nodes, func(a, b queue.NodeStatus) int {
		return cmp.Or(a.About.Started.Compare(b.About.Started), cmp.Compare(a.ID, b.ID))
	})
	was := m.leading
	m.leading = len(nodes) > 0 && nodes[0].ID == m.node
	if !m.leading || was {
		return m.renew(now)
	}
	if err := m.shared.load(ctx); err != nil {
		m.leading = false
		return err
	}
	m.renewed = now
	m.evaluator.Restore(m.shared.openConditions())
	return nil
}

// renew writes the open incidents of the queue anew once a day, so that their notes do not expire.
func (m *Manager) renew(now time.Time) error {
	if m.leading && now.Sub(m.renewed) > 24*time.Hour {
		m.renewed = now
		for _, i := range m.shared.incidents {
			m.shared.changed(i)
		}
	}
	return nil
}

func (m *Manager) log(opened, closed []*Incident, now time.Time) {
	for _, i := range opened {
		m.settings.Log.Warn("incident", "reference", i.Ref, "condition", i.ID, "subject", i.Subject, "severity", i.Severity, "cause", i.Cause)
	}
	for _, i := range closed {
		m.settings.Log.Info("incident is over", "reference", i.Ref, "condition", i.ID, "subject", i.Subject, "lasted", attention.Span(i.Duration(now)))
	}
}

// report logs that incidents cannot be kept, when the reason is another than before.
func (m *Manager) report(ctx context.Context, err error) {
	text := ""
	if err != nil && ctx.Err() == nil {
		text = err.Error()
	}
	if text != "" && text != m.fault {
		m.settings.Log.Error("cannot keep the incidents; after a restart, some may be told again", "error", text)
	}
	m.fault = text
}

// List returns the incidents that are open, and with all also those that were lately, oldest first.
func (m *Manager) List(ctx context.Context, all bool) ([]Incident, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := slices.Clone(m.local.incidents)
	switch {
	case m.shared == nil:
	case m.leading:
		list = append(list, m.shared.incidents...)
	default:
		others, err := m.shared.store.load(ctx)
		if err != nil {
			return nil, err
		}
		list = append(list, others...)
	}
	found := []Incident{}
	for _, i := range list {
		if i.ID != digestID && (all || i.open()) {
			x := *i
			x.Told = nil
			found = append(found, x)
		}
	}
	slices.SortStableFunc(found, func(a, b Incident) int { return a.Opened.Compare(b.Opened) })
	return found, nil
}

// Channels returns the names of the channels.
func (m *Manager) Channels() (names []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.settings.Channels {
		names = append(names, c.Name)
	}
	return names
}

// ErrNoChannel is returned for a channel that is not configured.
var ErrNoChannel = errors.New("there is no such channel; alerts.mail and alerts.webhooks name them")

// Test sends a test message to a channel at once, without the outbox. It returns what the operator
// should know: that a mail is queued, and under which ID, or that the webhook has taken it.
func (m *Manager) Test(ctx context.Context, channel string) (string, error) {
	m.mu.Lock()
	s := m.settings
	m.mu.Unlock()
	at := slices.IndexFunc(s.Channels, func(c Channel) bool { return c.Name == channel })
	if at < 0 {
		return "", ErrNoChannel
	}
	c := s.Channels[at]
	n := testNotice(&s, time.Now())
	if !c.mail() {
		_, err := post(ctx, c, n)
		return "the webhook has taken it", err
	}
	id := queue.NewID(time.Now())
	lane := c.From[m.choose(ctx, c, 0)]
	return "queued as " + id + ", to be sent by " + lane.Mailbox, m.queue.Submit(ctx, submission(n, c, lane, id))
}
