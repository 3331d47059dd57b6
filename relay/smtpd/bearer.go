package smtpd

import (
	"bytes"
	"strings"

	"github.com/emersion/go-sasl"
)

// xoauth2 is Google's mechanism, which Microsoft took over (Authenticate an IMAP, POP or
// SMTP connection using OAuth); sasl.OAuthBearer is RFC 7628.
const xoauth2 = "XOAUTH2"

// bearerServer signs in with a token that the client brings. A refusal is first told in
// JSON, and then, whatever the client answers to that, as any other (RFC 7628 section
// 3.2.3). go-sasl's own server panics at an empty answer.
type bearerServer struct {
	session *session
	parse   func([]byte) (user, token string)
	failed  error
	done    bool
}

// bearerFailed is what RFC 7628 section 3.2.2 and Google's page have in common.
const bearerFailed = `{"status":"invalid_token","schemes":"bearer","scope":""}`

func (b *bearerServer) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case b.failed != nil:
		return nil, true, b.failed
	case b.done:
		return nil, true, sasl.ErrUnexpectedClientResponse
	case response == nil:
		return []byte{}, false, nil
	}
	b.done = true
	user, token := b.parse(response)
	if user == "" || token == "" {
		return nil, true, b.session.refused("AUTH", errSASLSyntax)
	}
	if err := b.session.server.policy.AuthenticateToken(b.session.server.running, b.session.who, user, token); err != nil {
		b.failed = b.session.authFailed(user, err)
		return []byte(bearerFailed), false, nil
	}
	return nil, true, b.session.authenticated(user)
}

// parseOAuthBearer reads n,a=user,^Ahost=...^Aauth=Bearer token^A^A (RFC 7628 section 3.1).
func parseOAuthBearer(response []byte) (user, token string) {
	head, fields, _ := bytes.Cut(response, []byte{1})
	parts := strings.Split(string(head), ",")
	if len(parts) != 3 || parts[0] != "n" && parts[0] != "y" || !strings.HasPrefix(parts[1], "a=") {
		return "", ""
	}
	// RFC 5801 section 4: a comma and an equals sign are written so.
	user = strings.NewReplacer("=2C", ",", "=3D", "=").Replace(parts[1][len("a="):])
	return user, bearerToken(fields)
}

// parseXOAuth2 reads user=...^Aauth=Bearer token^A^A.
func parseXOAuth2(response []byte) (user, token string) {
	head, fields, _ := bytes.Cut(response, []byte{1})
	user, found := strings.CutPrefix(string(head), "user=")
	if !found {
		return "", ""
	}
	return user, bearerToken(fields)
}

const bearerAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="

// bearerToken finds the token among fields that end with ^A. It has the characters of
// RFC 6750 section 2.1 alone.
func bearerToken(fields []byte) string {
	for field := range bytes.SplitSeq(fields, []byte{1}) {
		name, value, _ := strings.Cut(string(field), "=")
		scheme, token, _ := strings.Cut(value, " ")
		if !strings.EqualFold(name, "auth") || !strings.EqualFold(scheme, "bearer") {
			continue
		}
		if strings.Trim(token, bearerAlphabet) != "" {
			return ""
		}
		return token
	}
	return ""
}
