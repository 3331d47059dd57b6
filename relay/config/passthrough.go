package config

import (
	"strings"

	"graphrelay/internal/mailaddr"
	"graphrelay/relay/smtpd"
)

// passThrough warns of a pass-through connection that no listener uses.
func (v validator) passThrough(key string, c *Connection) {
	for _, l := range v.cfg.Listeners {
		if l.PassThrough == c.Name && c.Name != "" {
			return
		}
	}
	v.warn(key, "is not used by any listener; name it in the pass_through of a listener, or remove it")
}

// passThroughListener checks a listener whose clients bring their own credential.
func (v validator) passThroughListener(key string, l Listener) {
	at := key + ".pass_through"
	if !v.has(at) {
		return
	}
	c := v.cfg.connection(l.PassThrough)
	switch {
	case c == nil || c.SignIn != SignInPassThrough:
		v.fault(at, "is %s, but no connection with sign_in: pass_through has that name; add one, or remove the key", quote(l.PassThrough))
	case l.Auth != smtpd.AuthRequired:
		v.fault(at, "is given, but auth is %s; set auth: required", l.Auth)
	case l.ClientCAFile != "":
		v.fault(at, "is given together with client_ca_file, but users with client certificates bring no credential for Microsoft 365; keep one of the two")
	}
}

// ParseApplication parses CLIENT-ID@TENANT. The results are in lower case.
func ParseApplication(name string) (clientID, tenant string, ok bool) {
	clientID, tenant, _ = strings.Cut(strings.ToLower(name), "@")
	domain, err := mailaddr.Domain(tenant)
	ok = isGUID(clientID) && (isGUID(tenant) || err == nil && domain == tenant && strings.Contains(tenant, "."))
	return clientID, tenant, ok
}
