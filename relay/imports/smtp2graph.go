package imports

import (
	"cmp"
	"crypto/sha1"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"graphrelay/relay/config"
)

// smtp2graph is the translation of one configuration of SMTP2Graph.
type smtp2graph struct {
	*relay
	path    string
	values  map[string]string   // of keys such as receive.port
	lists   map[string][]string // of keys such as receive.allowedFrom
	people  []person
	unknown []string
}

type person struct {
	name, password string
	from           []string
}

// SMTP2Graph translates a configuration of SMTP2Graph (config.yml).
func SMTP2Graph(path string, o Options) (*Result, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	s := &smtp2graph{relay: &relay{Program: "SMTP2Graph", options: o}, path: path, values: map[string]string{}, lists: map[string][]string{}}
	if err := s.read(data); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s.application()
	s.mailbox()
	s.retries()
	if err := s.users(); err != nil {
		return nil, err
	}
	s.listener()
	s.limits()
	s.rest()
	return s.result()
}

// known are the keys of SMTP2Graph; those with [] have a list of texts.
var known = []string{
	"mode", "send.mode", "send.appReg.tenant", "send.appReg.id", "send.appReg.secret", "send.appReg.certificate.thumbprint",
	"send.appReg.certificate.privateKeyPath", "send.retryLimit", "send.retryInterval", "send.forceMailbox",
	"receive.port", "receive.listenAddress", "receive.secure", "receive.tlsKeyPath", "receive.tlsCertPath", "receive.maxSize", "receive.banner",
	"receive.ipWhitelist[]", "receive.allowedFrom[]", "receive.allowedRcpt[]", "receive.allowInsecureAuth", "receive.requireAuth",
	"receive.rateLimit.duration", "receive.rateLimit.limit", "receive.authLimit.duration", "receive.authLimit.limit",
	"httpProxy.host", "httpProxy.port", "httpProxy.protocol", "httpProxy.username", "httpProxy.password",
}

// read reads the values of all known keys.
func (s *smtp2graph) read(data []byte) error {
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return errors.New("is not valid YAML: " + yamlPlace(err))
	}
	if len(document.Content) == 0 || document.Content[0].Kind != yaml.MappingNode {
		return errors.New("has no keys; name the config.yml of SMTP2Graph")
	}
	s.section("", document.Content[0], 0)
	if len(s.values)+len(s.lists)+len(s.people) == 0 {
		return errors.New("has no key of SMTP2Graph; name its config.yml")
	}
	if len(s.unknown) > 0 {
		s.note("not known and left out: %s", some(s.unknown))
	}
	return nil
}

// yamlLine matches the place in an error of YAML, the rest of which may quote the file.
var yamlLine = regexp.MustCompile(`line \d+`)

func yamlPlace(err error) string { return cmp.Or(yamlLine.FindString(err.Error()), "no line is known") }

func (s *smtp2graph) section(prefix string, node *yaml.Node, depth int) {
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := prefix+node.Content[i].Value, node.Content[i+1]
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		switch {
		case key == "receive.users" && value.Kind == yaml.SequenceNode:
			s.readUsers(value)
		case value.Kind == yaml.MappingNode && depth < 4:
			s.section(key+".", value, depth+1)
		case slices.Contains(known, key) && value.Kind == yaml.ScalarNode:
			if value.Tag != "!!null" {
				s.values[key] = value.Value
			}
		case slices.Contains(known, key+"[]") && value.Kind == yaml.SequenceNode:
			s.lists[key] = texts(value)
		case len(s.unknown) < maxItems:
			s.unknown = append(s.unknown, key)
		}
	}
}

// texts returns the scalars of a list.
func texts(node *yaml.Node) (list []string) {
	for _, item := range node.Content[:min(len(node.Content), maxItems)] {
		if item.Kind == yaml.ScalarNode {
			list = append(list, strings.TrimSpace(item.Value))
		}
	}
	return list
}

// maxUsers bounds the passwords that are hashed, which takes a twentieth of a second for each.
const maxUsers = 200

func (s *smtp2graph) readUsers(node *yaml.Node) {
	if len(node.Content) > maxUsers {
		s.note("receive.users: only the first %d users were taken", maxUsers)
	}
	for _, item := range node.Content[:min(len(node.Content), maxUsers)] {
		var p person
		for i := 0; item.Kind == yaml.MappingNode && i+1 < len(item.Content); i += 2 {
			switch value := item.Content[i+1]; item.Content[i].Value {
			case "username":
				p.name = value.Value
			case "password":
				p.password = value.Value
			case "allowedFrom":
				p.from = texts(value)
			}
		}
		s.people = append(s.people, p)
	}
}

