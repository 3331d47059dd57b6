package config

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Role is what an operator may do: see, act on messages, or change what concerns the whole relay.
type Role string

// The values of Role.
const (
	RoleViewer   Role = "viewer"
	RoleOperator Role = "operator"
	RoleAdmin    Role = "admin"
)

// Values implements enumeration.
func (Role) Values() []string { return values(RoleViewer, RoleOperator, RoleAdmin) }

// Operator is a person who signs in to the console with a password. After Load, PasswordHash has
// the hash, also that of a file or of the environment.
type Operator struct {
	Name             string `yaml:"name"`
	PasswordHash     Secret `yaml:"password_hash"` // bcrypt
	PasswordHashFile string `yaml:"password_hash_file"`
	PasswordHashEnv  string `yaml:"password_hash_env"`
	Role             Role   `yaml:"role"`
}

func (o *Operator) setDefaults() { o.Role = RoleViewer }

func (o *Operator) passwordHash() secretSource {
	return secretSource{name: "password_hash", value: &o.PasswordHash, file: o.PasswordHashFile, env: o.PasswordHashEnv}
}

// Token is the right of a program to use the API. After Load, TokenHash has the hash, also that of
// a file or of the environment.
type Token struct {
	Name          string `yaml:"name"`
	TokenHash     Secret `yaml:"token_hash"` // TokenHashPrefix and SHA-256 in hex
	TokenHashFile string `yaml:"token_hash_file"`
	TokenHashEnv  string `yaml:"token_hash_env"`
	Role          Role   `yaml:"role"`
}

func (t *Token) setDefaults() { t.Role = RoleViewer }

func (t *Token) tokenHash() secretSource {
	return secretSource{name: "token_hash", value: &t.TokenHash, file: t.TokenHashFile, env: t.TokenHashEnv}
}

// TokenHashPrefix begins the hash of a token. Tokens are random and long, so that their hash needs
// neither salt nor time.
const TokenHashPrefix = "sha256:"

// OIDC has operators sign in with OpenID Connect, such as that of Entra. The zero value is none.
// After Load, ClientSecret has the secret, also that of a file or of the environment.
type OIDC struct {
	Issuer           string `yaml:"issuer"`
	ClientID         string `yaml:"client_id"`
	ClientSecret     Secret `yaml:"client_secret"`
	ClientSecretFile string `yaml:"client_secret_file"`
	ClientSecretEnv  string `yaml:"client_secret_env"`
	// Roles are the app roles and groups, as the claims "roles" and "groups" name them, by what
	// they may do here.
	Roles OIDCRoles `yaml:"roles"`
}

// OIDCRoles are the app roles and groups with each role.
type OIDCRoles struct {
	Viewer   []string `yaml:"viewer"`
	Operator []string `yaml:"operator"`
	Admin    []string `yaml:"admin"`
}

// Enabled reports whether operators sign in with OpenID Connect.
func (o OIDC) Enabled() bool { return o.Issuer != "" }

func (o *OIDC) clientSecret() secretSource {
	return secretSource{name: "client_secret", value: &o.ClientSecret, file: o.ClientSecretFile, env: o.ClientSecretEnv}
}

// maxOperators bounds how many operators and tokens there are: whoever has more has an identity
// provider.
const maxOperators = 1000

const operatorNameHelp = "write a name of at most 64 letters, digits, dots, dashes, underscores and @"

// operatorName reports whether a name can be shown in an audit as who did something.
func operatorName(name string) bool {
	return len(name) <= 64 && plainName(strings.ReplaceAll(name, "@", "."))
}

func (v validator) operators() {
	names := v.names()
	if len(v.cfg.Admin.Operators) > maxOperators {
		v.fault("admin.operators", "has %d entries; list at most %d, or let people sign in with admin.oidc", len(v.cfg.Admin.Operators), maxOperators)
	}
	for i := range v.cfg.Admin.Operators {
		o, key := &v.cfg.Admin.Operators[i], fmt.Sprintf("admin.operators[%d]", i)
		names.check(key+".name", o.Name, operatorName, operatorNameHelp)
		v.role(key)
		v.secret(key, o.passwordHash())
		if v.has(key+".password_hash") && o.PasswordHash.Reveal() != "" {
			v.passwordHash(key+".password_hash", o.PasswordHash.Reveal())
		}
	}
}

// role checks that a role is given: who is let in should be a decision.
func (v validator) role(key string) {
	if !v.has(key + ".role") {
		v.fault(key+".role", "is missing; write viewer, operator or admin")
	}
}

