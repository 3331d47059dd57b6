package connection

import (
	"encoding/base64"
	"encoding/json"
	"strings"
)

// claims are what a token for Graph says of itself. They are not verified: to a
// client a token is opaque, and what is read here is shown, or narrows what a
// client may do, but grants nothing.
type claims struct {
	Roles []string `json:"roles"`
	Scope string   `json:"scp"`
	UPN   string   `json:"upn"`
}

// claimsOf returns the zero claims for a token that cannot be read.
func claimsOf(token string) (c claims) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &c) != nil {
		return claims{}
	}
	return c
}

// permissions returns the roles of an application's token, or the scopes of an
// owner's. Those that RBAC for Applications gives are not among them.
func permissions(token string) []string {
	c := claimsOf(token)
	return append(append([]string{}, c.Roles...), strings.Fields(c.Scope)...)
}
