package config

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"graphrelay/internal/mailaddr"
	"graphrelay/relay/smtpd"
)

// listeners checks the listeners and all addresses that the relay listens on, the
// admin address included.
func (v validator) listeners() {
	v.requireList("listeners", len(v.cfg.Listeners), "add at least one, with name and address")
	names := v.names()
	taken := make([]netip.AddrPort, len(v.cfg.Listeners))
	for i, l := range v.cfg.Listeners {
		key := fmt.Sprintf("listeners[%d]", i)
		names.check(key+".name", l.Name, plainName, "write a name of at most 64 letters, digits, dots, dashes and underscores")
		if l.Name == PickupName && v.cfg.Pickup.Folder != "" {
			v.fault(key+".name", "is %s, which is the name of the pickup folder; choose another name", quote(l.Name))
		}
		v.listenerTLS(key, &v.cfg.Listeners[i])
		within(v, key+".wait_for_delivery", l.Wait, 0, minutes(9)) // clients wait ten for the answer (RFC 5321 section 4.5.3.2.6)
		v.listenerNetworks(key, l)
		v.proxyNetworks(key, l)
		v.devices(key, l)
		v.recipients(key+".recipients", l.Recipients)
		v.leniency(key, &v.cfg.Listeners[i])
		v.passThroughListener(key, l)
		if l.Auth == smtpd.AuthRequired && l.PassThrough == "" && len(v.cfg.Users) == 0 && !v.cfg.Delegated() && !v.isBad("users") {
			v.fault(key+".auth", "is required, but there are no users; add users, or set auth: none")
		}
		if addr, ok := v.address(key+".address", l.Address, "0.0.0.0:25"); ok {
			v.exposure(key, l, addr)
			v.clash(key+".address", addr, taken[:i])
			taken[i] = addr
		}
	}
	v.admin(taken)
}

// exposure refuses listeners that are open to strangers, and those on which passwords cross
// a network in plain text. Behind a proxy a loopback address is no protection.
func (v validator) exposure(key string, l Listener, addr netip.AddrPort) {
	if addr.Addr().IsLoopback() && len(l.ProxyNetworks) == 0 {
		return
	}
	switch {
	case l.TLS != smtpd.TLSNone || l.Auth == smtpd.AuthNone || v.isBad(key+".tls") || v.isBad(key+".profile"):
	case l.PlainAuth():
		v.warn(key+".auth", "is %s without TLS, so passwords cross the network in plain text; give each device its own user, which may send only as that device, and move it to a listener with TLS as soon as it supports that", l.Auth)
	case l.Profile == ProfileLegacy && v.isBad(key+".networks"):
	case l.Profile == ProfileLegacy:
		v.fault(key+".auth", "is %s, but without TLS passwords cross the network in plain text; set tls: starttls or implicit, or list under networks the devices that do not support TLS, and nothing wider than your own networks", l.Auth)
	default:
		v.fault(key+".auth", "is %s, but without TLS passwords cross the network in plain text; set tls: starttls or implicit, or auth: none with networks, or, for devices that need a password but do not support TLS, profile: legacy with networks", l.Auth)
	}
	if l.Auth != smtpd.AuthRequired && !v.has(key+".networks") {
		v.fault(key+".networks", "is missing, so anyone could send mail through this listener without a password; list the networks that are allowed to, or set auth: required with TLS")
	}
}

// leniency checks the settings with which a listener accepts mistakes of clients.
func (v validator) leniency(key string, l *Listener) {
	if at := key + ".line_length"; v.has(at) {
		within(v, at, l.LineLength, 1000, 16*MiB)
	}
	at := key + ".add_domain"
	if !v.has(at) {
		return
	}
	domain, err := mailaddr.Domain(l.AddDomain)
	if err != nil {
		v.fault(at, "is %s, which is not a domain; write one such as contoso.test, without @, or remove the key", quote(l.AddDomain))
		return
	}
	l.AddDomain = domain
}