func (s *smtp2graph) is(key string) bool { return strings.EqualFold(s.values[key], "true") }

// number returns the value of a key, or the default if it is not a number.
func (s *smtp2graph) number(key string, otherwise int) int {
	n, err := strconv.Atoi(s.values[key])
	if err != nil || n < 0 {
		return otherwise
	}
	return min(n, 1<<30)
}

var guid = regexp.MustCompile(`^(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// application carries over the application in Entra.
func (s *smtp2graph) application() {
	c := &s.Connection
	c.ClientID, c.Tenant = cmp.Or(s.values["send.appReg.id"], exampleClient), s.values["send.appReg.tenant"]
	switch {
	case c.Tenant == "":
		c.Tenant = exampleTenant
		s.note("connections: SMTP2Graph names no application here (mode: %s); fill in tenant, client_id and the secret", cmp.Or(s.values["mode"], "full"))
	case !guid.MatchString(c.Tenant):
		c.Tenant += ".onmicrosoft.com"
		c.Domains = append(c.Domains, c.Tenant)
	}
	c.SendOnly = true
	s.note("mail_readwrite is false, since SMTP2Graph needs no more than Mail.Send: messages may have 4 MB at most, as with SMTP2Graph; to lift that, give the application Mail.ReadWrite and remove the line")
	if s.values["send.appReg.secret"] == "" && s.values["send.appReg.certificate.privateKeyPath"] != "" {
		s.certificate()
		return
	}
	c.SecretFile = "smtp2graph.secret"
	if secret := s.values["send.appReg.secret"]; secret != "" {
		s.secret(c.SecretFile, secret)
	} else {
		s.note("client_secret_file: put the client secret into %s, which only the relay's user may read", c.SecretFile)
	}
}

// certificate finds the certificate of which SMTP2Graph knows only the thumbprint.
func (s *smtp2graph) certificate() {
	key := beside(s.path, s.values["send.appReg.certificate.privateKeyPath"])
	s.Connection.KeyFile = key
	thumbprint := strings.ToLower(strings.ReplaceAll(s.values["send.appReg.certificate.thumbprint"], ":", ""))
	if found := findCertificate(filepath.Dir(key), thumbprint); found != "" {
		s.Connection.CertFile = found
		return
	}
	s.Connection.CertFile = strings.TrimSuffix(key, filepath.Ext(key)) + ".crt"
	s.note("certificate_file: SMTP2Graph keeps the thumbprint of the certificate alone, and the certificate is not beside its key; put it there in PEM, as the file that certificate_file names")
}

// findCertificate returns the PEM file in a folder with the certificate of a SHA-1 thumbprint.
func findCertificate(folder, thumbprint string) string {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return ""
	}
	for _, e := range entries[:min(len(entries), maxItems)] {
		if !slices.Contains([]string{".crt", ".cer", ".pem"}, strings.ToLower(filepath.Ext(e.Name()))) {
			continue
		}
		data, err := readFile(filepath.Join(folder, e.Name()))
		block, _ := pem.Decode(data)
		if err != nil || block == nil || block.Type != "CERTIFICATE" {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			continue
		}
		if sum := sha1.Sum(block.Bytes); hex.EncodeToString(sum[:]) == thumbprint {
			return filepath.Join(folder, e.Name())
		}
	}
	return ""
}

// mailbox carries over the one mailbox that sends everything.
func (s *smtp2graph) mailbox() {
	switch forced := s.values["send.forceMailbox"]; {
	case forced == "":
	case !address(forced):
		s.note("send.forceMailbox is not a mail address, and was left out")
	default:
		s.Senders = append(s.Senders, rule{Match: "*", Mailbox: forced, From: string(config.FromOriginal)})
		s.note("senders: as with SMTP2Graph, From stays what the client wrote, for which %s needs the right SendAs in Exchange; remove from: original to show the mailbox's own address instead", forced)
	}
}

// retries carries over how long a message is tried, if that is said.
func (s *smtp2graph) retries() {
	_, limited := s.values["send.retryLimit"]
	_, paced := s.values["send.retryInterval"]
	if !limited && !paced {
		s.note("delivery: SMTP2Graph gives up after 15 minutes; graphrelay tries for 48 hours, then bounces (give_up_after)")
		return
	}
	interval := min(max(s.number("send.retryInterval", 5), 1), 7*24*60)
	minutes := min(s.number("send.retryLimit", 3)*interval, 30*24*60)
	giveUp := strconv.Itoa(minutes) + "m"
	if minutes == 0 {
		giveUp = "1s"
	}
	set(&s.Delivery, "give_up_after", giveUp)
	set(&s.Delivery, "retry_delays", fmt.Sprintf("[%dm]", interval))
	s.note("delivery: a message is given up after %s, as with SMTP2Graph; remove the section to have it tried for 48 hours", giveUp)
}

// users carries over who may sign in, with hashes in the place of the passwords.
func (s *smtp2graph) users() error {
	for i, p := range s.people {
		hash, err := s.hash(p.password)
		switch {
		case p.name == "" || strings.ContainsFunc(p.name, func(r rune) bool { return r <= ' ' || r == 0x7f }):
			s.note("receive.users[%d] has a name that graphrelay does not take, and was left out", i)
			continue
		case slices.ContainsFunc(s.Users, func(u user) bool { return u.Name == p.name }):
			s.note("receive.users[%d] has the name of an earlier user, and was left out", i)
			continue
		case p.password == "" || err != nil:
			s.note("receive.users[%d] has no password, or one of more than 72 bytes, and was left out", i)
			continue
		}
		u := user{Name: p.name, Hash: hash, Senders: s.senders(fmt.Sprintf("receive.users[%d].allowedFrom", i), p.from)}
		if len(u.Senders) == 0 {
			u.Senders = s.senders("receive.allowedFrom", s.lists["receive.allowedFrom"])
		}
		if len(u.Senders) == 0 {
			u.Senders = []string{"*"}
			s.note("users: %s may send from every address; list those that it uses", u.Name)
		}
		s.Users = append(s.Users, u)
	}
	if s.is("receive.requireAuth") && len(s.Users) == 0 {
		return errors.New("requireAuth is true, but no user can be carried over")
	}
	return nil
}

// senders returns those of the addresses that are patterns, and keeps their domains.
func (s *smtp2graph) senders(key string, list []string) (valid []string) {
	for _, a := range list {
		if !address(a) {
			s.note("%s: one of the addresses is not valid, and was left out", key)
			continue
		}
		valid = append(valid, strings.ToLower(a))
		s.Connection.Domains = append(s.Connection.Domains, domainOf(a))
	}
	return valid
}

// listener carries over the port. SMTP2Graph has one.
func (s *smtp2graph) listener() {
	l := listener{Name: "smtp", Auth: "none", TLS: "none"}
	host := "::"
	if ip, err := netip.ParseAddr(s.values["receive.listenAddress"]); err == nil && ip.Zone() == "" {
		host = ip.String()
	}
	l.Address = net.JoinHostPort(host, strconv.Itoa(min(s.number("receive.port", 25), 65535)))
	s.tls(&l)
	switch {
	case s.is("receive.requireAuth"):
		l.Auth = "required"
	case len(s.Users) > 0:
		l.Auth = "optional"
	}
	for _, n := range s.lists["receive.ipWhitelist"] {
		if p, ok := network(n); ok {
			l.Networks = append(l.Networks, p)
		} else {
			s.note("receive.ipWhitelist: one of the entries is neither an address nor a network, and was left out")
		}
	}
	s.exposure(&l)
	for _, a := range s.lists["receive.allowedRcpt"] {
		if pattern(a) {
			l.Recipients = append(l.Recipients, a)
		}
	}
	if l.Auth != "required" && len(s.lists["receive.allowedFrom"]) > 0 {
		s.senders("receive.allowedFrom", s.lists["receive.allowedFrom"])
		s.note("receive.allowedFrom: clients without a password may send from every mailbox of the domains; to limit them to some addresses, give them users with senders, or limit the application in Exchange")
	}
	if strings.EqualFold(s.values["mode"], "send") {
		l.Address = "127.0.0.1:2525"
		s.note("mode: send has no listener in SMTP2Graph; graphrelay needs one: here it is open to this machine alone")
	}
	s.Listeners = []listener{l}
}

func (s *smtp2graph) tls(l *listener) {
	key, cert := s.values["receive.tlsKeyPath"], s.values["receive.tlsCertPath"]
	switch {
	case s.is("receive.secure"):
		l.TLS = "implicit"
	case key != "" && cert != "":
		l.TLS = "starttls"
	default:
		return
	}
	if key == "" || cert == "" {
		key, cert = "relay.key", "relay.crt"
		s.note("tls: SMTP2Graph uses a certificate for localhost that comes with it; put one of your own into relay.crt and relay.key")
	}
	s.Key, s.Cert = beside(s.path, key), beside(s.path, cert)
}

// exposure closes what graphrelay does not open: mail without a password, and passwords without
// TLS, need networks.
func (s *smtp2graph) exposure(l *listener) {
	plain := l.Auth != "none" && l.TLS == "none" && !loopback(l.Address)
	l.Legacy = plain || l.Auth == "none"
	if plain {
		s.note("listeners: passwords cross the network without TLS, as with SMTP2Graph; give the listener a certificate (tls: starttls) as soon as all clients can use it")
	}
	if l.Auth != "none" && l.TLS != "none" && s.is("receive.allowInsecureAuth") {
		s.note("receive.allowInsecureAuth: here passwords need TLS; give clients that cannot use it a listener of their own, with networks and profile: legacy (docs/devices.md)")
	}
	if len(l.Networks) > 0 || loopback(l.Address) || l.Auth == "required" && !plain {
		return
	}
	l.Networks = privateNetworks
	s.note("listeners[0].networks: SMTP2Graph takes mail from everyone who reaches it; here only private networks may connect: keep those that your clients are in")
}

// network returns an address or a network as a prefix.
func network(s string) (string, bool) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()).String(), true
	}
	p, err := netip.ParsePrefix(s)
	if err == nil && p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if err != nil || p.Addr().Is4In6() {
		return "", false
	}
	return p.Masked().String(), true
}

var sizeText = regexp.MustCompile(`^(\d{1,9})([km])$`)

// limits carries over the size of messages and the number of wrong passwords.
func (s *smtp2graph) limits() {
	if m := sizeText.FindStringSubmatch(strings.ToLower(s.values["receive.maxSize"])); m != nil {
		kib, _ := strconv.Atoi(m[1])
		if m[2] == "m" {
			kib *= 1024
		}
		set(&s.Limits, "message_size", fmt.Sprintf("%dKiB", min(max(kib, 64), 150*1024)))
	}
	_, limit := s.values["receive.authLimit.limit"]
	_, duration := s.values["receive.authLimit.duration"]
	if limit || duration {
		set(&s.Limits, "auth_failures", strconv.Itoa(min(max(s.number("receive.authLimit.limit", 10), 3), 1000)))
		set(&s.Limits, "auth_block", fmt.Sprintf("%ds", min(max(s.number("receive.authLimit.duration", 60), 60), 24*60*60)))
	}
	if s.values["receive.rateLimit.limit"] != "" || s.values["receive.rateLimit.duration"] != "" {
		s.note("receive.rateLimit counts all connections together and was left out; limits.connections_per_minute (120) is for each address")
	}
}

// rest carries over the proxy, and says what has no counterpart.
func (s *smtp2graph) rest() {
	if host := s.values["httpProxy.host"]; host != "" {
		scheme := "http"
		if strings.EqualFold(s.values["httpProxy.protocol"], "https") {
			scheme = "https"
		}
		port := strconv.Itoa(min(s.number("httpProxy.port", 3128), 65535))
		s.Connection.Proxy = (&url.URL{Scheme: scheme, Host: net.JoinHostPort(host, port)}).String()
		if name := s.values["httpProxy.username"]; name != "" && s.values["httpProxy.password"] != "" {
			s.Connection.ProxyUser = name
			s.Connection.ProxyPasswordFile = s.secret("proxy.secret", s.values["httpProxy.password"])
		}
	}
	if s.values["receive.banner"] != "" {
		s.note("receive.banner was left out: the greeting is the host name")
	}
	if strings.EqualFold(s.values["mode"], "receive") {
		s.note("mode: receive and mode: send are two processes in SMTP2Graph, and one in graphrelay")
	}
	s.note("let SMTP2Graph empty its folder queue before you stop it: messages in it are not carried over")
}
