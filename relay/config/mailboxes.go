package config

import (
	"encoding/base64"
	"fmt"
	"strings"
)

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
