package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"graphrelay/internal/mailaddr"
)

// Applies reports whether the rule applies to a message. address is the sender's,
// or empty if there is none; envelope is the sender in MAIL FROM; user, who may be empty,
// and client have submitted it.
func (s *Sender) Applies(address, envelope, user string, client netip.Addr) bool {
	switch {
	case !s.Match.Match(address) && (address != "" || !s.Match.all()):
	case s.Envelope != Pattern{} && !s.Envelope.Match(envelope):
	case len(s.Networks) > 0 && !slices.ContainsFunc(s.Networks, func(n netip.Prefix) bool { return n.Contains(client.Unmap()) }):
	case len(s.Users) > 0 && !slices.Contains(s.Users, user):
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
		v.reachable(key, i)
	}
}

func (v validator) conditions(key string, s Sender) {
	if v.has(key+".networks") && len(s.Networks) == 0 {
		v.fault(key+".networks", "is empty, so no client matches; list networks, or remove the key")
	}
	if v.has(key+".users") && len(s.Users) == 0 {
		v.fault(key+".users", "is empty, so no user matches; list names of users, or remove the key")
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
		always := earlier.Envelope == Pattern{} && len(earlier.Networks) == 0 && len(earlier.Users) == 0
		if always && (same || earlier.Match.all()) {
			v.warn(key, "is never used, since senders[%d] matches before it; move it up or remove it", j)
			return
		}
	}
}
