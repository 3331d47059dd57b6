// Package trial tries a connection for an operator who watches: as graphrelay check --online does,
// or as graphrelay probe, which takes minutes and sends mail to the mailbox that it is given.
//
// One trial runs at a time, since each makes requests that Graph counts for the mailboxes. It goes
// on in the background while its lines are read, and ends when it is stopped or the relay stops. The
// last check of each connection is kept in memory.
package trial

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"graphrelay/internal/text"
	"graphrelay/relay/config"
	"graphrelay/relay/connection"
	"graphrelay/relay/mailboxes"
	"graphrelay/relay/probe"
)

// Tone is what a line means.
type Tone string

// The tones.
const (
	Good    Tone = "good"
	Warning Tone = "warning" // it works, but should be looked at; or it was not tried
	Fault   Tone = "fault"   // it does not work; the line says what to do
)

// Line is one thing that a trial has found.
type Line struct {
	Tone Tone   `json:"tone" doc:"What the line means: good, warning or fault."`
	Text string `json:"text" doc:"What was found, with what to do."`
}

// Trial is a trial of a connection that runs or has ended.
type Trial struct {
	Connection string     `json:"connection" doc:"The name of the connection."`
	Probe      bool       `json:"probe" doc:"Whether it is a probe, which sends mail."`
	Mailbox    string     `json:"mailbox,omitempty" doc:"The mailbox that is tried."`
	By         string     `json:"by" doc:"Who began it."`
	Started    time.Time  `json:"started" doc:"When it began."`
	Ended      *time.Time `json:"ended,omitempty" doc:"When it ended; absent while it runs."`
	Step       int        `json:"step" doc:"How many steps of a probe are done."`
	Steps      int        `json:"steps,omitempty" doc:"How many steps a probe has."`
	Stopped    bool       `json:"stopped" doc:"Whether it was stopped before its end."`
	Good       bool       `json:"good" doc:"Whether it has ended and found no fault."`
	Lines      []Line     `json:"lines" doc:"What was found so far."`
}

// Request is what is to be tried.
type Request struct {
	Connection string `json:"connection" doc:"The name of the connection."`
	Probe      bool   `json:"probe" doc:"Whether it is a probe, which sends mail."`
	Mailbox    string `json:"mailbox,omitempty" doc:"The mailbox that is tried."` // a check tries all that the configuration names without one; a probe needs one
}

// Checked is the last check of a connection.
type Checked struct {
	At    time.Time        `json:"at" doc:"When the check ended."`
	Check connection.Check `json:"check" doc:"What the check has found."`
}

// The reasons for which no trial begins or ends.
var (
	ErrRunning    = errors.New("another trial is running; wait for its end, or stop it")
	ErrNotRunning = errors.New("no trial is running")
	ErrNoMailbox  = errors.New("name the mailbox in which the probe makes drafts and to which it sends mail")
	ErrUnknown    = errors.New("the configuration has no such connection")
	ErrStopping   = errors.New("the relay is stopping")
)

// Runner runs trials.
type Runner struct {
	mu       sync.Mutex
	last     map[string]*Trial  // by connection; the newest
	checks   map[string]Checked // by connection
	running  *Trial
	cancel   context.CancelFunc
	stopping bool
	wg       sync.WaitGroup
}

// New returns a Runner.
func New() *Runner { return &Runner{last: map[string]*Trial{}, checks: map[string]Checked{}} }

