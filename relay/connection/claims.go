package connection

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"strings"

	"graphrelay/internal/text"
)

// claims are what a token for Graph says of itself. They are not verified: to a
// client a token is opaque, and what is read here is shown, or narrows what a
// client may do, but grants nothing.
type claims struct {
	Roles []string `json:"roles"`
	Scope string   `json:"scp"`
	UPN   string   `json:"upn"`
	Name  string   `json:"preferred_username"` // of tokens that have no UPN (access-token-claims-reference)
}

// maxAccount is more than a user principal name may have.
const maxAccount = 200

// Account returns the name of the account that a token was issued for, or "" if the token
// does not tell. It is for people to read.
func Account(token string) string {
	c := claimsOf(token)
	return text.Shorten(text.OneLine(cmp.Or(c.UPN, c.Name)), maxAccount)
}

// isReadable reports whether the token shows its claims.
func isReadable(token string) bool {
	_, ok := readClaims(token)
	return ok
}

// claimsOf returns the zero claims for a token that cannot be read.
func claimsOf(token string) claims {
	c, _ := readClaims(token)
	return c
}

func readClaims(token string) (c claims, ok bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims{}, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &c) != nil {
		return claims{}, false
	}
	return c, true
}

// Rights returns the permissions that a token for Graph names, and whether it shows its claims.
// What RBAC for Applications gives is not among them.
func Rights(token string) (rights []string, readable bool) {
	return permissions(token), isReadable(token)
}

// permissions returns the roles of an application's token, or the scopes of an
// owner's. Those that RBAC for Applications gives are not among them.
func permissions(token string) []string {
	c := claimsOf(token)
	return append(append([]string{}, c.Roles...), strings.Fields(c.Scope)...)
}
