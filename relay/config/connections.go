package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

func (v validator) connections() {
	v.requireList("connections", len(v.cfg.Connections), "add at least one, with the Entra application that sends the mail")
	names := v.names()
	owners := map[string]string{} // the key where a domain is first claimed
	for i := range v.cfg.Connections {
		c := &v.cfg.Connections[i]
		key := fmt.Sprintf("connections[%d]", i)
		names.check(key+".name", c.Name, plainName, "write a name of at most 64 letters, digits, dots, dashes and underscores")
		v.tenant(key+".tenant", c.Tenant)
		v.clientID(key+".client_id", c.ClientID)
		v.secretSource(key, c)
		v.domains(key+".domains", c.Domains, owners)
		v.endpoint(key+".endpoints.login", &c.Endpoints.Login)
		v.endpoint(key+".endpoints.graph", &c.Endpoints.Graph)
	}
}

// tenant refuses the shared names: an application that signs in as itself needs
// the tenant that it belongs to.
func (v validator) tenant(key, tenant string) {
	const remedy = "write the directory (tenant) ID from the application's overview page, or the tenant's domain"
	if !v.require(key, tenant, remedy) || isGUID(tenant) {
		return
	}
	if _, err := canonicalDomain(tenant); err != nil || !strings.Contains(tenant, ".") {
		v.fault(key, "is %s, which is no tenant; %s", quote(tenant), remedy)
	}
}

func (v validator) clientID(key, id string) {
	const remedy = "write the application (client) ID from the application's overview page"
	if v.require(key, id, remedy) && !isGUID(id) {
		v.fault(key, "is not an application ID such as 22222222-2222-2222-2222-222222222222; %s", remedy)
	}
}

func isGUID(text string) bool {
	if len(text) != 36 {
		return false
	}
	for i, r := range text {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (r == '-') || !dash && !strings.ContainsRune("0123456789abcdefABCDEF", r) {
			return false
		}
	}
	return true
}

// secretSource wants exactly one way to the client secret.
func (v validator) secretSource(key string, c *Connection) {
	sources := []struct {
		name  string
		empty bool
	}{
		{"client_secret", c.ClientSecret.Reveal() == ""},
		{"client_secret_file", c.ClientSecretFile == ""},
		{"client_secret_env", c.ClientSecretEnv == ""},
	}
	used := ""
	for _, source := range sources {
		at := key + "." + source.name
		switch {
		case !v.has(at):
		case used != "":
			v.fault(at, "is given beside %s; keep one of the two", used)
		case source.empty:
			v.fault(at, "is empty; write a value, or use another of client_secret, client_secret_file and client_secret_env")
			used = source.name
		default:
			used = source.name
		}
	}
	if used == "" {
		v.fault(key+".client_secret", "is missing; add client_secret, client_secret_file or client_secret_env")
	}
}

// domains checks a connection's domains and puts them into the form that
// addresses are compared in.
func (v validator) domains(key string, domains []string, owners map[string]string) {
	v.requireList(key, len(domains), "list the domains whose senders go through this connection")
	for i, text := range domains {
		at := fmt.Sprintf("%s[%d]", key, i)
		domain, err := canonicalDomain(text)
		if err != nil {
			v.fault(at, "is %s, which is no domain; write one such as contoso.test, without @ or *", quote(text))
			continue
		}
		if owner, taken := owners[domain]; taken {
			v.fault(at, "is %s, as %s is already; keep the domain in one place", domain, owner)
			continue
		}
		owners[domain], domains[i] = at, domain
	}
}

// endpoint checks a base URL and removes the slash at its end. The URL is not
// shown, since it could hold a password.
func (v validator) endpoint(key string, endpoint *string) {
	base, err := url.Parse(*endpoint)
	if err != nil || base.Hostname() == "" || !slices.Contains([]string{"https", "http"}, base.Scheme) {
		v.fault(key, "is not a URL; write one such as https://graph.microsoft.com, or remove the key")
		return
	}
	if err := checkBase(base); err != nil {
		v.fault(key, "%s", err)
	}
	*endpoint = strings.TrimRight(*endpoint, "/")
}

func checkBase(base *url.URL) error {
	if base.User != nil || base.RawQuery != "" || base.ForceQuery || base.Fragment != "" {
		return errors.New("has a user, a query or a fragment; write scheme, host and path only")
	}
	if strings.HasSuffix(strings.TrimRight(base.Path, "/"), "/v1.0") {
		return errors.New("ends with /v1.0, which the relay adds itself; remove it")
	}
	if base.Scheme == "http" && !isLoopbackHost(base.Hostname()) {
		return errors.New("is http:// to another machine, so that tokens and mail would cross the network in plain text; write https://")
	}
	return nil
}

func isLoopbackHost(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.IsLoopback()
}
