package attention

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// State is what the evaluator looks at. A field that is nil is not looked at.
type State struct {
	Metrics     prometheus.Gatherer
	Queue       Queue
	Redirect    func() string // where delivery.redirect_all sends all mail, or ""
	Ready       func() error  // why no mail can be taken
	ReloadFault func() string // what is wrong with the file, or ""
	NodesDiffer func() bool
	// ExpiryNotice says what to do about the credential of a connection.
	ExpiryNotice func(connection string) string
	// RefusedMailboxes returns the connected mailboxes that Microsoft refuses, by connection.
	RefusedMailboxes func(context.Context) (map[string][]string, error)
	// Starts returns when the process and those before it were started, as far as is known.
	Starts func() []time.Time
	// RefusedDevices returns the clients that may be devices of the house, were refused since then,
	// and of which nothing was accepted.
	RefusedDevices func(since time.Time) []Device
	// LearningWindows returns those that are open.
	LearningWindows func() []LearningWindow
}

// Queue is what the evaluator reads of the queue.
type Queue interface {
	List(ctx context.Context, f queue.Filter) ([]queue.Record, error)
	Count(ctx context.Context, f queue.Filter) (int64, error)
	Lanes(ctx context.Context) ([]queue.LaneStatus, error)
	Nodes(ctx context.Context) ([]queue.NodeStatus, error)
	Now() time.Time
	Wall(t time.Time) time.Time
}

// Device is a client that a listener has refused.
type Device struct {
	Client, Listener string
	Reason           reason.Reason // of the last time
	Refusals         int
	Remedy           string
}

// LearningWindow is a time in which a listener lets in and learns devices.
type LearningWindow struct {
	Listener, Network, Domain string
	By                        string // who opened it
	Until                     time.Time
	Learnt                    int
}

// finders find what no metric shows, by kind.
var finders = map[string]func(s *State, ctx context.Context, k Kind, now time.Time) ([]Observation, error){
	"RelayRestarts":    (*State).restarts,
	"NoIntake":         (*State).noIntake,
	"ConnectionPaused": (*State).pausedConnections,
	"MailboxPaused":    (*State).pausedMailboxes,
	"MailDamaged":      (*State).damaged,
	"NodesDiffer":      (*State).differ,
	"RedirectAll":      (*State).redirect,
	"DeviceRefused":    (*State).devices,
	"LearningWindow":   (*State).learning,
}

// errUnclear is returned by a finder that cannot tell from what there is whether its condition holds.
// What is open then stays open, and nothing opens.
var errUnclear = errors.New("it cannot be told")

func (s *State) restarts(_ context.Context, k Kind, now time.Time) ([]Observation, error) {
	if s.Starts == nil {
		return nil, nil
	}
	n := 0
	for _, at := range s.Starts() {
		if now.Sub(at) < k.Within {
			n++
		}
	}
	if restarts := n - 1; float64(restarts) > k.Limit {
		return []Observation{{Value: float64(restarts), Cause: fmt.Sprintf("It was started %d times within %s.", n, Span(k.Within))}}, nil
	}
	return nil, nil
}

// pauses returns the pauses that hold now.
func (s *State) pauses(ctx context.Context, which func(queue.Lane) bool) (list []queue.LaneStatus, err error) {
	if s.Queue == nil {
		return nil, nil
	}
	all, err := s.Queue.Lanes(ctx)
	now := s.Queue.Wall(s.Queue.Now())
	for _, l := range all {
		if l.PausedUntil.After(now) && which(l.Lane) {
			list = append(list, l)
		}
	}
	return list, err
}

func wholeConnection(l queue.Lane) bool { return l.Mailbox == "" && l.Principal == "" }

func (s *State) pausedConnections(ctx context.Context, _ Kind, _ time.Time) (found []Observation, err error) {
	list, err := s.pauses(ctx, wholeConnection)
	for _, l := range list {
		found = append(found, Observation{Subject: l.Connection, Value: 1, Remedy: resume(l.PausedFor, l.Lane),
			Cause: fmt.Sprintf("The connection %s is paused %s. %s. No mail of it is sent.", l.Connection, until(l), why(l.PausedFor))})
	}
	return found, err
}

