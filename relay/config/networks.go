package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
)

// notPublic are the networks from which no stranger on the Internet comes: private ones, and
// those that are never the source of a connection (IANA's special-purpose address registries,
// RFC 6890).
var notPublic = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.2.0/24", "192.168.0.0/16",
	"198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
	"::/127", "2001:db8::/32", "3fff::/20", "fc00::/7", "fe80::/10", "ff00::/8",
)

var (
	translated = prefixes("64:ff9b::/96", "64:ff9b:1::/48") // IPv4 addresses in IPv6 (RFC 6052, RFC 8215)
	teredo     = netip.MustParsePrefix("2001::/32")         // anyone behind a NAT (RFC 4380)
)

func prefixes(list ...string) (all []netip.Prefix) {
	for _, text := range list {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// The public addresses from which on networks are wider than those of an organisation, which
// are an IPv4 /16 or an IPv6 /32 at most.
var (
	wideIPv4 = math.Ldexp(1, 32-15)
	wideIPv6 = math.Ldexp(1, 128-31)
)

// InNetworks reports whether an address is in one of the networks.
func InNetworks(networks []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(addr.Unmap()) })
}

// homeNetworks are the private networks of which a learning window may have all. Those that a
// provider shares out among its customers (RFC 6598) are not among them.
var homeNetworks = prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")

// The widest learning windows in other networks.
const (
	learningBits4 = 24
	learningBits6 = 64
)

// LearningNetwork returns the network of a learning window in the form in which addresses are
// compared, or an error that says why it must not be one: it has to be private, or no wider than
// one site.
func LearningNetwork(n netip.Prefix) (netip.Prefix, error) {
	if n.IsValid() && n.Addr().Is4In6() && n.Bits() >= 96 {
		n = netip.PrefixFrom(n.Addr().Unmap(), n.Bits()-96)
	}
	least := learningBits6
	if n.Addr().Is4() {
		least = learningBits4
	}
	within := func(of []netip.Prefix) bool {
		return slices.ContainsFunc(of, func(o netip.Prefix) bool { return covering(o, n) })
	}
	switch {
	case !n.IsValid() || n != n.Masked():
		return n, errors.New("write the network of the devices as a prefix, such as 192.168.1.0/24")
	case within(prefixes("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3", "::/8", "64:ff9b::/32", "2001::/32", "2002::/16", "ff00::/8")):
		return n, fmt.Errorf("%s is not the network of a site; name that of the devices", n)
	case !within(homeNetworks) && n.Bits() < least:
		return n, fmt.Errorf("%s is too wide: strangers could be learnt; name a private network, or at most a /%d", n, least)
	}
	return n, nil
}

// tooWide reports whether the networks together have more public addresses than an
// organisation, so that strangers are among them.
func tooWide(networks ...netip.Prefix) bool {
	var ipv4, ipv6 float64
	for i, n := range networks {
		within := func(o netip.Prefix) bool { return covering(o, n) && (o != n || slices.Index(networks, n) < i) }
		if !n.IsValid() || slices.ContainsFunc(networks, within) {
			continue
		}
		if n.Addr().Is4() {
			ipv4 += publicAddresses(n)
			continue
		}
		ipv6 += publicAddresses(n)
		ipv4 += translatedAddresses(n)
	}
	return ipv4 >= wideIPv4 || ipv6 >= wideIPv6
}

// covering reports whether all addresses of narrow are in wide.
func covering(wide, narrow netip.Prefix) bool {
	return wide.IsValid() && wide.Bits() <= narrow.Bits() && wide.Contains(narrow.Addr())
}

// publicAddresses returns how many public addresses a network has.
func publicAddresses(n netip.Prefix) float64 {
	if covering(n, teredo) || covering(teredo, n) && n.Bits() < 96 {
		return wideIPv6
	}
	count := math.Ldexp(1, n.Addr().BitLen()-n.Bits())
	for _, p := range notPublic {
		switch {
		case covering(p, n):
			return 0
		case covering(n, p):
			count -= math.Ldexp(1, p.Addr().BitLen()-p.Bits())
		}
	}
	return count
}

// translatedAddresses returns how many public IPv4 addresses an IPv6 network stands for.
func translatedAddresses(n netip.Prefix) float64 {
	for _, t := range translated {
		switch {
		case covering(n, t) || covering(t, n) && n.Bits() < 96:
			return wideIPv4
		case covering(t, n):
			ip := n.Addr().As16()
			return publicAddresses(netip.PrefixFrom(netip.AddrFrom4([4]byte(ip[12:])), n.Bits()-96))
		}
	}
	return 0
}
