package imports

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"graphrelay/internal/mailaddr"
)

// postfix is the translation of one configuration of Postfix.
type postfix struct {
	*relay
	*parameters
}

// Postfix translates the configuration of a Postfix that relays to Microsoft 365. The path is that
// of main.cf or of its folder; empty, it is /etc/postfix.
func Postfix(path string, o Options) (*Result, error) {
	if path == "" {
		path = postfixFolder
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, "main.cf")
	}
	main, err := readParameters(path)
	if err != nil {
		return nil, err
	}
	services, err := readServices(filepath.Join(filepath.Dir(path), "master.cf"))
	if err != nil {
		return nil, err
	}
	p := &postfix{&relay{Program: "Postfix", options: o}, main}
	p.Connection = connection{Tenant: exampleTenant, ClientID: exampleClient, SecretFile: "microsoft365.secret"}
	p.note("connections: Postfix knows no application in Entra: run graphrelay setup to make one, or fill in tenant, client_id and the file with the secret (docs/setup.md)")
	p.identity()
	p.nexthops()
	p.rewriting()
	p.listeners(services)
	p.limits()
	p.leftOut()
	return p.result()
}

// identity carries over the names.
func (p *postfix) identity() {
	if name := p.get("myhostname"); name != "" {
		if domain, err := mailaddr.Domain(name); err == nil {
			p.Hostname = domain
		}
	}
}

// origin returns the domain that completes addresses without one, or "".
func (p *postfix) origin() string {
	name := p.get("myorigin")
	if strings.HasPrefix(name, "/") { // a file, such as /etc/mailname
		data, _ := readFile(p.path(name))
		name = strings.TrimSpace(string(data))
	}
	if domain, err := mailaddr.Domain(name); err == nil && strings.Contains(domain, ".") {
		return domain
	}
	return ""
}

// microsoft matches the next hops that are Microsoft 365.
var microsoft = regexp.MustCompile(`(?i)^(?:smtp\.office365\.com|smtp-legacy\.office365\.com|outlook\.office365\.com|[a-z0-9-]+\.mail\.protection\.outlook\.com)$`)

// hopHost returns the host of a next hop such as [smtp.office365.com]:587.
func hopHost(hop string) string {
	hop = strings.TrimPrefix(strings.TrimPrefix(hop, "relay:"), "smtp:")
	if rest, ok := strings.CutPrefix(hop, "["); ok {
		host, _, _ := strings.Cut(rest, "]")
		return host
	}
	host, _, _ := strings.Cut(hop, ":")
	return host
}

// nexthops looks where mail went, and as whom Postfix signed in there.
func (p *postfix) nexthops() {
	p.nexthop("relayhost", p.get("relayhost"))
	for _, e := range p.tables("sender_dependent_relayhost_maps") {
		if !microsoft.MatchString(hopHost(e.value)) {
			p.note("sender_dependent_relayhost_maps: some mail goes elsewhere than to Microsoft 365, and graphrelay has no other way out; leave that to Postfix")
			continue
		}
		if domain, ok := strings.CutPrefix(e.key, "@"); ok {
			p.Connection.Domains = append(p.Connection.Domains, domain)
		} else if address(e.key) {
			p.Connection.Domains = append(p.Connection.Domains, domainOf(e.key))
		}
	}
	for _, e := range p.tables("smtp_sasl_password_maps") {
		name, _, _ := strings.Cut(e.value, ":")
		if address(name) {
			p.Connection.Domains = append(p.Connection.Domains, domainOf(name))
			p.note("smtp_sasl_password_maps: the mailbox %s signed in with a password; the application needs the right to send from it, and the password is no longer used", name)
		}
	}
}

func (p *postfix) nexthop(parameter, hop string) {
	switch host := hopHost(hop); {
	case host == "":
		p.note("%s is empty: this Postfix delivers by itself, to anyone's mail server; with graphrelay, all mail leaves by Microsoft 365", parameter)
	case !microsoft.MatchString(host):
		p.note("%s is %s, which is not Microsoft 365; with graphrelay, all mail leaves by Microsoft 365", parameter, host)
	}
}

