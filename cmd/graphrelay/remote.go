package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"graphrelay/relay/api"
)

// tokenVariable names the environment variable with the API token.
const tokenVariable = "GRAPHRELAY_TOKEN"

// remote is a relay on another machine.
type remote struct{ url, tokenFile string }

func (r *remote) addFlags(c *cobra.Command) {
	fs := c.PersistentFlags()
	fs.Var((*nonEmpty)(&r.url), "url", "the admin `address` of a relay elsewhere, such as https://relay.contoso.com:9025")
	fs.Var((*nonEmpty)(&r.tokenFile), "token-file", "the `file` with the API token for --url (default: the token is in $"+tokenVariable+")")
	_ = cobra.MarkFlagFilename(fs, "token-file")
}

// nonEmpty is the value of a flag. An empty one, such as that of a shell variable that is not set,
// would silently mean the relay of this machine.
type nonEmpty string

func (n *nonEmpty) Set(s string) error {
	if s == "" {
		return errors.New("give a value, or leave the flag out")
	}
	*n = nonEmpty(s)
	return nil
}

func (n *nonEmpty) String() string { return string(*n) }
func (n *nonEmpty) Type() string   { return "string" }

func (r *remote) given() bool { return r.url != "" || r.tokenFile != "" }

// client returns a client of the relay. Whoever listens on the network does not get to see the
// token, and no other server does.
func (r *remote) client() (api.Client, error) {
	u, err := url.Parse(r.url)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || strings.Trim(u.Path, "/") != "" || u.User != nil {
		return api.Client{}, usagef("--url has the value %q; write the admin address of a relay, such as https://relay.contoso.com:9025", r.url)
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return api.Client{}, usagef("--url is without TLS, so that others could read the token; write https://%s", u.Host)
	}
	token, err := r.token()
	if err != nil {
		return api.Client{}, err
	}
	return api.Client{
		HTTP:   &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		URL:    u.Scheme + "://" + u.Host,
		Header: http.Header{"Authorization": {"Bearer " + token}},
	}, nil
}

// token returns the API token. It is never on the command line, which other users can see.
func (r *remote) token() (string, error) {
	token := os.Getenv(tokenVariable)
	if r.tokenFile != "" {
		data, err := os.ReadFile(r.tokenFile)
		if err != nil {
			return "", fmt.Errorf("read the token: %w", err)
		}
		token = string(data)
	}
	token = strings.TrimSpace(token)
	if token == "" {
		return "", errors.New("there is no API token; give --token-file, or set $" + tokenVariable)
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", errors.New("the API token has characters that no token has; a file must have the token alone")
	}
	return token, nil
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
