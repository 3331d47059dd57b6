package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"graphrelay/internal/mailaddr"
)

// Applies reports whether the rule applies to a message. address is the sender's,
// or empty if there is none; envelope is the sender in MAIL FROM; user, who may be empty,
// and client have submitted it through a listener.
func (s *Sender) Applies(address, envelope, user, listener string, client netip.Addr) bool {
	switch {
	case !s.Match.Match(address) && (address != "" || !s.Match.all()):
	case s.Envelope != Pattern{} && !s.Envelope.Match(envelope):
	case len(s.Networks) > 0 && !InNetworks(s.Networks, client):
	case len(s.Users) > 0 && !slices.Contains(s.Users, user):
	case len(s.Listeners) > 0 && !slices.Contains(s.Listeners, listener):
	default:
		return true
	}
	return false
}

// Shown returns the address that recipients see instead of the sender's, which may be empty.
func (s *Sender) Shown(address string) string {
	switch s.From {
	case "", FromMailbox:
		return s.Mailbox
	case FromOriginal:
		return cmp.Or(address, s.Mailbox)
	}
	return string(s.From)
}

func (v validator) senders() {
	for i, sender := range v.cfg.Senders {
		key := fmt.Sprintf("senders[%d]", i)
		if !v.has(key + ".match") {
			v.fault(key+".match", `is missing; add the senders that the rule is for, such as "*@printers.local"`)
		}
		v.mailbox(key+".mailbox", sender.Mailbox, sender.Connection)
		v.connectionName(key+".connection", sender.Connection)
		v.signatureName(key+".signature", sender.Signature)
		v.conditions(key, sender)
		if f := sender.From; f != FromMailbox && f != FromOriginal && checkAddress(string(f)) != nil {
			v.fault(key+".from", "is %s; write mailbox, original, or the mail address that recipients should see", quote(string(f)))
		}
		if sender.OnBehalfOf && (sender.From == FromMailbox || mailaddr.Same(string(sender.From), sender.Mailbox)) {
			v.fault(key+".on_behalf_of", "is true, but from is the mailbox itself; set from: original, or the address on whose behalf it sends")
		}
		v.sendDenied(key, sender)
		v.reachable(key, i)
	}
}

// sendDenied checks that a rule with send_denied: fallback has a From that can be refused,
// and says whose mail may go out under another name than its sender wrote.
func (v validator) sendDenied(key string, s Sender) {
	switch {
	case s.SendDenied != SendDeniedFallback:
	case s.From == FromMailbox || mailaddr.Same(string(s.From), s.Mailbox):
		v.fault(key+".send_denied", "is fallback, but from is the mailbox itself, as which it may always send; remove the key, or set from: original")
	case s.Match.all() && len(s.Users) == 0:
		v.fault(key+".send_denied", `is fallback, but match is "*", so that mail of any sender could go out under the mailbox's address; list the senders, such as "*@app.local", or the users`)
	}
}

func (v validator) conditions(key string, s Sender) {
	if v.has(key+".networks") && len(s.Networks) == 0 {
		v.fault(key+".networks", "is empty, so no client matches; list networks, or remove the key")
	}
	if v.has(key+".users") && len(s.Users) == 0 {
		v.fault(key+".users", "is empty, so no user matches; list names of users, or remove the key")
	}
	if v.has(key+".listeners") && len(s.Listeners) == 0 {
		v.fault(key+".listeners", "is empty, so no listener matches; list names of listeners, or remove the key")
	}
	for i, name := range s.Listeners {
		pickup := name == PickupName && v.cfg.Pickup.Folder != ""
		if !pickup && !slices.ContainsFunc(v.cfg.Listeners, func(l Listener) bool { return l.Name == name }) {
			v.fault(fmt.Sprintf("%s.listeners[%d]", key, i), "is %s, but no listener has that name; write a name from listeners", quote(name))
		}
	}
	for i, name := range s.Users {
		if !slices.ContainsFunc(v.cfg.Users, func(u User) bool { return u.Name == name }) {
			v.fault(fmt.Sprintf("%s.users[%d]", key, i), "is %s, but no user has that name; write a name from users", quote(name))
		}
	}
}

// reachable warns of a rule that is never used because of an earlier one.
func (v validator) reachable(key string, i int) {
	for j, earlier := range v.cfg.Senders[:i] {
		same := earlier.Match == v.cfg.Senders[i].Match && earlier.Match != Pattern{}
		always := earlier.Envelope == Pattern{} && len(earlier.Networks) == 0 && len(earlier.Users) == 0 && len(earlier.Listeners) == 0
		if always && (same || earlier.Match.all()) {
			v.warn(key, "is never used, since senders[%d] matches before it; move it up or remove it", j)
			return
		}
	}
}

// served warns of addresses that a user may send from, but for which no mailbox sends.
func (v validator) served(key string, user User) {
	if user.Connection != "" || !v.domainsKnown() || v.isBad("senders") || v.isBad("connections") {
		return
	}
	for i, p := range user.Senders {
		if p.domain != "" && !v.cfg.serves(p) {
			v.warn(fmt.Sprintf("%s[%d]", key, i), "is %s, but no connection has that domain and no rule in senders is for it, so such mail is refused; add the domain to a connection, or a rule", quote(p.String()))
		}
	}
}

// serves reports whether a mailbox may send for an address that matches the pattern.
func (c *Config) serves(p Pattern) bool {
	for _, s := range c.Senders {
		if overlaps(s.Match.domain, p.domain) && overlaps(s.Match.local, p.local) {
			return true
		}
	}
	return slices.ContainsFunc(c.Connections, func(of Connection) bool {
		return slices.ContainsFunc(of.Domains, func(domain string) bool { return overlaps(domain, p.domain) })
	})
}

// overlaps reports whether one of two patterns covers the other.
func overlaps(a, b string) bool { return glob(a, b) || glob(b, a) }

// SendingMailbox returns a mailbox that the configuration names as one that sends, or "" if it
// names none.
func (c *Config) SendingMailbox() string {
	if c.Delivery.Postmaster != "" {
		return c.Delivery.Postmaster
	}
	for _, s := range c.Senders {
		if s.Mailbox != "" {
			return s.Mailbox
		}
	}
	return ""
}

// SharedNames returns, in order, the mailboxes that the rules show as From for more than one
// sender. Recipients see one display name for all of them.
func (c *Config) SharedNames() (mailboxes []string) {
	rules := map[string]int{}
	for _, s := range c.Senders {
		if s.From != FromMailbox {
			continue
		}
		mailbox := mailaddr.Canonical(s.Mailbox)
		if rules[mailbox]++; strings.Contains(s.Match.String(), "*") {
			rules[mailbox]++
		}
	}
	for mailbox, n := range rules {
		if n > 1 {
			mailboxes = append(mailboxes, mailbox)
		}
	}
	slices.Sort(mailboxes)
	return mailboxes
}