// Start begins a trial of a connection of cfg.
func (r *Runner) Start(cfg *config.Config, by string, q Request) error {
	c := cfg.ConnectionOf("", q.Connection)
	switch {
	case q.Connection == "" || c == nil:
		return ErrUnknown
	case q.Probe && q.Mailbox == "":
		return ErrNoMailbox
	}
	r.mu.Lock()
	err := r.free()
	r.mu.Unlock()
	if err != nil {
		return err
	}
	var p *probe.Probe
	t := &Trial{Connection: c.Name, Probe: q.Probe, Mailbox: text.Shorten(text.Printable(q.Mailbox), 254), By: by, Started: time.Now(), Lines: []Line{}}
	ctx, cancel := context.WithCancel(context.Background())
	checker, closeChecker := mailboxes.OpenChecker(ctx, cfg)
	if q.Probe {
		if p, err = r.newProbe(ctx, cfg, c, q.Mailbox, checker, t); err != nil {
			cancel()
			closeChecker()
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.free(); err != nil { // another was quicker
		cancel()
		closeChecker()
		return err
	}
	r.running, r.cancel, r.last[c.Name] = t, cancel, t
	r.wg.Go(func() {
		defer closeChecker()
		defer cancel()
		if p != nil {
			r.probe(ctx, p, t)
		} else {
			r.check(ctx, checker, c, q.Mailbox, t)
		}
	})
	return nil
}

// free is called with the lock held.
func (r *Runner) free() error {
	switch {
	case r.stopping:
		return ErrStopping
	case r.running != nil:
		return ErrRunning
	}
	return nil
}

func (r *Runner) newProbe(ctx context.Context, cfg *config.Config, c *config.Connection, mailbox string, checker connection.Checker, t *Trial) (*probe.Probe, error) {
	o := probe.Options{Config: cfg, Connection: c, Mailbox: mailbox, Done: func(result probe.Result) { r.add(t, lineOf(result), true) }}
	if c.SignIn == config.SignInDelegated {
		owners, err := checker.Owners(ctx, c.Name)
		if err != nil {
			return nil, err
		}
		o.Tokens = owners.Tokens
	}
	t.Steps = probe.Steps()
	return probe.New(o)
}

func lineOf(result probe.Result) Line {
	tone := Good
	switch result.Verdict {
	case probe.Fault:
		tone = Fault
	case probe.Differs, probe.Skipped:
		tone = Warning
	}
	return Line{tone, result.Line()}
}

func (r *Runner) probe(ctx context.Context, p *probe.Probe, t *Trial) {
	report := p.Run(ctx)
	for _, left := range report.Left {
		r.add(t, Line{Warning, text.Printable(left.String())}, false)
	}
	r.end(ctx, t, report.Exit() != probe.ExitFault)
}

func (r *Runner) check(ctx context.Context, checker connection.Checker, c *config.Connection, mailbox string, t *Trial) {
	check := checker.Check(ctx, c, mailbox)
	if ctx.Err() == nil {
		r.mu.Lock()
		r.checks[c.Name] = Checked{time.Now(), check}
		r.mu.Unlock()
	}
	for _, line := range Lines(check) {
		r.add(t, line, false)
	}
	r.end(ctx, t, check.Good)
}

// Lines returns what a check has found, faults first.
func Lines(c connection.Check) (lines []Line) {
	add := func(tone Tone, list ...string) {
		for _, s := range list {
			lines = append(lines, Line{tone, text.Printable(s)})
		}
	}
	add(Fault, c.Faults...)
	add(Warning, c.Warnings...)
	if !c.TokenUntil.IsZero() {
		add(Good, "Microsoft has issued a token, which is good until "+c.TokenUntil.UTC().Format("15:04 UTC"))
	}
	for _, m := range c.Mailboxes {
		if m.Readable {
			add(Good, fmt.Sprintf("the mailbox %s was looked into", m.Address))
		}
	}
	if c.UploadHost == "reached" {
		add(Good, "the host to which large files are uploaded can be reached")
	}
	for _, s := range c.NotTried {
		add(Warning, "not tried: "+s)
	}
	return lines
}

func (r *Runner) add(t *Trial, line Line, step bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t.Lines = append(t.Lines, line)
	if step {
		t.Step++
	}
}

func (r *Runner) end(ctx context.Context, t *Trial, good bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := time.Now()
	t.Ended, t.Stopped = &at, ctx.Err() != nil
	t.Good = good && !t.Stopped
	r.running, r.cancel = nil, nil
}

// Last returns the newest trial of a connection, or nil.
func (r *Runner) Last(name string) *Trial {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.last[name]
	if t == nil {
		return nil
	}
	last := *t
	last.Lines = append([]Line{}, t.Lines...)
	return &last
}

// Checked returns the last check of a connection that came to its end, or nil.
func (r *Runner) Checked(name string) *Checked {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, ok := r.checks[name]; ok {
		return &c
	}
	return nil
}

// Stop ends the trial that runs. What a probe has made is removed before it has ended.
func (r *Runner) Stop() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running == nil {
		return ErrNotRunning
	}
	r.cancel()
	return nil
}

// Retain forgets connections that are not named.
func (r *Runner) Retain(has func(name string) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, t := range r.last {
		if !has(name) && t != r.running {
			delete(r.last, name)
		}
	}
	for name := range r.checks {
		if !has(name) {
			delete(r.checks, name)
		}
	}
}

// Close ends the trial that runs and waits for its end, or for that of ctx. No further one begins.
func (r *Runner) Close(ctx context.Context) {
	r.mu.Lock()
	r.stopping = true
	if r.cancel != nil {
		r.cancel()
	}
	r.mu.Unlock()
	done := make(chan struct{})
	go func() { r.wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
}
