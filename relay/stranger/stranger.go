// Package stranger tries to send through the listeners of a running relay without a password,
// and reports what they accepted.
//
// It never sends a message: each try ends before DATA.
package stranger

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"graphrelay/relay/config"
)

// Result is what became of the tries at one listener.
type Result struct {
	Listener string   `json:"listener"`
	Tries    []Try    `json:"tries"`
	NotTried []string `json:"not_tried,omitempty"`
	Fault    string   `json:"fault,omitempty"` // why the listener could not be tried at all
}

// Try is one attempt to send.
type Try struct {
	Client   netip.Addr `json:"client"`   // the address that the relay saw
	Stranger bool       `json:"stranger"` // the configuration does not allow that address
	From     string     `json:"from,omitempty"`
	To       string     `json:"to,omitempty"`
	Accepted bool       `json:"accepted"` // DATA would have been next
	Answer   string     `json:"answer"`   // the last one
}

// LetIn reports whether a stranger could have sent.
func (t Try) LetIn() bool { return t.Stranger && t.Accepted }

// LetIn reports whether a stranger could have sent through the listener.
func (r Result) LetIn() bool { return slices.ContainsFunc(r.Tries, Try.LetIn) }

// The addresses that strangers use, in domains that nobody has (RFC 2606), and the addresses
// that a load balancer says they come from (RFC 5737, RFC 3849).
const (
	foreignSender    = "stranger@stranger.example"
	foreignRecipient = "victim@stranger.example"
)

var (
	strangerIPv4 = netip.MustParseAddr("203.0.113.7")
	strangerIPv6 = netip.MustParseAddr("2001:db8::7")
)

// Check tries every listener of the configuration, whose relay has to run on this machine.
func Check(ctx context.Context, cfg *config.Config) []Result {
	results := make([]Result, 0, len(cfg.Listeners))
	local := localAddresses()
	for _, l := range cfg.Listeners {
		results = append(results, checkListener(ctx, cfg, l, local))
	}
	return results
}

// localAddresses returns the addresses of this machine, loopback first.
func localAddresses() []netip.Addr {
	all := []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	list, err := net.InterfaceAddrs()
	if err != nil {
		return all
	}
	for _, a := range list {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok && !ip.IsLinkLocalUnicast() && !slices.Contains(all, ip.Unmap()) {
				all = append(all, ip.Unmap())
			}
		}
	}
	return all
}

// route is a way to connect to a listener.
type route struct {
	from, to netip.AddrPort
	client   netip.Addr // the address that the relay sees
	header   bool       // the connection begins with a PROXY header, which names client
	stranger bool
}

// checkListener tries a listener from an address that may send without a password, if there is
// one, and from one that may not.
func checkListener(ctx context.Context, cfg *config.Config, l config.Listener, local []netip.Addr) Result {
	r := Result{Listener: l.Name, Tries: []Try{}}
	routes := routesTo(l, local)
	if len(routes) == 0 {
		r.Fault = "is on an address that this machine does not have: " + l.Address
		return r
	}
	tried := map[bool]bool{} // by stranger
	for _, way := range routes {
		if tried[way.stranger] {
			continue
		}
		tries, err := try(ctx, cfg, l, way)
		if err != nil {
			r.Fault = err.Error()
			continue
		}
		tried[way.stranger] = true
		r.Tries = append(r.Tries, tries...)
	}
	if len(tried) > 0 {
		r.Fault = ""
	}
	if !tried[true] {
		r.NotTried = append(r.NotTried, notTried(l))
	}
	return r
}

// notTried returns why a listener was not tried from a stranger's address.
func notTried(l config.Listener) string {
	if isLoopback(l) && len(l.ProxyNetworks) == 0 {
		return "from another machine: none reaches " + l.Address
	}
	return "from an address outside of its networks: this machine has none that reaches it; try it from another machine"
}

func isLoopback(l config.Listener) bool {
	host, _, err := net.SplitHostPort(l.Address)
	addr, parseErr := netip.ParseAddr(host)
	return err == nil && (host == "localhost" || parseErr == nil && addr.IsLoopback())
}

// routesTo returns the routes from the addresses of this machine to a listener.
func routesTo(l config.Listener, local []netip.Addr) (all []route) {
	host, port, err := net.SplitHostPort(l.Address)
	if err != nil {
		return nil
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	at, err := netip.ParseAddr(host)
	every := host == "" || err == nil && at.IsUnspecified()
	for _, from := range local {
		to := at
		if every {
			to = from
		}
		target, err := netip.ParseAddrPort(net.JoinHostPort(to.Unmap().String(), port))
		fits := from.Is4() == to.Unmap().Is4() && from.IsLoopback() == to.IsLoopback() && !(host == "0.0.0.0" && from.Is6())
		if err != nil || !fits {
			continue
		}
		all = append(all, routeFrom(l, from, target))
	}
	return all
}

// routeFrom returns the route from one address. If the listener takes the address for a load
// balancer, the PROXY header names a stranger's address.
func routeFrom(l config.Listener, from netip.Addr, to netip.AddrPort) route {
	way := route{from: netip.AddrPortFrom(from, 0), to: to, client: from}
	if config.InNetworks(l.ProxyNetworks, from) {
		way.header, way.client = true, strangerIPv4
		if from.Is6() {
			way.client = strangerIPv6
		}
	}
	local := isLoopback(l) && way.client.IsLoopback()
	way.stranger = !local && (len(l.Networks) == 0 || l.OpenToEveryone || !config.InNetworks(l.Networks, way.client))
	return way
}

// ownSender returns an address from which the relay sends.
func ownSender(cfg *config.Config) string {
	if mailbox := cfg.SendingMailbox(); mailbox != "" {
		return mailbox
	}
	for _, c := range cfg.Connections {
		if len(c.Domains) > 0 {
			return "postmaster@" + c.Domains[0]
		}
	}
	return foreignSender
}

// try makes the attempts by one route, in one session. The error means that the listener could
// not be reached.
func try(ctx context.Context, cfg *config.Config, l config.Listener, way route) ([]Try, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	conn, err := dial(ctx, way)
	if err != nil {
		return nil, fmt.Errorf("cannot be reached at %s: %w; is the relay running?", way.to, err)
	}
	s, err := greet(conn, l, way)
	if err != nil {
		_ = conn.Close()
		return []Try{{Client: way.client, Stranger: way.stranger, Answer: err.Error()}}, nil
	}
	defer s.Close()
	var tries []Try
	own := ownSender(cfg)
	for _, e := range [][2]string{{foreignSender, foreignRecipient}, {own, foreignRecipient}, {own, own}} {
		answer, ok := envelope(s, e[0], e[1])
		tries = append(tries, Try{Client: way.client, Stranger: way.stranger, From: e[0], To: e[1], Accepted: ok, Answer: answer})
	}
	return tries, nil
}