func (v validator) tokens() {
	names := v.names()
	if len(v.cfg.Admin.Tokens) > maxOperators {
		v.fault("admin.tokens", "has %d entries; list at most %d", len(v.cfg.Admin.Tokens), maxOperators)
	}
	for i := range v.cfg.Admin.Tokens {
		t, key := &v.cfg.Admin.Tokens[i], fmt.Sprintf("admin.tokens[%d]", i)
		names.check(key+".name", t.Name, operatorName, operatorNameHelp)
		v.role(key)
		v.secret(key, t.tokenHash())
		if v.has(key+".token_hash") && t.TokenHash.Reveal() != "" {
			v.tokenHash(key+".token_hash", t.TokenHash.Reveal())
		}
	}
}

func (v validator) tokenHash(key, hash string) {
	digits, ok := strings.CutPrefix(hash, TokenHashPrefix)
	if sum, err := hex.DecodeString(digits); !ok || err != nil || len(sum) != 32 {
		v.fault(key, "is not the hash of a token; create a token and its hash with: graphrelay hash-password --token")
	}
}

func (v validator) oidc() {
	if !v.has("admin.oidc") {
		return
	}
	o := &v.cfg.Admin.OIDC
	v.issuer(o.Issuer)
	v.require("admin.oidc.client_id", o.ClientID, "write the application (client) ID of the application that you registered for the console")
	v.secret("admin.oidc", o.clientSecret())
	seen := map[string]string{}
	for _, r := range []struct {
		role  Role
		names []string
	}{{RoleViewer, o.Roles.Viewer}, {RoleOperator, o.Roles.Operator}, {RoleAdmin, o.Roles.Admin}} {
		for i, name := range r.names {
			at := fmt.Sprintf("admin.oidc.roles.%s[%d]", r.role, i)
			switch first := seen[name]; {
			case name == "":
				v.fault(at, "is empty; write the value of an app role, or the object ID of a group")
			case first != "":
				v.fault(at, "is %s, which %s has already; keep one of the two", quote(name), first)
			}
			seen[name] = at
		}
	}
	if len(seen) == 0 {
		v.fault("admin.oidc.roles", "names no app role and no group, so nobody could sign in; list those that may, such as admin: [Relay.Admin]")
	}
}

// issuer checks the identity provider's URL. It is compared letter by letter with what the provider
// says, so it is not changed.
func (v validator) issuer(issuer string) {
	const key = "admin.oidc.issuer"
	if !v.require(key, issuer, "write the URL of the identity provider, such as https://login.microsoftonline.com/TENANT-ID/v2.0") {
		return
	}
	base, err := url.Parse(issuer)
	if err != nil || base.Hostname() == "" || !slices.Contains([]string{"https", "http"}, base.Scheme) {
		v.fault(key, "is not a URL; write one such as https://login.microsoftonline.com/TENANT-ID/v2.0")
		return
	}
	if err := checkBase(base); err != nil {
		v.fault(key, "%s", err)
		return
	}
	for _, many := range []string{"common", "organizations", "consumers"} {
		if strings.Contains(base.Path+"/", "/"+many+"/") {
			v.fault(key, "is that of every tenant; write the ID of your own tenant in the place of %s", many)
		}
	}
}

// readOperators reads the secrets of the section admin, and checks those that files have.
func readOperators(cfg *Config, r *report) {
	v := validator{r, cfg}
	for i := range cfg.Admin.Operators {
		o, key := &cfg.Admin.Operators[i], fmt.Sprintf("admin.operators[%d]", i)
		inline := o.PasswordHash.Reveal() != ""
		readSecret(o.passwordHash(), key, r)
		if hash := o.PasswordHash.Reveal(); !inline && hash != "" {
			v.passwordHash(v.sourceOf(key, "password_hash"), hash)
		}
	}
	for i := range cfg.Admin.Tokens {
		t, key := &cfg.Admin.Tokens[i], fmt.Sprintf("admin.tokens[%d]", i)
		inline := t.TokenHash.Reveal() != ""
		readSecret(t.tokenHash(), key, r)
		if hash := t.TokenHash.Reveal(); !inline && hash != "" {
			v.tokenHash(v.sourceOf(key, "token_hash"), hash)
		}
	}
	readSecret(cfg.Admin.OIDC.clientSecret(), "admin.oidc", r)
}

// sourceOf returns the key that names where a secret comes from.
func (v validator) sourceOf(key, name string) string {
	return v.givenKey(key+"."+name+"_file", key+"."+name+"_env")
}
