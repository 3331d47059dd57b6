package config

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Admin is where health, metrics, the page /connect, the console and the API are served, and who
// may use the last two.
type Admin struct {
	Address string   `yaml:"address"`
	URL     string   `yaml:"url"`   // for browsers; see BaseURL
	Hosts   []string `yaml:"hosts"` // other names by which the address may be called
	// ProxyNetworks are the reverse proxies whose X-Forwarded-For names the client.
	ProxyNetworks []netip.Prefix `yaml:"proxy_networks"`
	TLS           AdminTLS       `yaml:"tls"`
	Operators     []Operator     `yaml:"operators"`
	Tokens        []Token        `yaml:"tokens"`
	OIDC          OIDC           `yaml:"oidc"`
	// ShowContent: the console shows the content of messages, to operators.
	ShowContent bool `yaml:"show_content"`
}

// AdminTLS is the certificate of the admin address. The zero value is none.
type AdminTLS struct {
	CertFile         string           `yaml:"cert_file"`         // PEM, the chain included
	KeyFile          string           `yaml:"key_file"`          // PEM
	CertificateStore CertificateStore `yaml:"certificate_store"` // instead of the two
	TLSMin           TLSFloor         `yaml:"tls_min"`
}

// Enabled reports whether the admin address has TLS.
func (t AdminTLS) Enabled() bool { return t.Certificate().given() }

// Certificate returns where the certificate is.
func (t AdminTLS) Certificate() TLS { return TLS{t.CertFile, t.KeyFile, t.CertificateStore} }

func (v validator) admin(listeners []netip.AddrPort) {
	a := v.cfg.Admin
	addr, ok := v.address("admin.address", a.Address, "127.0.0.1:9025")
	if !ok {
		return
	}
	beyond := !addr.Addr().IsLoopback()
	who := cmp.Or(v.givenKey("admin.operators", "admin.tokens", "admin.oidc"), "")
	switch {
	case !beyond || a.TLS.Enabled() || v.isBad("admin.tls"):
	case who != "":
		v.fault(who, "lets people sign in, but admin.address is %s, which other machines can reach without TLS, so passwords, tokens and sessions would cross the network in plain text; add admin.tls with cert_file and key_file, or choose a loopback address", addr)
	default:
		v.warn("admin.address", "is %s, which other machines can reach, without a password and without TLS: anyone there reads health and metrics, with the addresses of mailboxes, so let only your monitoring reach it; the console and the API are not served there, so for those add admin.tls, or choose a loopback address, such as 127.0.0.1:9025", addr)
	}
	if beyond && a.TLS.Enabled() {
		v.require("admin.url", a.URL, "write the address at which browsers reach the console, such as https://relay.contoso.test:9025")
	}
	v.clash("admin.address", addr, listeners)
}

// givenKey returns the first of keys that the file gives a value, or "".
func (v validator) givenKey(keys ...string) string {
	for _, key := range keys {
		if v.has(key) {
			return key
		}
	}
	return ""
}

// Loopback reports whether only this machine reaches the admin address.
func (a Admin) Loopback() bool {
	addr, err := parseAddress(a.Address)
	return err == nil && addr.Addr().IsLoopback()
}

// ConsoleRefused returns why neither the console nor the API is served, and what to do about that;
// empty if they are.
func (a Admin) ConsoleRefused() string {
	if a.Loopback() || a.TLS.Enabled() {
		return ""
	}
	return fmt.Sprintf("The console and the API are not served here: admin.address is %s, which other machines can reach, and there passwords and sessions would cross the network in plain text. Add admin.tls to the configuration, or choose a loopback address, such as 127.0.0.1:9025.", a.Address)
}

// adminPages checks what concerns browsers.
func (v validator) adminPages() {
	a := &v.cfg.Admin
	if v.has("admin.url") {
		v.endpoint("admin.url", &a.URL)
		if base, err := url.Parse(a.URL); err == nil && base.Scheme == "http" && a.TLS.Enabled() {
			v.fault("admin.url", "is http://, but admin.tls has the admin address use TLS; write https://")
		}
	}
	for i, host := range a.Hosts {
		if !validHost(host) {
			v.fault(fmt.Sprintf("admin.hosts[%d]", i), "is %s, which is not a host; write a name such as relay.contoso.test, with the port if it has one that browsers show, as in relay:9025", quote(host))
		}
	}
	if v.has("admin.tls") {
		v.certificateOf("admin.tls", a.TLS.CertFile, a.TLS.KeyFile, &v.cfg.Admin.TLS.CertificateStore)
		if a.TLS.TLSMin.Insecure() {
			v.fault("admin.tls.tls_min", "is %s, but every browser supports more; write 1.2 or 1.3", a.TLS.TLSMin)
		}
	}
	if tooWide(a.ProxyNetworks...) {
		v.fault("admin.proxy_networks", "are wider than an organisation's, so strangers could pretend to be any client; list only your own proxies")
	}
	v.operators()
	v.tokens()
	v.oidc()
}

// validHost reports whether a text can be a Host header: a name or an IP address, and maybe a port.
func validHost(host string) bool {
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = strings.Trim(host, "[]"), "0"
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return false
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return name != "" && len(name) <= 253 && !strings.ContainsFunc(name, func(r rune) bool { return !isWordChar(r) && r != '-' && r != '.' })
}

// BaseURL returns the URL at which browsers reach the admin address. Without TLS it must be
// localhost: Entra redirects to no other host ("Redirect URI best practices and
// limitations").
func (a Admin) BaseURL() string {
	if a.URL != "" {
		return a.URL
	}
	scheme := "http"
	if a.TLS.Enabled() {
		scheme = "https"
	}
	return fmt.Sprintf("%s://localhost:%s", scheme, a.Address[strings.LastIndexByte(a.Address, ':')+1:])
}

// Serves reports whether a Host header names one of Hosts. One without a port stands for any.
func (a Admin) Serves(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	return slices.ContainsFunc(a.Hosts, func(h string) bool { return strings.EqualFold(h, host) || strings.EqualFold(h, name) })
}
