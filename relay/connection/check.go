//go:build ignore

package relay

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"graphrelay/graph"
	"graphrelay/relay/config"
)

// ConnectionCheck is what was seen of a connection when it was tried. What is wrong, and
// what only deserves a look, is said with what to do about it, a line each.
type ConnectionCheck struct {
	Connection string        `json:"connection"`
	SignIn     config.SignIn `json:"sign_in"`
	Good       bool          `json:"good"`
	TokenUntil time.Time     `json:"token_until,omitzero"` // when the token that was got ends
	Rights     []string      `json:"rights"`               // in the token; RBAC for Applications gives rights that are not
	Mailbox    string        `json:"mailbox,omitempty"`    // that was tried
	Readable   bool          `json:"mailbox_readable"`     // it exists, and the token is good for it
	Directory  string        `json:"directory,omitempty"`  // whether it can be asked whose an alias is: readable, denied or failed
	Connected  int           `json:"connected_mailboxes,omitempty"`
	Expires    time.Time     `json:"credential_expires,omitzero"`
	ClockAhead float64       `json:"clock_ahead_seconds"` // of Microsoft's, by the second
	Faults     []string      `json:"faults,omitempty"`
	Warnings   []string      `json:"warnings,omitempty"`

	key string // of the mailbox in Graph's paths, where the directory has told
}

func (c *ConnectionCheck) fault(err error, advice string) {
	if advice != "" {
		err = fmt.Errorf("%w; %s", err, advice)
	}
	c.Faults = append(c.Faults, err.Error())
}

// remedy is what to do where the error does not say it itself.
func remedy(err error) string {
	var e *graph.Error
	var proxy *graph.ProxyError
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &proxy):
		return ""
	case errors.As(err, &cert):
		return "if a gateway or proxy of your own opens the TLS on the way, name its authority in ca_file"
	case errors.As(err, &e) && e.Reason == graph.ReasonNetwork:
		return "check the network, the proxy, and cloud or endpoints"
	}
	return cmp.Or(graph.Advice(err), "check sign_in, tenant, cloud, client_id and the client secret or certificate (it may have expired) in the Entra admin center")
}

func (c *ConnectionCheck) warn(format string, args ...any) {
	c.Warnings = append(c.Warnings, fmt.Sprintf(format, args...))
}

// CheckOnline tries a connection: it signs in, and looks into a mailbox, but changes
// nothing. mailbox may be empty: then one is taken that the configuration names.
func CheckOnline(ctx context.Context, cfg *config.Config, c *config.Connection, mailbox string) ConnectionCheck {
	check := ConnectionCheck{Connection: c.Name, SignIn: c.SignIn, Mailbox: mailbox}
	if check.Mailbox == "" {
		check.Mailbox = sampleMailbox(cfg, c)
	}
	if _, _, end := c.Credential(); !end.IsZero() {
		check.Expires = end
	}
	switch c.SignIn {
	case config.SignInPassThrough:
		check.warn("its clients bring their own credentials, which are seen when they sign in")
	case config.SignInDelegated:
		check.owners(ctx, cfg, c)
	default:
		check.application(ctx, NewClient(cfg, *c, nil), c)
	}
	check.Good = len(check.Faults) == 0
	return check
}

// sampleMailbox is one of the connection that the configuration names, or "".
func sampleMailbox(cfg *config.Config, c *config.Connection) string {
	candidates := []string{cfg.Delivery.Postmaster}
	for _, s := range cfg.Senders {
		if s.Connection == "" || s.Connection == c.Name {
			candidates = append(candidates, s.Mailbox)
		}
	}
	for _, u := range cfg.Users {
		for _, p := range u.Senders {
			if text := p.String(); !strings.Contains(text, "*") {
				candidates = append(candidates, text)
			}
		}
	}
	i := slices.IndexFunc(candidates, func(address string) bool { return address != "" && cfg.ConnectionOf(address) == c })
	if i < 0 {
		return ""
	}
	return candidates[i]
}

// application tries one that signs in for every mailbox.
func (c *ConnectionCheck) application(ctx context.Context, client *graph.Client, of *config.Connection) {
	defer client.Close()
	token, err := client.Token(ctx, "")
	c.clock(client)
	if err != nil {
		c.fault(err, remedy(err))
		return
	}
	c.TokenUntil, c.Rights = token.Expiry, rights(token.AccessToken)
	needed := []string{"Mail.Send"}
	if of.MailReadWrite {
		needed = append(needed, "Mail.ReadWrite")
	}
	for _, need := range needed {
		if !slices.Contains(c.Rights, need) {
			c.warn("%s is not in the token: it has to come from RBAC for Applications; otherwise grant it to the application, with admin consent", need)
		}
	}
	if !of.MailReadWrite && slices.Contains(c.Rights, "Mail.ReadWrite") {
		c.warn("the application may write mailboxes, but mail_readwrite is false; remove that key, and larger messages can go, and lost answers be looked up")
	}
	c.lookUp(ctx, client, of)
	switch {
	case c.Mailbox == "":
		c.warn("no mailbox was tried, since the configuration names none; name one with --mailbox")
	case !of.MailReadWrite:
		c.warn("no mailbox was tried: with Mail.Send alone the relay may not look into one")
	default:
		c.probe(ctx, client)
	}
}

