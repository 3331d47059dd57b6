package config

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// SignIn is the way in which a connection gets its tokens.
type SignIn string

// The ways to sign in.
const (
	SignInSecret      SignIn = "client_secret"     // the application, for every mailbox
	SignInCertificate SignIn = "certificate"       // the same, with a certificate
	SignInWorkload    SignIn = "workload_identity" // the same, with a token that its platform issues
	SignInManaged     SignIn = "managed_identity"  // the same, as what Azure vouches for
	SignInDelegated   SignIn = "delegated"         // the owner of each mailbox
	// SignInPassThrough: clients bring their credential to listeners with pass_through.
	SignInPassThrough SignIn = "pass_through"
)

// UnmarshalText reads a way to sign in.
func (s *SignIn) UnmarshalText(text []byte) error {
	return oneOf(s, text, SignInSecret, SignInCertificate, SignInWorkload, SignInManaged, SignInDelegated, SignInPassThrough)
}

// Mailboxes is how connected mailboxes are kept. After Load, TokenKey holds the keys,
// wherever they came from.
type Mailboxes struct {
	TokenKey           Secret `yaml:"token_key"` // one key a line; the first is in use
	TokenKeyFile       string `yaml:"token_key_file"`
	TokenKeyEnv        string `yaml:"token_key_env"`
	TokenKeyCredential string `yaml:"token_key_credential"` // of systemd
}

func (m *Mailboxes) tokenKey() secretSource {
	return secretSource{name: "token_key", value: &m.TokenKey, file: m.TokenKeyFile, env: m.TokenKeyEnv, credential: m.TokenKeyCredential}
}

// Keys are the keys of 32 bytes each, the one in use first.
func (m Mailboxes) Keys() [][]byte {
	keys, _ := parseKeys(m.TokenKey.Reveal())
	return keys
}

const maxKeys = 100

// parseKeys reads a key a line. An error shows nothing of one.
func parseKeys(text string) (keys [][]byte, err error) {
	const remedy = "make one with: openssl rand -base64 32"
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(key) != 32 {
			return nil, fmt.Errorf("has no 32 bytes in base64 as key number %d; %s", len(keys)+1, remedy)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 || len(keys) > maxKeys {
		return nil, fmt.Errorf("has %d keys, not one to %d; %s", len(keys), maxKeys, remedy)
	}
	return keys, nil
}

// readTokenKeys reads the keys from where they are.
func readTokenKeys(m *Mailboxes, r *report) {
	readSecret(m.tokenKey(), "mailboxes", r)
	if m.TokenKey.Reveal() == "" {
		return // none is needed, or it was reported
	}
	if _, err := parseKeys(m.TokenKey.Reveal()); err != nil {
		r.fault("mailboxes.token_key", "%s", err)
	}
}

// credentialPath is where systemd puts a credential of the service.
func credentialPath(name string) string {
	return filepath.Join(os.Getenv("CREDENTIALS_DIRECTORY"), name)
}

// signIn checks that the keys of the connection fit its way to sign in.
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
			v.fault(key+".mail_readwrite", "is false, but with sign_in: delegated the relay sees by it that an owner may use a mailbox; remove the key")
		}
	case SignInManaged:
		if at := key + ".managed_identity_client_id"; v.has(at) && !isGUID(c.ManagedIdentityClientID) {
			v.fault(at, "is no client ID such as 22222222-2222-2222-2222-222222222222; write that of the user-assigned identity, or remove the key for the system-assigned one")
		}
	case SignInPassThrough:
		v.passThrough(key, c)
	}
}

// passThrough wants a listener for a connection whose clients bring their credential.
func (v validator) passThrough(key string, c *Connection) {
	for _, l := range v.cfg.Listeners {
		if l.PassThrough == c.Name && c.Name != "" {
			return
		}
	}
	v.warn(key, "is used by no listener; name it in pass_through of one, or remove it")
}

// passThroughListener checks a listener whose clients bring their credential.
func (v validator) passThroughListener(key string, l Listener) {
	at := key + ".pass_through"
	if !v.has(at) {
		return
	}
	c := v.cfg.connection(l.PassThrough)
	switch {
	case c == nil || c.SignIn != SignInPassThrough:
		v.fault(at, "is %s, which no connection with sign_in: pass_through is called; add one, or remove the key", quote(l.PassThrough))
	case l.Auth != AuthRequired:
		v.fault(at, "is given, but auth is %s; set auth: required", l.Auth)
	case l.ClientCAFile != "":
		v.fault(at, "is given beside client_ca_file, whose users bring no credential for Microsoft 365; keep one of the two")
	}
}

// ParseApplication reads CLIENT-ID@TENANT, in lower case.
func ParseApplication(name string) (clientID, tenant string, ok bool) {
	clientID, tenant, _ = strings.Cut(strings.ToLower(name), "@")
	domain, err := canonicalDomain(tenant)
	ok = isGUID(clientID) && (isGUID(tenant) || err == nil && domain == tenant && strings.Contains(tenant, "."))
	return clientID, tenant, ok
}

// Delegated says whether owners of mailboxes sign in for any connection.
func (c *Config) Delegated() bool {
	for i := range c.Connections {
		if c.Connections[i].SignIn == SignInDelegated {
			return true
		}
	}
	return false
}

// mailboxes wants a key where tokens are kept.
func (v validator) mailboxes() {
	if v.cfg.Delegated() || v.has("mailboxes") {
		v.secret("mailboxes", v.cfg.Mailboxes.tokenKey())
	}
	if name := v.cfg.Mailboxes.TokenKeyCredential; strings.ContainsAny(name, `/\`) || name == ".." {
		v.fault("mailboxes.token_key_credential", "is no name of a systemd credential; write the name that LoadCredential= gives it")
	}
}

// adminURL checks the address at which browsers reach the admin pages.
func (v validator) adminURL() {
	if !v.has("admin.url") {
		return
	}
	v.endpoint("admin.url", &v.cfg.Admin.URL)
}

// BaseURL is where browsers reach the admin address. Entra leads back to localhost
// without TLS, to no other host ("Redirect URI best practices and limitations").
func (a Admin) BaseURL() string {
	if a.URL != "" {
		return a.URL
	}
	return fmt.Sprintf("http://localhost:%s", a.Address[strings.LastIndexByte(a.Address, ':')+1:])
}
