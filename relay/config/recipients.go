package config

import (
	"slices"
	"strings"

	"graphrelay/internal/mailaddr"
)

// Recipients restricts to whom mail may be sent. The zero value allows every address.
type Recipients struct {
	Allow []Pattern `yaml:"allow"` // empty: every address
	Deny  []Pattern `yaml:"deny"`  // wins over Allow, and covers plus addresses too
}

// Allows reports whether mail may be sent to an address.
func (r Recipients) Allows(address string) bool {
	return !matchesAny(r.Deny, address) && !matchesAny(r.Deny, withoutTag(address)) &&
		(len(r.Allow) == 0 || matchesAny(r.Allow, address))
}

// withoutTag returns the address to whose mailbox Exchange delivers mail for name+tag@domain
// (its page "Plus addressing in Exchange Online").
func withoutTag(address string) string {
	local, domain := mailaddr.Split(strings.ReplaceAll(address, `"`, ""))
	if plus := strings.IndexByte(local, '+'); plus > 0 {
		local = local[:plus]
	}
	return local + "@" + domain
}

// MaySendAs reports whether the user may send from an address.
func (u *User) MaySendAs(address string) bool { return matchesAny(u.Senders, address) }

func matchesAny(patterns []Pattern, address string) bool {
	return slices.ContainsFunc(patterns, func(p Pattern) bool { return p.Match(address) })
}

func (v validator) recipients(key string, r Recipients) {
	if v.has(key+".allow") && len(r.Allow) == 0 {
		v.fault(key+".allow", "is empty, so no recipient would be allowed; list addresses, or remove the key to allow all")
	}
	if v.has(key+".deny") && len(r.Deny) == 0 {
		v.fault(key+".deny", "is empty; list addresses, or remove the key")
	}
}
