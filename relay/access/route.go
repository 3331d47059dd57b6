package access

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"graphrelay/internal/mailaddr"
	"graphrelay/mime"
	"graphrelay/relay/config"
	"graphrelay/relay/mailboxes"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
	"graphrelay/relay/smtpd"
)

// route is which mailbox sends a message, and which addresses it shows.
type route struct {
	lane      queue.Lane
	from      string
	sender    string // the mailbox, where it sends on behalf of from
	replyTo   string
	fallback  string // shown instead of from where Exchange refuses that
	signature string // its name
}

// route checks that the client may use the address and finds its mailbox: by the first
// sender rule that applies, else the address itself. A rule may apply to an empty
// address. The connection is the rule's, else the user's, else that of the mailbox's
// domain; it gives no right to send.
func (p *Policy) route(who smtpd.Identity, envelope, address string) (route, error) {
	if c := p.passThrough(who); c != nil {
		return p.principalRoute(who, c, address)
	}
	if who.Guest != nil {
		if err := p.Devices.Check(p.listeners[who.Listener], who.Client, sendersOf(envelope, address)...); err != nil {
			return route{}, err
		}
	}
	u := p.users[who.User]
	if who.User != "" && u == nil {
		return p.connectedRoute(who.User, address)
	}
	if who.User != "" && address != "" && !u.MaySendAs(address) {
		return route{}, senderRefusal("The user %s may not send as %s; ask the administrator to add it to the user's senders", who.User, address)
	}
	r := route{from: address}
	mailbox, ofRule, ofUser := address, "", ""
	if u != nil {
		ofUser = u.Connection
	}
	if rule := p.rule(who, envelope, address); rule != nil {
		mailbox, ofRule = rule.Mailbox, rule.Connection
		r.apply(rule, address)
	} else if address == "" {
		return route{}, senderRefusal("The message names no sender: give it a From header or a MAIL FROM")
	} else if !smtpd.ValidAddress(address) { // only a header can hold such an address
		return route{}, senderRefusal("%s is no address that a mailbox can have; send from another", address)
	}
	c := p.Config.ConnectionOf(mailbox, ofRule, ofUser)
	if c == nil {
		return route{}, senderRefusal("No mailbox sends for %s: use an address of a domain that this relay serves, or ask the administrator for a sender rule", address)
	}
	r.lane = queue.Lane{Connection: c.Name, Mailbox: mailaddr.Canonical(mailbox)}
	if err := p.checkConnected(c, r.lane.Mailbox); err != nil {
		return route{}, err
	}
	return r, p.findOwner(who, &r.lane)
}

