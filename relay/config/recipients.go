package config

import "slices"

// Recipients says to whom mail may go. The zero value is everybody.
type Recipients struct {
	Allow []Pattern `yaml:"allow"` // empty: everybody
	Deny  []Pattern `yaml:"deny"`  // wins over Allow
}

// Allows says whether mail may go to an address.
func (r Recipients) Allows(address string) bool {
	return !matchesAny(r.Deny, address) && (len(r.Allow) == 0 || matchesAny(r.Allow, address))
}

// MaySendAs says whether the user may send from an address.
func (u *User) MaySendAs(address string) bool { return matchesAny(u.Senders, address) }

func matchesAny(patterns []Pattern, address string) bool {
	return slices.ContainsFunc(patterns, func(p Pattern) bool { return p.Match(address) })
}

func (v validator) recipients(key string, r Recipients) {
	if v.has(key+".allow") && len(r.Allow) == 0 {
		v.fault(key+".allow", "is empty, so that nobody could be written to; list addresses, or remove the key to allow all")
	}
	if v.has(key+".deny") && len(r.Deny) == 0 {
		v.fault(key+".deny", "is empty; list addresses, or remove the key")
	}
}