// pausedMailboxes groups the paused mailboxes by connection and reason.
func (s *State) pausedMailboxes(ctx context.Context, _ Kind, _ time.Time) (found []Observation, err error) {
	list, err := s.pauses(ctx, func(l queue.Lane) bool { return !wholeConnection(l) })
	type group struct {
		connection string
		why        reason.Reason
	}
	groups := map[group][]queue.LaneStatus{}
	for _, l := range list {
		g := group{l.Connection, l.PausedFor}
		groups[g] = append(groups[g], l)
	}
	order := func(a, b group) int {
		return cmp.Or(strings.Compare(a.connection, b.connection), strings.Compare(string(a.why), string(b.why)))
	}
	for _, g := range slices.SortedFunc(maps.Keys(groups), order) {
		lanes := groups[g]
		o := Observation{Subject: g.connection + " " + string(g.why), Value: float64(len(lanes)), Count: len(lanes), Remedy: resume(g.why, lanes[0].Lane)}
		for _, l := range lanes[:min(len(lanes), maxExamples)] {
			o.Examples = append(o.Examples, l.Lane.String())
		}
		if len(lanes) == 1 {
			o.Cause = fmt.Sprintf("The lane %s is paused %s. %s.", o.Examples[0], until(lanes[0]), why(g.why))
		} else {
			o.Cause = fmt.Sprintf("%d lanes of the connection %s are paused. %s.", len(lanes), g.connection, why(g.why))
		}
		found = append(found, o)
	}
	return found, err
}

func until(l queue.LaneStatus) string {
	if !l.PausedUntil.Before(queue.Forever) {
		return "until it is resumed"
	}
	return "until " + l.PausedUntil.Local().Format("2006-01-02 15:04 MST")
}

func (s *State) damaged(ctx context.Context, k Kind, _ time.Time) ([]Observation, error) {
	if s.Queue == nil {
		return nil, nil
	}
	f := queue.Filter{States: []queue.State{queue.Held}, Reasons: []reason.Reason{reason.Storage}}
	n, err := s.Queue.Count(ctx, f)
	if err != nil || float64(n) <= k.Limit {
		return nil, err
	}
	f.Limit = maxExamples
	list, err := s.Queue.List(ctx, f)
	o := Observation{Value: float64(n), Count: int(n), Cause: count(float64(n), "message is", "messages are") + " damaged and held."}
	for _, m := range list {
		o.Examples = append(o.Examples, m.ID)
	}
	return []Observation{o}, err
}

func (s *State) differ(context.Context, Kind, time.Time) ([]Observation, error) {
	if s.NodesDiffer == nil || !s.NodesDiffer() {
		return nil, nil
	}
	return []Observation{{Value: 1, Cause: "What a message becomes depends on the relay that takes it."}}, nil
}

func (s *State) redirect(context.Context, Kind, time.Time) ([]Observation, error) {
	if s.Redirect == nil || s.Redirect() == "" {
		return nil, nil
	}
	return []Observation{{Value: 1, Cause: "ALL mail goes to " + s.Redirect() + ", and to nobody else."}}, nil
}

func (s *State) devices(_ context.Context, k Kind, now time.Time) (found []Observation, err error) {
	if s.RefusedDevices == nil {
		return nil, nil
	}
	for _, d := range s.RefusedDevices(now.Add(-k.Within)) {
		if float64(d.Refusals) > k.Limit {
			found = append(found, Observation{Subject: d.Client, Value: float64(d.Refusals), Remedy: d.Remedy,
				Cause: fmt.Sprintf("The listener %s has refused %s %d times within %s, and accepted nothing. %s.", d.Listener, d.Client, d.Refusals, Span(k.Within), named(d.Reason, d.Reason.RefusalWords()))})
		}
	}
	return found, nil
}

func (s *State) learning(context.Context, Kind, time.Time) (found []Observation, err error) {
	if s.LearningWindows == nil {
		return nil, nil
	}
	for _, w := range s.LearningWindows() {
		found = append(found, Observation{Subject: w.Listener, Value: float64(w.Learnt),
			Cause: fmt.Sprintf("The listener %s lets in and learns devices of %s that send as *@%s until %s; %d learnt so far. %s has opened the window.",
				w.Listener, w.Network, w.Domain, w.Until.Local().Format("2006-01-02 15:04 MST"), w.Learnt, w.By)})
	}
	return found, nil
}