// sendersOf returns the addresses that a guest sends as: the envelope's sender and the author, as
// far as there are any.
func sendersOf(envelope, author string) (list []string) {
	for _, a := range []string{envelope, author} {
		if a != "" && !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	return list
}

// apply sets what a sender rule decides for a message from address.
func (r *route) apply(rule *config.Sender, address string) {
	r.from, r.signature = rule.Shown(address), rule.Signature
	if rule.OnBehalfOf {
		r.sender = rule.Mailbox
	}
	if rule.ReplyTo == config.ReplyToOriginal && !mailaddr.Same(r.from, address) && smtpd.ValidAddress(address) {
		r.replyTo = address
	}
	if !smtpd.ValidAddress(r.from) {
		r.from = rule.Mailbox // the original, which only a header can hold, is no address
	}
	if rule.SendDenied == config.SendDeniedFallback && !mailaddr.Same(r.from, rule.Mailbox) {
		r.fallback = rule.Mailbox
	}
}

// rule returns the first sender rule that applies, or nil.
func (p *Policy) rule(who smtpd.Identity, envelope, address string) *config.Sender {
	for i := range p.Config.Senders {
		if p.Config.Senders[i].Applies(address, envelope, who.User, who.Listener, who.Client) {
			return &p.Config.Senders[i]
		}
	}
	return nil
}

// findOwner makes the lane that of the mailbox which the address belongs to, where it is
// an alias, and refuses an address that does not exist in the tenant.
func (p *Policy) findOwner(who smtpd.Identity, l *queue.Lane) error {
	user, result := p.Directories[l.Connection].Owner(context.Background(), who.Client, l.Mailbox)
	switch {
	case result == TooMany:
		return &smtpd.Refusal{Code: 450, Enhanced: [3]int{4, 7, 1}, Reason: reason.Rate,
			Text: "Too many senders from your address have no mailbox in Microsoft 365; correct them, and try again in a minute"}
	case result == NotFound:
		return senderRefusal("There is no mailbox %s in Microsoft 365: correct the sender's address, or ask the administrator for a sender rule", l.Mailbox)
	case result == Found && smtpd.ValidAddress(user.UserPrincipalName):
		l.Mailbox = mailaddr.Canonical(user.UserPrincipalName)
	}
	return nil
}

// principalRoute sends with the credential that the client signed in with. Graph decides
// what that may be used for.
func (p *Policy) principalRoute(who smtpd.Identity, c *config.Connection, address string) (route, error) {
	lane, err := p.PassThrough.Lane(c, who.User, address)
	if err != nil {
		return route{}, err
	}
	if !smtpd.ValidAddress(address) {
		return route{}, senderRefusal("%s is no address that a mailbox can have; send from another", address)
	}
	return route{lane: lane, from: address}, nil
}

// connectedRoute sends mail of a connected mailbox's user, from that mailbox alone.
func (p *Policy) connectedRoute(user, address string) (route, error) {
	m, err := p.mailboxOf(context.Background(), user)
	if err != nil {
		return route{}, err
	}
	if m == nil || !mailaddr.Same(address, m.Address) {
		return route{}, senderRefusal("The user %s may not send as %s, only as the mailbox that it was made for", user, address)
	}
	return route{lane: queue.Lane{Connection: m.Connection, Mailbox: m.Address}, from: address}, nil
}

// mailboxOf returns the connected mailbox of an SMTP user, or nil.
func (p *Policy) mailboxOf(ctx context.Context, user string) (*mailboxes.Mailbox, error) {
	if p.Mailboxes == nil {
		return nil, nil
	}
	m, err := p.Mailboxes.User(ctx, user)
	if errors.Is(err, mailboxes.ErrNoSuchMailbox) || err == nil && !p.isDelegated(m.Connection) {
		return nil, nil
	}
	return &m, err
}

// isDelegated reports whether the configuration still has the connection, with mailbox
// owners who sign in.
func (p *Policy) isDelegated(name string) bool {
	c := p.Config.ConnectionOf("", name)
	return c != nil && c.SignIn == config.SignInDelegated
}

// checkConnected refuses a mailbox whose owner has signed in on no node. Mail of one whose
// owner has to sign in again is accepted, and held until then.
func (p *Policy) checkConnected(c *config.Connection, mailbox string) error {
	if c.SignIn != config.SignInDelegated {
		return nil
	}
	_, err := p.Mailboxes.Get(context.Background(), c.Name, mailbox)
	if errors.Is(err, mailboxes.ErrNoSuchMailbox) {
		if p.Elsewhere != nil && p.Elsewhere(queue.Lane{Connection: c.Name, Mailbox: mailbox}) {
			return nil
		}
		return senderRefusal("The mailbox %s is not connected: its owner has to sign in once, on the relay's page /connect or with graphrelay connect", mailbox)
	}
	return err
}

// authorOf returns the address whose mailbox is to send: the first valid one in From,
// else the envelope's sender, which may be empty. A message may have several From fields
// (RFC 5322 section 3.6 allows one) only if all name the same address: otherwise a reader
// could be shown the one that was not checked.
func authorOf(h *mime.Header, envelope string) (string, error) {
	if n := h.Count("From"); n > 1 {
		var first string
		for _, a := range h.Addresses("From") {
			if first != "" && !mailaddr.Same(a.Address, first) {
				return "", &smtpd.Refusal{Code: 550, Enhanced: [3]int{5, 6, 0}, Reason: reason.Content,
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

// senderField returns the address of the Sender field if the client may send from it too,
// by the same connection, and no rule would show another address; otherwise "".
func (p *Policy) senderField(who smtpd.Identity, envelope string, h *mime.Header, author route) string {
	s := h.Sender()
	if s == nil || !s.Valid() {
		return ""
	}
	r, err := p.route(who, envelope, s.Address)
	if err != nil || r.lane.Whole() != author.lane.Whole() || r.from != s.Address {
		return ""
	}
	return s.Address
}

// BounceTo returns the address to which bounces of an envelope sender's mail go: its own or,
// for a device whose address receives no mail, the mailbox that sends for it.
func (p *Policy) BounceTo(sender string) string {
	i := slices.IndexFunc(p.Config.Senders, func(s config.Sender) bool { return s.Match.Match(sender) })
	if i >= 0 && p.Config.ConnectionOf(sender) == nil {
		return p.Config.Senders[i].Mailbox
	}
	return sender
}
