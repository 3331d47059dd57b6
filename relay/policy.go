package relay

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"graphrelay/mime"
	"graphrelay/relay/config"
	"graphrelay/relay/queue"
	"graphrelay/relay/smtpd"
)

// maxReceived cuts a mail loop (RFC 5321 section 6.3).
const maxReceived = 50

// policy implements smtpd.Policy from one configuration.
type policy struct {
	cfg       *config.Config
	users     map[string]*config.User
	passwords *passwords
	limits    mime.Limits
}

func newPolicy(cfg *config.Config) *policy {
	p := &policy{cfg: cfg, users: map[string]*config.User{}, passwords: newPasswords(), limits: mimeLimits(cfg)}
	for i := range cfg.Users {
		p.users[cfg.Users[i].Name] = &cfg.Users[i]
	}
	return p
}

// Authenticate implements smtpd.Policy.
func (p *policy) Authenticate(ctx context.Context, name, password string) error {
	hash := ""
	if u := p.users[name]; u != nil {
		hash = u.PasswordHash.Reveal()
	}
	err := p.passwords.verify(ctx, name, password, hash)
	if errors.Is(err, errWrongPassword) {
		return &smtpd.Refusal{Code: 535, Enhanced: [3]int{5, 7, 8}, Reason: smtpd.ReasonAuth,
			Text: "Wrong user name or password"}
	}
	return err
}

// Sender implements smtpd.Policy. The null reverse-path is checked by its header.
func (p *policy) Sender(who smtpd.Identity, from string) error {
	if from == "" {
		return nil
	}
	_, err := p.route(who, from)
	return err
}

// Route implements smtpd.Policy: the header From decides whose mailbox sends,
// the envelope's sender where the header has none that is an address.
func (p *policy) Route(who smtpd.Identity, header []byte, e *queue.Entry) error {
	h := mime.ReadHeader(header, p.limits)
	if n := h.Count("Received"); n > maxReceived {
		return &smtpd.Refusal{Code: 554, Enhanced: [3]int{5, 4, 6}, Reason: smtpd.ReasonContent,
			Text: fmt.Sprintf("The message has passed %d servers: this is a mail loop", n)}
	}
	author := e.Envelope.From
	for _, a := range h.From() {
		if a.Valid() {
			author = a.Address
			break
		}
	}
	if author == "" {
		return senderRefusal("The message names no sender: give it a From header or a MAIL FROM")
	}
	r, err := p.route(who, author)
	if err != nil {
		return err
	}
	e.Lane, e.From, e.ReplyTo = r.lane, r.from, r.replyTo
	e.Sender = p.sender(who, h, r)
	e.MessageID = h.MessageID()
	if p.cfg.Log.Subjects {
		e.Subject = h.Subject()
	}
	return nil
}

// sender is the Sender field's address where the client might as well have sent
// from it, through the same connection and as itself; "" otherwise.
func (p *policy) sender(who smtpd.Identity, h *mime.Header, author routed) string {
	s := h.Sender()
	if s == nil || !s.Valid() {
		return ""
	}
	r, err := p.route(who, s.Address)
	if err != nil || r.lane.Connection != author.lane.Connection || r.from != s.Address {
		return ""
	}
	return s.Address
}

// routed is whose mailbox sends, and what is shown.
type routed struct {
	lane    queue.Lane
	from    string
	replyTo string
}

// route checks that the client may use the address, and finds its mailbox: by
// the first sender rule that matches, else as itself where a connection has its
// domain.
func (p *policy) route(who smtpd.Identity, address string) (routed, error) {
	if u := p.users[who.User]; who.User != "" && (u == nil || !mayUse(u, address)) {
		return routed{}, senderRefusal(fmt.Sprintf("The user %s may not send as %s; ask the administrator to add it to the user's senders", who.User, address))
	}
	r := routed{from: address}
	mailbox := address
	if rule := p.rule(address); rule != nil {
		mailbox, r.from = rule.Mailbox, rule.Mailbox
		if rule.ReplyTo == config.ReplyToOriginal && !strings.EqualFold(rule.Mailbox, address) {
			r.replyTo = address
		}
	}
	c := p.cfg.ConnectionOf(mailbox)
	if c == nil {
		return routed{}, senderRefusal(fmt.Sprintf("No mailbox sends for %s: use an address of a domain that this relay serves, or ask the administrator for a sender rule", address))
	}
	r.lane = queue.Lane{Connection: c.Name, Mailbox: strings.ToLower(mailbox)}
	return r, nil
}

// rule is the first sender rule that matches, or nil.
func (p *policy) rule(address string) *config.Sender {
	for i := range p.cfg.Senders {
		if p.cfg.Senders[i].Match.Match(address) {
			return &p.cfg.Senders[i]
		}
	}
	return nil
}

// bounceTo is who learns what became of an envelope sender's mail: of a device,
// whose address receives none, the mailbox that sends for it.
func (p *policy) bounceTo(sender string) string {
	if rule := p.rule(sender); rule != nil && p.cfg.ConnectionOf(sender) == nil {
		return rule.Mailbox
	}
	return sender
}

func mayUse(u *config.User, address string) bool {
	for _, pattern := range u.Senders {
		if pattern.Match(address) {
			return true
		}
	}
	return false
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
