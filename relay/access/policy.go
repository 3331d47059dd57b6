//go:build ignore

package relay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"graphrelay/graph"
	"graphrelay/mime"
	"graphrelay/relay/config"
	"graphrelay/relay/delivery"
	"graphrelay/relay/mailboxes"
	"graphrelay/relay/queue"
	"graphrelay/relay/smtpd"
)

// maxReceived cuts a mail loop (RFC 5321 section 6.3).
const maxReceived = 50

// policy implements smtpd.Policy from one configuration.
type policy struct {
	cfg       *config.Config
	users     map[string]*config.User
	listeners map[string]*config.Listener
	sendOnly  map[string]bool // connections that may not write mailboxes
	passwords *passwords
	guard     *guard
	mailboxes *mailboxes.Store // nil where no connection is delegated
	visitors  *visitors
	visited   func(lane string) // called when a visitor has come
	observer  func(connection string) graph.Observer
	directory map[string]*directory // by connection; nil: it is not asked
	rates     *rates
	limits    mime.Limits
}

func newPolicy(cfg *config.Config, r *rates, mailboxes *mailboxes.Store, v *visitors) *policy {
	p := &policy{
		cfg: cfg, users: map[string]*config.User{}, listeners: map[string]*config.Listener{}, sendOnly: map[string]bool{},
		passwords: newPasswords(), guard: newGuard(cfg.Limits.AuthFailures, time.Duration(cfg.Limits.AuthBlock)),
		rates: r, limits: mimeLimits(cfg), mailboxes: mailboxes, visitors: v,
		directory: map[string]*directory{},
	}
	for i := range cfg.Users {
		p.users[cfg.Users[i].Name] = &cfg.Users[i]
	}
	for i := range cfg.Listeners {
		p.listeners[cfg.Listeners[i].Name] = &cfg.Listeners[i]
	}
	for _, c := range cfg.Connections {
		p.sendOnly[c.Name] = !c.MailReadWrite
	}
	return p
}

// Authenticate implements smtpd.Policy.
func (p *policy) Authenticate(ctx context.Context, who smtpd.Identity, name, password string) error {
	if p.passThrough(who) != nil {
		return p.signedIn(ctx, who, name, p.visitApp(ctx, who, name, password))
	}
	client := who.Client
	delay, err := p.guard.check(client, name)
	if err == nil {
		sleep(ctx, delay)
		var hash string
		if hash, err = p.hash(ctx, name); err == nil {
			err = p.passwords.verify(ctx, name, password, hash, func() error {
				_, err := p.guard.check(client, name)
				return err
			})
		}
	}
	return p.signedIn(ctx, who, name, err)
}

// signedIn counts how a sign-in went, and says it to the client.
func (p *policy) signedIn(ctx context.Context, who smtpd.Identity, name string, err error) error {
	client := who.Client
	var e *graph.Error
	switch {
	case err == nil:
		p.guard.succeeded(client, name)
	case errors.Is(err, errWrongPassword), wrongCredential(err):
		sleep(ctx, p.guard.failed(client, name))
		return &smtpd.Refusal{Code: 535, Enhanced: [3]int{5, 7, 8}, Reason: smtpd.ReasonAuth,
			Text: "Wrong user name or password"}
	case errors.Is(err, errBlocked):
		return &smtpd.Refusal{Code: 421, Enhanced: [3]int{4, 7, 0}, Reason: smtpd.ReasonBlocked,
			Text: fmt.Sprintf("Too many wrong passwords from your address; correct yours and try again in %s", p.cfg.Limits.AuthBlock)}
	case errors.Is(err, errBusy):
		return &smtpd.Refusal{Code: 454, Enhanced: [3]int{4, 7, 0}, Reason: smtpd.ReasonBusy,
			Text: "Too many clients sign in at the moment; try again later"}
	case errors.As(err, &e):
		return &smtpd.Refusal{Code: 454, Enhanced: [3]int{4, 7, 0}, Reason: smtpd.ReasonBusy,
			Text: "Microsoft 365 cannot be asked about the credential at the moment; try again later"}
	}
	return err
}

