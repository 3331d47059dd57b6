package config

import (
	"fmt"
	"net/netip"
	"strings"
)

// Admin is where health, metrics, the page /connect, the console and the API are served.
type Admin struct {
	Address string `yaml:"address"` // see ConsoleRefused for others than loopback
	URL     string `yaml:"url"`     // for browsers; see BaseURL
}

func (v validator) admin(listeners []netip.AddrPort) {
	addr, ok := v.address("admin.address", v.cfg.Admin.Address, "127.0.0.1:9025")
	if !ok {
		return
	}
	if !addr.Addr().IsLoopback() {
		v.warn("admin.address", "is %s, which other machines can reach, without a password and without TLS: anyone there reads health and metrics, with the addresses of mailboxes, so let only your monitoring reach it; the console and the API are not served there, so for those choose a loopback address, such as 127.0.0.1:9025", addr)
	}
	v.clash("admin.address", addr, listeners)
}

// Loopback reports whether only this machine reaches the admin address.
func (a Admin) Loopback() bool {
	addr, err := parseAddress(a.Address)
	return err == nil && addr.Addr().IsLoopback()
}

// ConsoleRefused returns why neither the console nor the API is served, and what to do about that;
// empty if they are.
func (a Admin) ConsoleRefused() string {
	if a.Loopback() {
		return ""
	}
	return fmt.Sprintf("The console and the API are not served here: admin.address is %s, which other machines can reach, and there passwords and sessions would cross the network in plain text. Choose a loopback address, such as 127.0.0.1:9025.", a.Address)
}

// adminURL checks the address at which browsers reach the admin pages.
func (v validator) adminURL() {
	if !v.has("admin.url") {
		return
	}
	v.endpoint("admin.url", &v.cfg.Admin.URL)
}

// BaseURL returns the URL at which browsers reach the admin address. Without TLS it must be
// localhost: Entra redirects to no other host ("Redirect URI best practices and
// limitations").
func (a Admin) BaseURL() string {
	if a.URL != "" {
		return a.URL
	}
	return fmt.Sprintf("http://localhost:%s", a.Address[strings.LastIndexByte(a.Address, ':')+1:])
}