// clock compares the time: a sign-in with a certificate fails when it is five minutes off.
func (c *ConnectionCheck) clock(client *graph.Client) {
	ahead, _ := client.ClockSkew()
	if c.ClockAhead = ahead.Round(time.Second).Seconds(); ahead.Abs() > time.Minute {
		c.warn("the clock of this machine is %s ahead of Microsoft's (negative: behind); set it by NTP", ahead.Round(time.Second))
	}
}

// lookUp asks the directory whose the mailbox's address is.
func (c *ConnectionCheck) lookUp(ctx context.Context, client *graph.Client, of *config.Connection) {
	if of.Directory == config.DirectoryOff {
		return
	}
	address := cmp.Or(c.Mailbox, "postmaster@"+of.Domains[0])
	user, _, err := client.FindUser(ctx, address)
	var e *graph.Error
	switch {
	case err == nil && c.Mailbox != "":
		c.Directory, c.key = "readable", user.ID
	case err == nil || errors.Is(err, graph.ErrNoUser):
		c.Directory = "readable"
	case errors.As(err, &e) && e.Reason == graph.ReasonAccessDenied:
		c.Directory = "denied"
		c.warn("the directory may not be read: grant the application User.Read.All, with admin consent, so that aliases find their mailbox and unknown senders are refused; or set directory: off")
	default:
		c.Directory = "failed"
		c.warn("the directory cannot be asked: %v", err)
	}
}

// probe looks into the mailbox.
func (c *ConnectionCheck) probe(ctx context.Context, client *graph.Client) {
	_, err := client.Mailbox(cmp.Or(c.key, c.Mailbox)).Probe(ctx)
	var e *graph.Error
	switch {
	case err == nil:
		c.Readable = true
	case errors.As(err, &e) && e.Reason == graph.ReasonAccessDenied:
		c.fault(fmt.Errorf("mailbox %s: %w", c.Mailbox, err), "grant the application Mail.ReadWrite and Mail.Send with admin consent, or put the mailbox into the scope of its RBAC for Applications, which takes up to two hours")
	case errors.As(err, &e) && e.Reason == graph.ReasonMailbox:
		c.fault(fmt.Errorf("mailbox %s: %w", c.Mailbox, err), "check the address: it has to be the primary one of a mailbox in this tenant, with a licence")
	default:
		c.fault(fmt.Errorf("mailbox %s: %w", c.Mailbox, err), remedy(err))
	}
}

// owners tries a connection whose owners have signed in, with a mailbox of theirs.
func (c *ConnectionCheck) owners(ctx context.Context, cfg *config.Config, of *config.Connection) {
	store, err := openMailboxes(ctx, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		c.fault(err, "check data_dir and mailboxes.token_key")
		return
	}
	defer store.Close()
	all, err := store.List(ctx)
	if err != nil {
		c.fault(err, "")
		return
	}
	var usable []string
	for _, m := range all {
		switch {
		case m.Connection != of.Name:
		case m.Refused != "":
			c.warn("the owner of %s has to connect it again: %s", m.Address, m.Refused)
		default:
			usable = append(usable, m.Address)
		}
	}
	c.Connected = len(usable)
	if c.Connected == 0 {
		c.Mailbox = ""
		c.warn("no mailbox is connected: graphrelay connect MAILBOX, or the page /connect")
		return
	}
	if c.Mailbox = strings.ToLower(c.Mailbox); !slices.Contains(usable, c.Mailbox) {
		c.Mailbox = usable[0]
	}
	client := NewClient(cfg, *of, signIn(*of, store))
	defer client.Close()
	token, err := client.Token(ctx, c.Mailbox)
	c.clock(client)
	if err != nil {
		c.fault(err, remedy(err))
		return
	}
	c.TokenUntil, c.Rights = token.Expiry, rights(token.AccessToken)
	c.probe(ctx, client)
}

// rights reads the roles of an application's token, or the scopes of an owner's. They are
// shown, not relied on: what RBAC for Applications gives is not among them.
func rights(token string) []string {
	c := claimsOf(token)
	return append(append([]string{}, c.Roles...), strings.Fields(c.Scope)...)
}

// claims are those of a token for Graph, unverified, as far as they can be read: to a
// client a token is opaque.
type claims struct {
	Roles []string `json:"roles"`
	Scope string   `json:"scp"`
	UPN   string   `json:"upn"`
}

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
