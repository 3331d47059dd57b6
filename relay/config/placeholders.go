package config

import (
	"fmt"
	"net/url"
	"regexp"
)

// Values of config.example.yaml that have to be replaced.
const (
	exampleSecret   = "change-me"
	exampleTenant   = "11111111-1111-1111-1111-111111111111"
	exampleClient   = "22222222-2222-2222-2222-222222222222"
	exampleIdentity = "44444444-4444-4444-4444-444444444444"
	examplePassword = "$2a$10$A9C6M.RFx7AI6SV4e3AgRe78ndbdT/fHG1PjyvwS4FRa4hnaHwWo2"
)

// reference matches a reference to a variable, as in a shell, in Windows or in a template.
// References are not expanded in the configuration.
var reference = regexp.MustCompile(`^(?:\$\{[A-Za-z_][A-Za-z0-9_]*\}|%[A-Z_][A-Z0-9_]+%|\{\{.*\}\})$`)

// checkPlaceholders warns of values that were left as the example has them, and refuses
// secrets that are references.
func checkPlaceholders(cfg *Config, r *report) {
	checkSecret("mailboxes", cfg.Mailboxes.tokenKey(), r)
	checkSecret("admin.oidc", cfg.Admin.OIDC.clientSecret(), r)
	for i := range cfg.Connections {
		c, key := &cfg.Connections[i], fmt.Sprintf("connections[%d]", i)
		for _, s := range []secretSource{c.clientSecret(), c.certificatePassword(), c.proxyPassword()} {
			checkSecret(key, s, r)
		}
		if isLocal(c.Endpoints.Login) {
			continue // a simulator, which takes any
		}
		for _, value := range []struct{ name, is, example, remedy string }{
			{"tenant", c.Tenant, exampleTenant, "write the directory (tenant) ID of your own tenant"},
			{"client_id", c.ClientID, exampleClient, "write the application (client) ID of your own application"},
			{"managed_identity_client_id", c.ManagedIdentityClientID, exampleIdentity, "write the client ID of your own identity"},
		} {
			if value.is == value.example {
				r.warn(key+"."+value.name, "is still that of the example; %s", value.remedy)
			}
		}
	}
	for i, u := range cfg.Users {
		if u.PasswordHash.Reveal() == examplePassword {
			r.warn(fmt.Sprintf("users[%d].password_hash", i), "is still that of the example, whose password nobody knows; create one with: graphrelay hash-password")
		}
	}
}

// checkSecret checks a secret that was read, wherever it was read from.
func checkSecret(key string, s secretSource, r *report) {
	text := s.value.Reveal()
	at := key + "." + s.name
	for _, way := range []string{"_file", "_env", "_credential"} {
		if r.has(at + way) {
			at += way
			break
		}
	}
	switch {
	case text == exampleSecret:
		r.warn(at, "is still %s; write the secret itself, or better name a file that has it, as %s_file", exampleSecret, s.name)
	case reference.MatchString(text):
		r.fault(at, "is a reference to a variable, which nothing has replaced; name the environment variable in %[1]s_env instead, or a file in %[1]s_file", s.name)
	}
}

// isLocal reports whether a base URL is on this machine, like that of a simulator.
func isLocal(base string) bool {
	u, err := url.Parse(base)
	if err != nil {
		return false
	}
	return u.Hostname() == "" || isLoopbackHost(u.Hostname())
}
