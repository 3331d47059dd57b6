// Package access decides who may send as whom. Policy implements smtpd.Policy: it
// authenticates clients, checks senders and recipients, finds the lane by which a
// message goes, and counts what each client sends.
//
// It promises that no client sends from an address which the configuration does not
// give it, that guessing passwords is slow and locks out nobody but the guesser, and
// that what it remembers of strangers is bounded.
package access

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"graphrelay/internal/fair"
	"graphrelay/internal/mailaddr"
	"graphrelay/mime"
	"graphrelay/relay/config"
	"graphrelay/relay/connection"
	"graphrelay/relay/devices"
	"graphrelay/relay/mailboxes"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
	"graphrelay/relay/smtpd"
)

// maxReceived ends a mail loop (RFC 5321 section 6.3).
const maxReceived = 50

// Options are what a Policy decides from.
type Options struct {
	Config *config.Config
	Rates  *Rates
	Guard  *Guard
	// Verifications are shared with others; nil: they are this policy's own.
	Verifications *Verifications
	Mailboxes     *mailboxes.Store // nil if no connection is delegated
	// Elsewhere reports whether the mailbox of a lane is connected on another node; it may be nil.
	Elsewhere   func(queue.Lane) bool
	PassThrough *connection.PassThrough // signs in clients with a credential of their own
	// Directories find the mailbox of an address, by connection. A connection without
	// one is not asked.
	Directories map[string]*Directory
	MIME        mime.Limits
	Devices     *devices.List // nil: no client is let in that is not in the networks
	// LargeFile returns the first file of a message that needs an upload session; "" if none
	// does.
	LargeFile func(*mime.Message) (name string, size int64)
}

// Policy implements smtpd.Policy for one configuration.
type Policy struct {
	Options
	users     map[string]*config.User
	listeners map[string]*config.Listener
	sizes     map[string]int64 // of the largest message, by connection
	sendOnly  map[string]bool  // connections that may not write to mailboxes
	noUploads map[string]bool  // connections without upload sessions
	passwords *passwords
	guard     *Guard
	signIns   *fair.Slots[netip.Prefix] // sign-ins about which Microsoft is being asked
}

var _ smtpd.Policy = (*Policy)(nil)

// New returns the policy of a configuration.
func New(o Options) *Policy {
	p := &Policy{
		Options: o, users: map[string]*config.User{}, listeners: map[string]*config.Listener{}, sizes: map[string]int64{},
		sendOnly: map[string]bool{}, noUploads: map[string]bool{},
		guard:   o.Guard,
		signIns: fair.New[netip.Prefix](fair.Limits{Slots: maxSignIns, PerClient: maxClientSignIns, Waiting: maxWaiting}),
	}
	var hashes []string
	for i := range o.Config.Users {
		u := &o.Config.Users[i]
		p.users[u.Name] = u
		hashes = append(hashes, u.PasswordHash.Reveal())
	}
	if o.Verifications == nil {
		o.Verifications = NewVerifications()
	}
	p.passwords = newPasswords(highestCost(hashes), o.Verifications)
	for i := range o.Config.Listeners {
		p.listeners[o.Config.Listeners[i].Name] = &o.Config.Listeners[i]
	}
	if l := o.Config.PickupListener(); l != nil {
		p.listeners[l.Name] = l
	}
	for i := range o.Config.Connections {
		c := &o.Config.Connections[i]
		p.sizes[c.Name] = int64(o.Config.MessageSize(c))
		p.sendOnly[c.Name], p.noUploads[c.Name] = !c.MailReadWrite, c.MailReadWrite && c.Missing().Uploads
	}
	return p
}

// Sender implements smtpd.Policy. Who sends with the null reverse-path is checked when
// the header is there.
func (p *Policy) Sender(who smtpd.Identity, from string, size int64) error {
	if from != "" {
		r, err := p.route(who, from, from)
		if err == nil {
			err = p.checkSize(r.lane, size)
		}
		if err != nil {
			return err
		}
	}
	return p.Rates.check(p.meters(who, from), 1, 0)
}

// Guest implements smtpd.Policy.
func (p *Policy) Guest(listener string, client netip.Addr) bool {
	return p.Devices.Admits(p.listeners[listener], client)
}

// Accepted implements smtpd.Policy: the guest is learnt, if a learning window is open for it.
func (p *Policy) Accepted(who smtpd.Identity) {
	p.Devices.Learn(context.Background(), p.listeners[who.Listener], who.Client, who.Guest.Senders...)
}