// rewriting carries over the tables that give senders the address of a mailbox. In Postfix a table
// is searched for the whole address, then the name, then the domain: rules have that order.
func (p *postfix) rewriting() {
	var exact, names, domains, all []rule
	for _, parameter := range []string{"smtp_generic_maps", "sender_canonical_maps", "canonical_maps"} {
		for _, e := range p.tables(parameter) {
			r, ok := p.rewrite(parameter, e)
			switch {
			case !ok:
			case r.Match == catchAll:
				all = append(all, r)
			case strings.HasPrefix(r.Match, "*@"):
				domains = append(domains, r)
			case !strings.Contains(e.key, "@"):
				names = append(names, r)
			default:
				exact = append(exact, r)
			}
		}
	}
	seen := map[string]bool{}
	for _, r := range slices.Concat(exact, names, domains, all) {
		if !seen[r.Match] {
			p.Senders = append(p.Senders, r)
		}
		seen[r.Match] = true
	}
	if len(p.Senders) > 0 {
		p.note("senders: each rule has a mailbox send what Postfix rewrote to its address; if that address is only an alias, name the mailbox and add from: ALIAS")
		return
	}
	p.note("senders: Postfix rewrites no sender here, so each sender has to be a mailbox; for those that are not, such as root@%s, add a rule (docs/senders.md)", orElse(p.origin(), "HOST"))
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// rewrite returns the rule for an entry.
func (p *postfix) rewrite(parameter string, e entry) (rule, bool) {
	match := e.key
	switch {
	case match == catchAll:
	case strings.HasPrefix(match, "@"):
		match = "*" + match
	case !strings.Contains(match, "@"): // a name in one of this host's domains
		match += "@" + orElse(p.origin(), "*")
	}
	switch {
	case strings.HasPrefix(e.value, "@"):
		p.note("%s: the domain %s is replaced and the name before it kept, which no rule does; write a rule for each sender, or make these addresses aliases", parameter, e.key)
	case !address(e.value) || !pattern(match):
		p.note("%s: the entry for %s could not be carried over; write a rule in senders for it", parameter, orElse(e.key, "nobody"))
	default:
		return rule{Match: strings.ToLower(match), Mailbox: e.value, ReplyTo: "none"}, true
	}
	return rule{}, false
}

// listeners carries over the ports.
func (p *postfix) listeners(services []service) {
	p.certificate()
	hosts := p.hosts()
	taken := map[string]bool{}
	for _, s := range services {
		p.over = s.options
		host, port, ok := s.place()
		if !ok {
			p.note("master.cf: the service %s has no port that is known, and was left out", s.name)
			continue
		}
		on := hosts
		if host != "" {
			on = []string{host}
		}
		for _, h := range on {
			l := listener{Name: fmt.Sprintf("smtp%d", port), Address: net.JoinHostPort(h, strconv.Itoa(port))}
			if n := len(p.Listeners); slices.ContainsFunc(p.Listeners, func(o listener) bool { return o.Name == l.Name }) {
				l.Name += "-" + strconv.Itoa(n)
			}
			if !taken[l.Address] && len(p.Listeners) < maxServices {
				taken[l.Address] = true
				p.listener(&l, port)
				p.Listeners = append(p.Listeners, l)
			}
		}
	}
	p.over = nil
	if len(p.Listeners) == 0 {
		p.note("listeners: Postfix listens on no port here; this one is open to this machine alone")
		p.Listeners = []listener{{Name: "local", Address: "127.0.0.1:25", TLS: "none", Auth: "none", Networks: []string{"127.0.0.0/8"}}}
	}
	p.users()
}

// ports are the names of services in /etc/services.
var ports = map[string]int{"smtp": 25, "submission": 587, "smtps": 465, "submissions": 465, "urd": 465}

// place returns the address and the port of a service: "587", "submission", "127.0.0.1:10025".
func (s service) place() (host string, port int, ok bool) {
	name := s.name
	if at := strings.LastIndexByte(name, ':'); at >= 0 {
		host, name = strings.Trim(name[:at], "[]"), name[at+1:]
		if host == "localhost" {
			host = "127.0.0.1"
		}
		if a, err := netip.ParseAddr(host); err != nil || a.Zone() != "" {
			return "", 0, false
		}
	}
	if port, ok = ports[name]; ok {
		return host, port, true
	}
	port, err := strconv.Atoi(name)
	return host, port, err == nil && port > 0 && port < 1<<16
}

// hosts returns the addresses of inet_interfaces.
func (p *postfix) hosts() (all []string) {
	every := "::"
	if p.get("inet_protocols") == "ipv4" {
		every = "0.0.0.0"
	}
	for _, name := range p.list("inet_interfaces") {
		a, err := netip.ParseAddr(strings.Trim(name, "[]"))
		switch {
		case name == "all":
			return []string{every}
		case name == "loopback-only" || name == "localhost":
			all = append(all, "127.0.0.1")
		case err == nil && a.Zone() == "":
			all = append(all, a.String())
		default:
			p.note("inet_interfaces: %s is a name; write its address into a listener", name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// certificate carries over the certificate.
func (p *postfix) certificate() {
	p.Cert, p.Key = p.get("smtpd_tls_cert_file"), p.get("smtpd_tls_key_file")
	if chain := p.list("smtpd_tls_chain_files"); len(chain) > 0 {
		p.Cert, p.Key = chain[0], chain[0]
		p.note("smtpd_tls_chain_files: graphrelay takes one certificate, the first; its file may have the key, too")
	}
	if p.Cert == "none" || p.Key == "" {
		p.Cert, p.Key = "", ""
	}
	if strings.HasPrefix(p.Cert, "/etc/ssl/certs/ssl-cert-snakeoil") {
		p.note("tls: %s is the certificate that Debian makes for trying; clients that check it refuse it", p.Cert)
	}
}

// listener fills in one listener, with the options of its service.
func (p *postfix) listener(l *listener, port int) {
	l.TLS, l.Auth = p.tlsMode(), "none"
	signsIn := p.on("smtpd_sasl_auth_enable")
	trusted, denied := p.networks()
	switch trusts := p.trustsNetworks(port); {
	case signsIn && trusts:
		l.Auth, l.Networks = "optional", trusted
		p.note("listeners: %s takes mail without a password from mynetworks, and here from nobody else, not even with a password; clients elsewhere need a listener with auth: required", l.Name)
	case signsIn:
		l.Auth = "required"
		if l.TLS == "none" {
			l.Networks = trusted
		}
	default:
		l.Networks = trusted
	}
	l.Deny = denied
	l.Legacy = l.Auth == "none" || l.TLS == "none"
	if !loopback(l.Address) && l.TLS == "none" && l.Auth != "none" {
		p.note("listeners: passwords cross the network without TLS on %s, as with Postfix; give it a certificate (tls: starttls)", l.Name)
	}
	l.AddDomain = p.origin()
}

func loopback(address string) bool {
	a, err := netip.ParseAddrPort(address)
	return err == nil && a.Addr().IsLoopback()
}

func (p *postfix) tlsMode() string {
	level := p.get("smtpd_tls_security_level")
	if level == "" && (p.on("smtpd_use_tls") || p.on("smtpd_enforce_tls")) {
		level = "may"
	}
	wrapped := p.on("smtpd_tls_wrappermode")
	switch {
	case !wrapped && (level == "" || level == "none"):
		return "none"
	case p.Cert == "":
		p.Cert, p.Key = "relay.crt", "relay.key"
		p.note("tls: Postfix has no certificate for clients here; put one into relay.crt and relay.key")
	}
	if wrapped {
		return "implicit"
	}
	return "starttls"
}

// trustsNetworks reports whether clients of mynetworks need no password at a service.
func (p *postfix) trustsNetworks(port int) bool {
	said := false
	for _, name := range []string{"smtpd_relay_restrictions", "smtpd_recipient_restrictions", "smtpd_client_restrictions"} {
		list := p.list(name)
		said = said || len(list) > 0
		if slices.Contains(list, "permit_mynetworks") {
			return port == 25 || p.over[name] != ""
		}
	}
	return !said && port == 25 // the default of smtpd_relay_restrictions begins with it
}

// networks returns those of mynetworks, and those that it excludes.
func (p *postfix) networks() (trusted, denied []string) {
	if _, ok := p.raw("mynetworks"); !ok {
		switch style := p.get("mynetworks_style"); style {
		case "", "host":
			return []string{"127.0.0.0/8", "::1/128"}, nil
		default:
			p.note("mynetworks_style is %s: the networks of the machine's interfaces are not known here, so private networks are listed; keep those that your clients are in", style)
			return privateNetworks, nil
		}
	}
	entries := p.list("mynetworks")
	for i := 0; i < len(entries) && i < maxItems; i++ {
		name, not := strings.CutPrefix(entries[i], "!")
		n, ok := network(strings.NewReplacer("[", "", "]", "").Replace(name))
		switch {
		case !ok && isFile(name):
			entries = append(entries, p.networkFile(name)...)
		case !ok:
			p.note("mynetworks: %s is neither an address nor a network, and was left out", name)
		case not:
			denied = append(denied, n)
		case strings.HasSuffix(n, "/0"):
			p.note("mynetworks: %s is everyone, and was left out; list your own networks", n)
		default:
			trusted = append(trusted, n)
		}
	}
	if len(trusted) == 0 {
		trusted = []string{"127.0.0.0/8", "::1/128"}
	}
	slices.Sort(trusted)
	return slices.Compact(trusted), denied
}

// isFile reports whether a word of mynetworks names a file or a table.
func isFile(word string) bool { return strings.HasPrefix(word, "/") || strings.Contains(word, ":/") }

// networkFile returns the networks in a file or a table that mynetworks names.
func (p *postfix) networkFile(name string) (all []string) {
	if !strings.HasPrefix(name, "/") {
		for _, e := range p.table("mynetworks", name) {
			if _, ok := network(e.key); ok {
				all = append(all, e.key)
			}
		}
		return all
	}
	data, err := readFile(p.path(name))
	if err != nil {
		p.note("mynetworks: %v; its networks are missing here", err)
		return nil
	}
	for _, line := range logicalLines(string(data)) {
		for _, w := range words(line) {
			if !isFile(w) {
				all = append(all, w)
			}
		}
	}
	return all
}
