// Package probe tries on a tenant what the relay assumes of Graph and Exchange, and says what
// to set where the tenant differs.
//
// It writes only into the Drafts of one mailbox, and sends only to that mailbox or to the
// address that it is given. It marks each item that it makes with a random value in the
// subject. At the end, also after a fault or an interruption, it removes these items or says
// which it could not remove. It changes and removes no item without the mark. It makes its
// requests without the relay's retries and fallbacks, so that the answers are seen as they are; it
// repeats only what Graph throttles or is too busy for, and says so. The answers are untrusted: the text that is shown of them is cleaned and bounded.
//
// The steps are listed in steps.go. What they find out beside their verdicts are facts: facts.go
// has their names, and simulated.go what the simulator does to behave in the same way.
package probe

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"graphrelay/graph"
	"graphrelay/graph/entra"
	"graphrelay/internal/mailaddr"
	"graphrelay/relay/config"
	"graphrelay/relay/connection"
)

// Options are what is probed, and how.
type Options struct {
	Config     *config.Config
	Connection *config.Connection
	Tokens     entra.RefreshTokens // of a delegated connection; otherwise nil

	Mailbox string // its address
	To      string // who gets the mail; "" is the mailbox
	From    string // another address to send from; "" tries none
	Alias   string // an alias of the mailbox; "" tries none
	Large   bool   // also what takes time and traffic
	Keep    bool   // leave what was made

	Waits      Waits
	LargeSizes []int64      // bytes of the files of step 18, growing; nil is 20, 30 and 40 MB
	Done       func(Result) // called after each step; may be nil
	Dial       graph.Dial   // nil: by TCP
}

// Waits bounds the time that a run takes. Fields that are zero get the default.
type Waits struct {
	Poll     time.Duration // between two looks at something that is expected; 250 ms
	Appear   time.Duration // for a new draft; 10 s
	Find     time.Duration // for $filter to find something; 60 s
	Send     time.Duration // for a message to be in Sent Items, and to be in the Inbox after that; 2 min each
	Returns  time.Duration // from the first send, for non-delivery reports; 2 min
	Throttle time.Duration // the longest pause that Graph may ask for; 60 s
	Remove   time.Duration // for the removal at the end; 60 s
}

func (w Waits) withDefaults() Waits {
	set := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	set(&w.Poll, 250*time.Millisecond)
	set(&w.Appear, 10*time.Second)
	set(&w.Find, time.Minute)
	set(&w.Send, 2*time.Minute)
	set(&w.Returns, 2*time.Minute)
	set(&w.Throttle, time.Minute)
	set(&w.Remove, time.Minute)
	return w
}

// Probe is one run.
type Probe struct {
	o       Options
	w       Waits
	client  *graph.Client
	marker  string
	salt    []byte // of the hashes in the JSON
	started time.Time
	facts   Facts
	made    made
	has     map[capability]bool

	resume  time.Time // the end of the pause that Graph has asked for
	repeats repeats

	shared    bool   // the token has permissions for other mailboxes than the account's own
	foreign   bool   // the account that has signed in is not the mailbox's
	key       string // of the mailbox in Graph's paths; "" until step 3
	objectID  string // that the directory has shown
	upn       string // likewise
	draft     string // the id of step 4's draft
	created   time.Time
	messageID string // that the draft has
	newID     bool   // it is not the one that was asked for
	refused   []string
	dropped   []string
	sentID    string    // the id of the first message, once it is in Sent Items
	firstSend time.Time // when Graph accepted it
	session   int       // the status of createUploadSession
	posted    bool      // step 8 has added its file to the draft
	ids       int       // of newMessageID
}

// Report is the result of a run.
type Report struct {
	Results     []Result
	Facts       Facts
	Left        []Left // what is still there, unless Options.Keep is set
	Marker      string // the random value
	Interrupted bool

	connection *config.Connection
	salt       []byte
	ids        map[string]string
}