// Recipient implements smtpd.Policy. Where both the listener and the user limit whom
// mail may go to, both have to allow it.
func (p *Policy) Recipient(who smtpd.Identity, from, to string, taken int) error {
	l, u := p.listeners[who.Listener], p.users[who.User]
	if l != nil && !l.Recipients.Allows(to) || u != nil && !u.Recipients.Allows(to) {
		return &smtpd.Refusal{Code: 550, Enhanced: [3]int{5, 7, 1}, Reason: reason.Recipient,
			Text: fmt.Sprintf("Mail to %s is not allowed here; ask the administrator to add it to the recipients", to)}
	}
	return p.Rates.check(p.meters(who, from), 0, taken+1)
}

// Route implements smtpd.Policy. The header From decides which mailbox sends; the
// envelope's sender does if From has no valid address.
func (p *Policy) Route(who smtpd.Identity, header []byte, size int64, e *queue.Entry) error {
	h := mime.ReadHeader(header, p.MIME)
	if n := h.Count("Received"); n > maxReceived {
		return &smtpd.Refusal{Code: 554, Enhanced: [3]int{5, 4, 6}, Reason: reason.Content,
			Text: fmt.Sprintf("The message has passed %d servers: this is a mail loop", n)}
	}
	author, err := authorOf(h, e.Envelope.From)
	if err != nil {
		return err
	}
	r, err := p.route(who, e.Envelope.From, author)
	if err == nil {
		if who.Guest != nil {
			who.Guest.Senders = sendersOf(e.Envelope.From, author)
		}
		err = p.checkSize(r.lane, size)
	}
	if err != nil {
		return err
	}
	e.Lane, e.From, e.ReplyTo, e.Fallback, e.Signature = r.lane, r.from, r.replyTo, r.fallback, r.signature
	if e.Sender = r.sender; e.Sender == "" {
		e.Sender = p.senderField(who, e.Envelope.From, h, r)
	}
	e.MessageID = h.MessageID()
	if p.Config.Log.Subjects {
		e.Subject = h.Subject()
	}
	return nil
}

// Admit implements smtpd.Policy.
func (p *Policy) Admit(e *queue.Entry) (undo func(), err error) {
	now, recipients := time.Now(), len(e.Envelope.To)
	meters := p.receiptMeters(queue.Receipt{Sender: e.Envelope.From, From: e.From, ReplyTo: e.ReplyTo, User: e.User, Client: e.Client})
	if err := p.Rates.take(now, meters, recipients); err != nil {
		return nil, err
	}
	return func() { p.Rates.undo(now, meters, recipients) }, nil
}

// meters returns the meters on which a client's message counts, as far as they have
// limits.
func (p *Policy) meters(who smtpd.Identity, senders ...string) []meter {
	rates := p.Config.Rates
	var list meterList
	list.add("user", who.User, rates.User)
	list.add("address", hostName(who.Client), rates.Address)
	for _, s := range senders {
		list.add("sender", mailaddr.Canonical(s), rates.Sender)
	}
	return list
}

// receiptMeters returns the meters on which a message counts. Its senders are the
// envelope's and the address that the header From had before a rule replaced it.
func (p *Policy) receiptMeters(r queue.Receipt) []meter {
	author := r.From
	client, _ := netip.ParseAddr(r.Client)
	who := smtpd.Identity{User: r.User, Client: client}
	if rule := p.rule(who, r.Sender, r.Sender); rule != nil && mailaddr.Same(rule.Shown(r.Sender), author) {
		author = "" // the rule wrote it
	}
	if r.ReplyTo != "" {
		author = r.ReplyTo
	}
	return p.meters(who, r.Sender, author)
}

// RestoreRates makes the rates count what this policy limits. What they have not
// counted so far, because the relay has just started or a limit is new, comes from the
// queue.
func (p *Policy) RestoreRates(ctx context.Context, q queue.Inspector) error {
	rates := p.Config.Rates
	fresh := p.Rates.limit(map[string]config.Rate{"user": rates.User, "address": rates.Address, "sender": rates.Sender})
	if len(fresh) == 0 {
		return nil
	}
	return q.Receipts(ctx, time.Now().Add(-24*time.Hour), func(was queue.Receipt) {
		if was.Client == "" { // a message of the relay's own
			return
		}
		var meters []meter
		for _, m := range p.receiptMeters(was) {
			if fresh[m.key.Kind] {
				meters = append(meters, m)
			}
		}
		p.Rates.add(was.Received, meters, 1, was.Recipients)
	})
}

func senderRefusal(format string, args ...any) *smtpd.Refusal {
	return &smtpd.Refusal{Code: 550, Enhanced: [3]int{5, 7, 1}, Reason: reason.Sender, Text: fmt.Sprintf(format, args...)}
}
