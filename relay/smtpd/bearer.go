package smtpd

import (
	"bytes"
	"strings"

	"github.com/emersion/go-sasl"

	"graphrelay/relay/refusals"
)

// xoauth2 is Google's mechanism, which Microsoft adopted (see its page "Authenticate an
// IMAP, POP or SMTP connection using OAuth"). sasl.OAuthBearer is RFC 7628.
const xoauth2 = "XOAUTH2"

// bearerServer authenticates with a token of the client's. A refusal is sent as JSON in a
// challenge, and after the client's response to it, whatever that is, as an SMTP reply (RFC
// 7628 section 3.2.3). It replaces go-sasl's server, which panics on an empty response.
type bearerServer struct {
	session *session
	parse   func([]byte) (user, token string)
	failed  error
	done    bool
}

// bearerFailed satisfies both RFC 7628 section 3.2.2 and Google's page.
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
		return nil, true, b.session.refused("AUTH", errSASLSyntax, refusals.Refusal{})
	}
	if err := b.session.server.policy.AuthenticateToken(b.session.server.running, b.session.who, user, token); err != nil {
		b.failed = b.session.authFailed(user, err)
		return []byte(bearerFailed), false, nil
	}
	return nil, true, b.session.authenticated(user)
}

// parseOAuthBearer parses n,a=user,^Ahost=...^Aauth=Bearer token^A^A (RFC 7628 section 3.1).
func parseOAuthBearer(response []byte) (user, token string) {
	head, fields, _ := bytes.Cut(response, []byte{1})
	parts := strings.Split(string(head), ",")
	if len(parts) != 3 || parts[0] != "n" && parts[0] != "y" || !strings.HasPrefix(parts[1], "a=") {
		return "", ""
	}
	// RFC 5801 section 4 escapes commas and equals signs.
	user = strings.NewReplacer("=2C", ",", "=3D", "=").Replace(parts[1][len("a="):])
	return user, bearerToken(fields)
}

// parseXOAuth2 parses user=...^Aauth=Bearer token^A^A.
func parseXOAuth2(response []byte) (user, token string) {
	head, fields, _ := bytes.Cut(response, []byte{1})
	user, found := strings.CutPrefix(string(head), "user=")
	if !found {
		return "", ""
	}
	return user, bearerToken(fields)
}

const bearerAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="

// bearerToken returns the token among fields that end with ^A, or "" if there is none or if
// it has characters that RFC 6750 section 2.1 does not allow.
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
