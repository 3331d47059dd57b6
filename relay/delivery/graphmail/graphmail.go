// Package graphmail sends messages by Microsoft Graph. It converts a message, walks it
// through draft, attachments and send, and keeps record of that. It is the only place
// where mime and graph meet.
//
// It promises that a message is sent at most once: each step is recorded before it is
// requested, and an answer that was lost is resolved by looking at the mailbox, never by
// asking again. Exactly the recipients of the envelope get the message.
package graphmail

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"graphrelay/graph"
	"graphrelay/mime"
	"graphrelay/relay/delivery"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
	"graphrelay/relay/signature"
)

// Config is how messages go to Graph.
type Config struct {
	Host        string                // this relay's name, in the Message-ID given to a message that has none
	Connections map[string]Connection // by name; one that is not named is the zero Connection
	Clients     Clients
	MIME        mime.Limits
	XHeaders    []string                       // patterns of the X- fields to carry, the most wanted first
	Signatures  map[string]*signature.Template // by name, for messages that are to get one
	SendSettle  time.Duration                  // how long a doubtful send is watched before it is repeated, and longer in a bulk run
	// RetryUnexplained is how long a refusal is retried that graph cannot explain, before
	// it counts as the message's fault.
	RetryUnexplained time.Duration
	GiveUpAfter      time.Duration // from receipt, until the copy of a sent message is left in Sent Items
	// ConvertLargeSigned sends a signed or encrypted message that is too large for MIME
	// as JSON, its signature lost, instead of refusing it.
	ConvertLargeSigned bool
	// ResendUnknown sends again where it cannot be looked up whether a message was sent,
	// instead of holding it: a duplicate rather than a loss.
	ResendUnknown bool
	// Owner looks up the mailbox's owner in the directory. It returns the zero User if the
	// owner is not known; retry means that the directory could not be asked now. A nil
	// Owner knows none. An alias is no key of Graph's paths, and the mailbox of a lane may
	// be an alias if the directory could not be asked when its message came.
	Owner func(ctx context.Context, lane queue.Lane) (u graph.User, retry bool)
	// RedirectAll gets all messages in place of their recipients, for tests of other systems;
	// empty: nobody does.
	RedirectAll string
	Log         *slog.Logger
	// Metrics counts losses; nil counts nothing.
	Metrics *Metrics
}

// Connection is what a connection's application may do, and how its operator wants copies
// to be kept. The zero Connection may write mailboxes and keeps copies in Sent Items.
type Connection struct {
	SendOnly   bool // Mail.Send without Mail.ReadWrite: no drafts and no look-ups
	DropCopies bool // no copy in Sent Items
	// Delegated: each mailbox was connected by somebody who signed in, as its owner or with
	// rights in it.
	Delegated bool
	ClientID  string // of the application, for advice

	NoUploads         bool // no upload sessions: a file of 3 MB or more fits nowhere
	NoPermanentDelete bool // what is deleted stays in Recoverable Items
	NoHeaders         bool // no internetMessageHeaders, so no X- fields
}

// Clients returns the client of a lane's connection. Its error says why there is none; one
// that wraps graph.ErrNotConnected, that there may be one later.
type Clients func(lane queue.Lane) (*graph.Client, error)

// Outlet implements delivery.Outlet with Microsoft Graph.
type Outlet struct {
	cfg     Config
	backlog *backlog
	denials *denials
	lacks   *lacks
	habits  habits
}

// New returns an Outlet.
func New(cfg Config) *Outlet {
	return &Outlet{cfg: cfg, backlog: newBacklog(), denials: newDenials(), lacks: newLacks()}
}

// Inherit takes over what another Outlet knows of the mailboxes. It is called before the
// first message.
func (o *Outlet) Inherit(other *Outlet) { o.backlog, o.denials = other.backlog, other.denials }

// Send implements delivery.Outlet.
func (o *Outlet) Send(ctx context.Context, a *delivery.Attempt) (delivery.Result, error) {
	t, err := o.begin(ctx, a)
	switch {
	case errors.Is(err, errProgress):
		return delivery.Result{Status: delivery.StatusHold, Reason: reason.Storage, Detail: err.Error()}, nil
	case errors.Is(err, errRedirect):
		return delivery.Result{Status: delivery.StatusHold, Reason: reason.Operator, Detail: err.Error()}, nil
	case errors.Is(err, graph.ErrNotConnected):
		return delivery.Result{Status: delivery.StatusHold, Reason: reason.NotConnected, Detail: err.Error()}, nil
	case err != nil:
		return delivery.Result{Status: delivery.StatusHold, Reason: reason.ConnectionRemoved, Detail: err.Error()}, nil
	}
	defer t.end()
	defer t.logLosses()
	return t.result(ctx, t.run(ctx))
}

// begin opens the progress of the attempt's message and its mailbox.
func (o *Outlet) begin(ctx context.Context, a *delivery.Attempt) (*transfer, error) {
	r, err := newRecorder(a, o.cfg.Metrics)
	if err != nil {
		return nil, err
	}
	m, err := o.openMailbox(ctx, a.Message)
	if err != nil {
		return nil, err
	}
	now := a.Now()
	r.p.resume(now, o.backlog.since(now), o.cfg.SendSettle)
	if err := r.p.redirects(o.cfg.RedirectAll); err != nil {
		return nil, err
	}
	m.message.Envelope.To = remaining(o.cfg.recipients(a.Message.Envelope.To), r.p.Refused)
	return &transfer{o: o, began: time.Now(), mailbox: m, recorder: r, continued: r.p.DraftWanted}, nil
}

// mailbox is the mailbox that a message is sent from.
type mailbox struct {
	graph.Mailbox
	owner   graph.User // zero: not known
	retry   bool       // the owner may be known later
	message queue.Record
	// messageID is the message's own, or the one that it is given.
	messageID string
	log       *slog.Logger
	soft      bool // items are not deleted permanently
	lacks     *lacks
}

func (o *Outlet) openMailbox(ctx context.Context, m queue.Record) (mailbox, error) {
	client, err := o.cfg.Clients(m.Lane)
	if err != nil {
		return mailbox{}, err
	}
	b := mailbox{message: m, messageID: messageID(m, o.cfg.Host), log: o.cfg.Log,
		soft: o.cfg.Connections[m.Lane.Connection].NoPermanentDelete, lacks: o.lacks}
	if o.cfg.Owner != nil {
		b.owner, b.retry = o.cfg.Owner(ctx, m.Lane)
	}
	b.Mailbox = client.Mailbox(cmp.Or(b.owner.ID, m.Lane.Mailbox))
	return b, nil
}