// hash is empty for a user that does not exist.
func (p *policy) hash(ctx context.Context, name string) (string, error) {
	if u := p.users[name]; u != nil {
		return u.PasswordHash.Reveal(), nil
	}
	m, err := p.mailboxOf(ctx, name)
	if m == nil || err != nil {
		return "", err
	}
	return m.Hash, nil
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// Sender implements smtpd.Policy. The null reverse-path is checked by its header.
func (p *policy) Sender(who smtpd.Identity, from string, size int64) error {
	if from != "" {
		r, err := p.route(who, from, from)
		if err == nil {
			err = p.fits(r.lane, size)
		}
		if err != nil {
			return err
		}
	}
	return p.rates.check(p.meters(who, from), 1, 0)
}

// Recipient implements smtpd.Policy. Where both the listener and the user limit whom
// mail may go to, both have to allow it.
func (p *policy) Recipient(who smtpd.Identity, from, to string, taken int) error {
	l, u := p.listeners[who.Listener], p.users[who.User]
	if l != nil && !l.Recipients.Allows(to) || u != nil && !u.Recipients.Allows(to) {
		return &smtpd.Refusal{Code: 550, Enhanced: [3]int{5, 7, 1}, Reason: smtpd.ReasonRecipient,
			Text: fmt.Sprintf("Mail to %s is not allowed here; ask the administrator to add it to the recipients", to)}
	}
	return p.rates.check(p.meters(who, from), 0, taken+1)
}

// Route implements smtpd.Policy: the header From decides whose mailbox sends,
// the envelope's sender where the header has none that is an address.
func (p *policy) Route(who smtpd.Identity, header []byte, size int64, e *queue.Entry) error {
	h := mime.ReadHeader(header, p.limits)
	if n := h.Count("Received"); n > maxReceived {
		return &smtpd.Refusal{Code: 554, Enhanced: [3]int{5, 4, 6}, Reason: smtpd.ReasonContent,
			Text: fmt.Sprintf("The message has passed %d servers: this is a mail loop", n)}
	}
	author, err := authorOf(h, e.Envelope.From)
	if err != nil {
		return err
	}
	r, err := p.route(who, e.Envelope.From, author)
	if err == nil {
		err = p.fits(r.lane, size)
	}
	if err != nil {
		return err
	}
	e.Lane, e.From, e.ReplyTo, e.Signature = r.lane, r.from, r.replyTo, r.signature
	if e.Sender = r.sender; e.Sender == "" {
		e.Sender = p.sender(who, e.Envelope.From, h, r)
	}
	e.MessageID = h.MessageID()
	if p.cfg.Log.Subjects {
		e.Subject = h.Subject()
	}
	return nil
}

// authorOf is whose mailbox is to send: whom the header From names first, or the
// envelope's sender; empty where there is neither. Several From fields (RFC 5322 section 3.6 has one) are forgiven
// where they name the same address; of two, somebody could see the one that nobody
// has checked.
func authorOf(h *mime.Header, envelope string) (string, error) {
	if n := h.Count("From"); n > 1 {
		var first string
		for _, a := range h.Addresses("From") {
			if first != "" && !strings.EqualFold(a.Address, first) {
				return "", &smtpd.Refusal{Code: 550, Enhanced: [3]int{5, 6, 0}, Reason: smtpd.ReasonContent,
					Text: fmt.Sprintf("The message has %d From fields that differ; send it with one", n)}
			}
			first = a.Address
		}
	}
	for _, a := range h.From() {
		if a.Valid() {
			return a.Address, nil
		}
	}
	return envelope, nil
}

// fits refuses what no request of a connection without drafts can hold. What only
// parsing can tell, as of a signed message, is left to delivery.
func (p *policy) fits(lane queue.Lane, size int64) error {
	if size <= delivery.MaxSendOnly || !p.sendOnly[lane.ConnectionName()] {
		return nil
	}
	return &smtpd.Refusal{Code: 552, Enhanced: [3]int{5, 3, 4}, Reason: smtpd.ReasonSize,
		Text: fmt.Sprintf("Messages from %s can have 4 MB at most; ask the administrator to grant Mail.ReadWrite for larger ones", lane.Mailbox)}
}

// sender is the Sender field's address where the client might as well have sent
// from it, through the same connection and as itself; "" otherwise.
func (p *policy) sender(who smtpd.Identity, envelope string, h *mime.Header, author routed) string {
	s := h.Sender()
	if s == nil || !s.Valid() {
		return ""
	}
	r, err := p.route(who, envelope, s.Address)
	if err != nil || r.lane.Connection != author.lane.Connection || r.from != s.Address {
		return ""
	}
	return s.Address
}

// routed is whose mailbox sends, and what is shown.
type routed struct {
	lane      queue.Lane
	from      string
	sender    string // where the mailbox sends on behalf of from
	replyTo   string
	signature string // its name
}

// route checks that the client may use the address, and finds its mailbox: by
// the first sender rule that applies, else as itself. A rule may apply to no address. The connection is the rule's,
// else the user's, else that of the mailbox's domain; it gives no right to send.
func (p *policy) route(who smtpd.Identity, envelope, address string) (routed, error) {
	if c := p.passThrough(who); c != nil {
		return p.visitorRoute(who, c, address)
	}
	u := p.users[who.User]
	if who.User != "" && u == nil {
		return p.ownMailbox(who.User, address)
	}
	if who.User != "" && address != "" && !u.MaySendAs(address) {
		return routed{}, senderRefusal(fmt.Sprintf("The user %s may not send as %s; ask the administrator to add it to the user's senders", who.User, address))
	}
	r := routed{from: address}
	mailbox, ofRule, ofUser := address, "", ""
	if u != nil {
		ofUser = u.Connection
	}
	if rule := p.rule(who, envelope, address); rule != nil {
		mailbox, r.from, ofRule = rule.Mailbox, rule.Shown(address), rule.Connection
		r.signature = rule.Signature
		if rule.OnBehalfOf {
			r.sender = rule.Mailbox
		}
		if rule.ReplyTo == config.ReplyToOriginal && !strings.EqualFold(r.from, address) && smtpd.ValidAddress(address) {
			r.replyTo = address
		}
		if !smtpd.ValidAddress(r.from) {
			r.from = rule.Mailbox // only a header brings such an original
		}
	} else if address == "" {
		return routed{}, senderRefusal("The message names no sender: give it a From header or a MAIL FROM")
	} else if !smtpd.ValidAddress(address) { // only a header brings one
		return routed{}, senderRefusal(fmt.Sprintf("%s is no address that a mailbox can have; send from another", address))
	}
	c := p.cfg.ConnectionOf(mailbox, ofRule, ofUser)
	if c == nil {
		return routed{}, senderRefusal(fmt.Sprintf("No mailbox sends for %s: use an address of a domain that this relay serves, or ask the administrator for a sender rule", address))
	}
	r.lane = queue.Lane{Connection: c.Name, Mailbox: strings.ToLower(mailbox)}
	if err := p.isConnected(c, r.lane.Mailbox); err != nil {
		return routed{}, err
	}
	return r, p.findOwner(&r.lane)
}

// findOwner has the lane be the owner's where the address is an alias, and refuses what the
// directory says is nobody's.
func (p *policy) findOwner(l *queue.Lane) error {
	user, whose := p.directory[l.Connection].owner(context.Background(), l.Mailbox)
	switch {
	case whose == nobodys:
		return senderRefusal(fmt.Sprintf("There is no mailbox %s in Microsoft 365: correct the sender's address, or ask the administrator for a sender rule", l.Mailbox))
	case whose == somebodys && smtpd.ValidAddress(user.UserPrincipalName):
		l.Mailbox = strings.ToLower(user.UserPrincipalName)
	}
	return nil
}

// rule is the first sender rule that applies, or nil.
func (p *policy) rule(who smtpd.Identity, envelope, address string) *config.Sender {
	for i := range p.cfg.Senders {
		if p.cfg.Senders[i].Applies(address, envelope, who.User, who.Client) {
			return &p.cfg.Senders[i]
		}
	}
	return nil
}

// bounceTo is who learns what became of an envelope sender's mail: of a device,
// whose address receives none, the mailbox that sends for it.
func (p *policy) bounceTo(sender string) string {
	i := slices.IndexFunc(p.cfg.Senders, func(s config.Sender) bool { return s.Match.Match(sender) })
	if i >= 0 && p.cfg.ConnectionOf(sender) == nil {
		return p.cfg.Senders[i].Mailbox
	}
	return sender
}

func senderRefusal(text string) *smtpd.Refusal {
	return &smtpd.Refusal{Code: 550, Enhanced: [3]int{5, 7, 1}, Reason: smtpd.ReasonSender, Text: text}
}

func mimeLimits(cfg *config.Config) mime.Limits {
	l := mime.DefaultLimits()
	l.Depth, l.Parts, l.HeaderBytes = cfg.Limits.Depth, cfg.Limits.Parts, int(cfg.Limits.HeaderSize)
	l.HeaderFields, l.ValueBytes = cfg.Limits.HeaderFields, int(cfg.Limits.HeaderValue)
	return l
}