func (v validator) listenerNetworks(key string, l Listener) {
	if v.has(key+".networks") && len(l.Networks) == 0 {
		v.fault(key+".networks", "is empty; list networks, or remove the key to allow every network")
	}
	open := v.isBad(key + ".networks")
	for i, network := range l.Networks {
		wide := l.Auth != smtpd.AuthRequired && tooWide(network)
		open = open || wide || !network.IsValid()
		if wide && !l.OpenToEveryone {
			v.fault(fmt.Sprintf("%s.networks[%d]", key, i), "is %s, so strangers could send mail through this listener without a password; list only your own networks, set auth: required, or, if something else keeps strangers out, set open_to_everyone: true", network)
		}
	}
	if at := key + ".networks"; !open && l.Auth != smtpd.AuthRequired && tooWide(l.Networks...) {
		open = true
		if !l.OpenToEveryone {
			v.fault(at, "are together wider than an organisation's, so strangers could send mail through this listener without a password; list only your own networks, set auth: required, or, if something else keeps strangers out, set open_to_everyone: true")
		}
	}
	switch at := key + ".open_to_everyone"; {
	case l.OpenToEveryone && open:
		v.warn(at, "is true, so anyone who reaches this listener can send mail without a password; make sure that no stranger reaches it, or list your own networks")
	case l.OpenToEveryone && !v.isBad(key+".auth"):
		v.fault(at, "is true, but this listener asks for a password or has no network that wide; remove the key, which would also open networks that are added later")
	}
}

// devices checks what beats the networks, and what adds to them.
func (v validator) devices(key string, l Listener) {
	if v.has(key+".deny_networks") && len(l.DenyNetworks) == 0 {
		v.fault(key+".deny_networks", "is empty; list networks that may not connect, or remove the key")
	}
	at := key + ".allow_devices"
	switch {
	case !l.AllowDevices || v.isBad(key+".auth") || v.isBad(key+".networks"):
	case l.PassThrough != "" || l.Auth == smtpd.AuthRequired:
		v.fault(at, "is true, but this listener asks for a password, which the list of devices does not replace; give the devices a listener with auth: none and networks")
	case len(l.Networks) == 0:
		v.fault(at, "is true, but the listener has no networks, so that every address may connect already; list networks, or remove the key")
	case l.OpenToEveryone:
		v.fault(at, "is true, and so is open_to_everyone; remove one of the two")
	default:
		v.warn(at, "is true, so operators can let in further devices without a password while the relay runs; graphrelay devices lists those that there are")
	}
}

func (v validator) proxyNetworks(key string, l Listener) {
	if v.has(key+".proxy_networks") && len(l.ProxyNetworks) == 0 {
		v.fault(key+".proxy_networks", "is empty; list the load balancers that send PROXY headers, or remove the key")
	}
	for i, network := range l.ProxyNetworks {
		if tooWide(network) {
			v.fault(fmt.Sprintf("%s.proxy_networks[%d]", key, i), "is %s, so strangers could pretend to be any client; list only your own load balancers", network)
		}
	}
	if tooWide(l.ProxyNetworks...) && !slices.ContainsFunc(l.ProxyNetworks, func(n netip.Prefix) bool { return tooWide(n) }) {
		v.fault(key+".proxy_networks", "are together wider than an organisation's, so strangers could pretend to be any client; list only your own load balancers")
	}
}

// clash reports an address at which another listener already listens.
func (v validator) clash(key string, addr netip.AddrPort, listeners []netip.AddrPort) {
	for i, taken := range listeners {
		if overlap(addr, taken) {
			v.fault(key, "is %s, where listeners[%d] already listens; choose another port", addr, i)
			return
		}
	}
}

// overlap reports whether two sockets cannot listen at the same time. Port 0 is any free
// port, and :: includes IPv4.
func overlap(a, b netip.AddrPort) bool {
	if a.Port() != b.Port() || a.Port() == 0 {
		return false
	}
	return a.Addr() == b.Addr() || covers(a.Addr(), b.Addr()) || covers(b.Addr(), a.Addr())
}

func covers(wide, narrow netip.Addr) bool {
	return wide.IsUnspecified() && (wide.Is6() || narrow.Is4())
}

// address parses an address, and reports whether it is valid. Only that of a listener can be
// missing, since the admin address has a default.
func (v validator) address(key, text, example string) (netip.AddrPort, bool) {
	if !v.has(key) && text == "" {
		v.fault(key, "is missing; add an IP address and a port, such as %s", example)
		return netip.AddrPort{}, false
	}
	addr, err := parseAddress(text)
	if err != nil {
		v.fault(key, "is %s, which is not an address to listen on; write an IP address and a port, such as %s", quote(text), example)
	}
	return addr, err == nil
}

// parseAddress parses an address for net.Listen. Names of hosts and services are refused:
// what they stand for can change after the check.
func parseAddress(text string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return netip.AddrPort{}, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, err
	}
	switch host {
	case "":
		host = "::"
	case "localhost":
		host = "127.0.0.1"
	}
	addr, err := netip.ParseAddr(host)
	return netip.AddrPortFrom(addr.Unmap(), uint16(number)), err
}