// New returns a run. The error says what is wrong with the options.
func New(o Options) (*Probe, error) {
	c := o.Connection
	if c.SignIn == config.SignInPassThrough {
		return nil, fmt.Errorf("connection %s has no credential of its own, since its clients bring theirs; name another one with --connection", c.Name)
	}
	for _, a := range []struct{ flag, address string }{{"--mailbox", o.Mailbox}, {"--to", o.To}, {"--from", o.From}, {"--alias", o.Alias}} {
		if a.address == "" && a.flag != "--mailbox" {
			continue
		}
		if local, domain := mailaddr.Split(a.address); local == "" || domain == "" || !plain(a.address) {
			return nil, fmt.Errorf("%s %q is not an address such as anna@contoso.test", a.flag, a.address)
		}
	}
	if o.To == "" {
		o.To = o.Mailbox
	}
	if o.LargeSizes == nil {
		o.LargeSizes = []int64{20_000_000, 30_000_000, 40_000_000}
	}
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails
	g := connection.ClientConfig(o.Config, *c, connection.SignIn(*c, o.Tokens), nil)
	g.Dial = o.Dial
	return &Probe{o: o, w: o.Waits.withDefaults(), marker: hex.EncodeToString(random[:16]), salt: random[16:], facts: Facts{}, has: map[capability]bool{},
		client: graph.New(g)}, nil
}

// plain reports whether the text can stand in a header field and in a URL.
func plain(address string) bool {
	for _, r := range address {
		if r <= ' ' || r > '~' || r == '<' || r == '>' || r == '"' {
			return false
		}
	}
	return len(address) <= 254
}

// Run makes the steps and then removes what they have made. When ctx ends, it makes no further
// step, and removes what there is.
func (p *Probe) Run(ctx context.Context) Report {
	defer p.client.Close()
	p.started = time.Now()
	report := Report{Facts: p.facts, Marker: p.marker, connection: p.o.Connection, salt: p.salt}
	for _, s := range steps() {
		r := Result{Step: s.number, What: s.what, Expected: s.expected}
		p.step(ctx, s, &r)
		report.Results = append(report.Results, r)
		if p.o.Done != nil {
			p.o.Done(r)
		}
	}
	p.judgeRBAC()
	report.Interrupted = ctx.Err() != nil
	if !p.o.Keep {
		report.Left = p.removeAll(context.WithoutCancel(ctx))
	}
	report.ids = map[string]string{"mailbox": p.o.Mailbox, "tenant": p.o.Connection.Tenant, "draft": p.draft, "sent": p.sentID}
	return report
}

// step makes a step, unless something that it needs is missing.
func (p *Probe) step(ctx context.Context, s step, r *Result) {
	if ctx.Err() != nil {
		r.skip("the probe was interrupted")
		return
	}
	for _, need := range s.needs {
		if !p.has[need] {
			r.skip(missing(need))
			return
		}
	}
	s.run(p, ctx, r)
	p.repeats.report(r)
	if ctx.Err() != nil && r.Verdict == Fault {
		r.Verdict, r.Advice = "", nil
		r.skip("the probe was interrupted")
	}
	if r.Verdict == "" {
		r.Verdict = OK
	}
}

// addressDomain returns the domain of the mailbox.
func (p *Probe) addressDomain() string {
	_, domain := mailaddr.Split(p.o.Mailbox)
	return domain
}

// toMailbox reports whether the mail goes to the mailbox itself.
func (p *Probe) toMailbox() bool { return mailaddr.Same(p.o.To, p.o.Mailbox) }

// delegated reports whether the mailbox's owner, or another account, has signed in.
func (p *Probe) delegated() bool { return p.o.Connection.SignIn == config.SignInDelegated }

// asError returns the error of Graph's, or the zero one.
func asError(err error) *graph.Error {
	var e *graph.Error
	if !errors.As(err, &e) {
		return &graph.Error{}
	}
	return e
}
