package config

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// SignIn is how a connection gets its tokens.
type SignIn string

// The ways to sign in. With the first four, the application signs in for every mailbox.
const (
	SignInSecret      SignIn = "client_secret"
	SignInCertificate SignIn = "certificate"
	SignInWorkload    SignIn = "workload_identity" // with a token that the platform issues
	SignInManaged     SignIn = "managed_identity"  // of an Azure resource
	SignInDelegated   SignIn = "delegated"         // the owner of each mailbox signs in
	SignInPassThrough SignIn = "pass_through"      // SMTP clients bring their own credential
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *SignIn) UnmarshalText(text []byte) error {
	return oneOf(s, text, SignInSecret, SignInCertificate, SignInWorkload, SignInManaged, SignInDelegated, SignInPassThrough)
}

// Mailboxes configures the storage of connected mailboxes. After Load, TokenKey holds the
// keys, also those that come from a file, a credential or the environment.
type Mailboxes struct {
	TokenKey           Secret `yaml:"token_key"` // one key a line; the first one encrypts
	TokenKeyFile       string `yaml:"token_key_file"`
	TokenKeyEnv        string `yaml:"token_key_env"`
	TokenKeyCredential string `yaml:"token_key_credential"` // a systemd credential
}

func (m *Mailboxes) tokenKey() secretSource {
	return secretSource{name: "token_key", value: &m.TokenKey, file: m.TokenKeyFile, env: m.TokenKeyEnv, credential: m.TokenKeyCredential}
}

// Keys returns the keys, of 32 bytes each. The first one encrypts.
func (m Mailboxes) Keys() [][]byte {
	keys, _ := parseKeys(m.TokenKey.Reveal())
	return keys
}

const maxKeys = 100

// parseKeys parses the keys, one a line. Errors do not show them.
func parseKeys(text string) (keys [][]byte, err error) {
	const remedy = "create one with: openssl rand -base64 32"
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(key) != 32 {
			return nil, fmt.Errorf("has a key that is not 32 bytes in base64, number %d; %s", len(keys)+1, remedy)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 || len(keys) > maxKeys {
		return nil, fmt.Errorf("has %d keys instead of 1 to %d; %s", len(keys), maxKeys, remedy)
	}
	return keys, nil
}

// readTokenKeys reads and checks the keys.
func readTokenKeys(m *Mailboxes, r *report) {
	readSecret(m.tokenKey(), "mailboxes", r)
	if m.TokenKey.Reveal() == "" {
		return // none is needed, or a fault was reported
	}
	if _, err := parseKeys(m.TokenKey.Reveal()); err != nil {
		r.fault("mailboxes.token_key", "%s", err)
	}
}

// credentialPath returns the file in which systemd puts a credential of the service.
func credentialPath(name string) string {
	return filepath.Join(os.Getenv("CREDENTIALS_DIRECTORY"), name)
}

// signIn checks the keys of a connection that depend on its way to sign in.
func (v validator) signIn(key string, c *Connection) {
	v.signInKeys(key, c.SignIn)
	switch c.SignIn {
	case SignInSecret:
		v.secret(key, c.clientSecret())
	case SignInCertificate:
		v.certificate(key, c)
	case SignInWorkload:
		v.workload(key, c)
	case SignInDelegated:
		v.optionalSecret(key, c.clientSecret()) // a public client has none
		if !c.MailReadWrite {
			v.fault(key+".mail_readwrite", "is false, but with sign_in: delegated the relay needs this permission to verify that an owner may use the mailbox; remove the key")
		}
	case SignInManaged:
		if at := key + ".managed_identity_client_id"; v.has(at) && !isGUID(c.ManagedIdentityClientID) {
			v.fault(at, "is not a client ID such as 22222222-2222-2222-2222-222222222222; write that of the user-assigned identity, or remove the key for the system-assigned one")
		}
	case SignInPassThrough:
		v.passThrough(key, c)
	}
}

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
	case l.Auth != AuthRequired:
		v.fault(at, "is given, but auth is %s; set auth: required", l.Auth)
	case l.ClientCAFile != "":
		v.fault(at, "is given together with client_ca_file, but users with client certificates bring no credential for Microsoft 365; keep one of the two")
	}
}

// ParseApplication parses CLIENT-ID@TENANT. The results are in lower case.
func ParseApplication(name string) (clientID, tenant string, ok bool) {
	clientID, tenant, _ = strings.Cut(strings.ToLower(name), "@")
	domain, err := canonicalDomain(tenant)
	ok = isGUID(clientID) && (isGUID(tenant) || err == nil && domain == tenant && strings.Contains(tenant, "."))
	return clientID, tenant, ok
}

// Delegated reports whether the owners of mailboxes sign in to any of the connections.
func (c *Config) Delegated() bool {
	for i := range c.Connections {
		if c.Connections[i].SignIn == SignInDelegated {
			return true
		}
	}
	return false
}

// mailboxes checks that there is a key if tokens are stored.
func (v validator) mailboxes() {
	if v.cfg.Delegated() || v.has("mailboxes") {
		v.secret("mailboxes", v.cfg.Mailboxes.tokenKey())
	}
	if name := v.cfg.Mailboxes.TokenKeyCredential; strings.ContainsAny(name, `/\`) || name == ".." {
		v.fault("mailboxes.token_key_credential", "is not the name of a systemd credential; write the name that LoadCredential= gives it")
	}
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
