package config

import (
	"fmt"
	"net/netip"
	"strings"
)

// Admin is where health, metrics and the page /connect are served.
type Admin struct {
	Address string `yaml:"address"` // loopback only
	URL     string `yaml:"url"`     // for browsers; see BaseURL
}

func (v validator) admin(listeners []netip.AddrPort) {
	addr, ok := v.address("admin.address", v.cfg.Admin.Address, "127.0.0.1:9025")
	if !ok {
		return
	}
	if !addr.Addr().IsLoopback() {
		v.fault("admin.address", "is %s, which other machines can reach, and nothing there asks for a password; choose a loopback address, such as 127.0.0.1:9025", addr)
	}
	v.clash("admin.address", addr, listeners)
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
