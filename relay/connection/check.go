package connection

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"graphrelay/graph"
	"graphrelay/graph/entra"
	"graphrelay/internal/mailaddr"
	"graphrelay/relay/config"
	"graphrelay/relay/credential"
)

// Check is the result of trying a connection. Each fault and each warning is one
// line, with what to do about it.
type Check struct {
	Connection string        `json:"connection"`
	SignIn     config.SignIn `json:"sign_in"`
	Good       bool          `json:"good"`
	TokenUntil time.Time     `json:"token_until,omitzero"` // when the token that was got ends
	Rights     []string      `json:"rights"`               // in the token; RBAC for Applications gives rights that are not
	Mailbox    string        `json:"mailbox,omitempty"`    // that was tried
	Account    string        `json:"account,omitempty"`    // that connected the mailbox, if the token tells
	Readable   bool          `json:"mailbox_readable"`     // it exists, and the token is good for it
	Directory  string        `json:"directory,omitempty"`  // whether it can be asked whose an alias is: readable, denied or failed
	Connected  int           `json:"connected_mailboxes,omitempty"`
	Expires    time.Time     `json:"credential_expires,omitzero"`
	// Certificates are those with which the connection can sign in.
	Certificates []credential.Status `json:"certificates,omitempty"`
	ClockAhead   float64             `json:"clock_ahead_seconds"` // of Microsoft's, by the second
	Faults       []string            `json:"faults,omitempty"`
	Warnings     []string            `json:"warnings,omitempty"`
	NotTried     []string            `json:"not_tried,omitempty"` // what this check cannot know

	key string // of the mailbox in Graph's paths, where the directory has told
}

func (c *Check) fault(err error, advice string) {
	if advice != "" {
		err = fmt.Errorf("%w; %s", err, advice)
	}
	c.Faults = append(c.Faults, err.Error())
}

// remedy returns what to do about an error that does not say so itself.
func remedy(err error) string {
	var proxy *graph.ProxyError
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &proxy):
		return ""
	case errors.As(err, &cert):
		return "if a gateway or proxy of your own opens the TLS on the way, name its authority in ca_file"
	case graph.Unreachable(err):
		return "check the network, the proxy, and cloud or endpoints"
	}
	if advice := graph.Advice(err); advice != "" {
		return advice
	}
	switch {
	case graph.Busy(err):
		return "Microsoft has a fault or is busy; try again in a few minutes"
	case graph.CredentialRefused(err):
		return "check sign_in, tenant, cloud, client_id and the client secret or certificate (it may have expired) in the Entra admin center"
	}
	return "this refusal is not known; look its code up in Microsoft's documentation"
}

func (c *Check) warn(format string, args ...any) {
	c.Warnings = append(c.Warnings, fmt.Sprintf(format, args...))
}

// Owners are the connected mailboxes of one delegated connection.
type Owners struct {
	Usable  []string          // mailboxes whose owners have signed in
	Refused map[string]string // mailboxes that have to be connected again, and why
	Tokens  entra.RefreshTokens
}

// Checker tries the connections of a configuration. It changes nothing.
type Checker struct {
	Config *config.Config
	// Owners returns the connected mailboxes of a delegated connection.
	Owners func(ctx context.Context, connection string) (Owners, error)
}

// Check signs in to a connection and looks into a mailbox. mailbox may be empty:
// then Check chooses one that the configuration names.
func (k Checker) Check(ctx context.Context, c *config.Connection, mailbox string) Check {
	check := Check{Connection: c.Name, SignIn: c.SignIn, Mailbox: mailbox}
	if check.Mailbox == "" {
		check.Mailbox = sampleMailbox(k.Config, c)
	}
	if _, _, end := c.Credential(); !end.IsZero() {
		check.Expires = end
	}
	check.Certificates = Certificates(c)
	switch c.SignIn {
	case config.SignInPassThrough:
		check.warn("its clients bring their own credentials, which are seen when they sign in")
	case config.SignInDelegated:
		check.delegated(ctx, k, c)
	default:
		check.application(ctx, NewClient(k.Config, *c, SignIn(*c, nil), nil), c, k.Config.WatchesReports(c))
		check.tryStandby(ctx, k.Config, c)
	}
	check.Good = len(check.Faults) == 0
	return check
}

// sampleMailbox returns a mailbox of the connection that the configuration names, or "".
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

// application tries a connection that signs in as an application, for any mailbox. watches
// means that it has to read mailboxes for watch_reports.
func (c *Check) application(ctx context.Context, client *graph.Client, of *config.Connection, watches bool) {
	defer client.Close()
	token, err := client.Token(ctx, "")
	c.clock(client)
	if err != nil {
		c.fault(err, remedy(err))
		return
	}
	c.TokenUntil, c.Rights = token.Expiry, permissions(token.AccessToken)
	if !of.MailReadWrite && slices.Contains(c.Rights, "Mail.ReadWrite") {
		c.warn("the application may write mailboxes, but mail_readwrite is false; remove that key, and larger messages can go, and lost answers be looked up")
	}
	c.lookUp(ctx, client, of)
	switch {
	case c.Mailbox == "":
		c.warn("no mailbox was tried, since the configuration names none; name one with --mailbox")
	case !of.MailReadWrite && !watches:
		c.warn("no mailbox was tried: with Mail.Send alone the relay may not look into one")
	default:
		c.probe(ctx, client, of)
	}
	c.judgeRights(of, watches, isReadable(token.AccessToken))
	c.neverTried()
}

// judgeRights looks for the permissions that the application needs. Those that RBAC for
// Applications gives are not in the token. They cannot be the reason why a mailbox can be
// read if the token has a permission for that: then it is unlikely that RBAC is in use.
func (c *Check) judgeRights(of *config.Connection, watches, readable bool) {
	needed := []string{"Mail.Send"}
	switch {
	case of.MailReadWrite:
		needed = append(needed, "Mail.ReadWrite")
	case watches && !slices.Contains(c.Rights, "Mail.ReadWrite"):
		needed = append(needed, "Mail.Read")
	}
	needed = slices.DeleteFunc(needed, func(need string) bool { return slices.Contains(c.Rights, need) })
	missing := strings.Join(needed, " and ")
	mail := slices.DeleteFunc(slices.Clone(c.Rights), func(right string) bool { return !strings.HasPrefix(right, "Mail.") })
	mayRead := slices.ContainsFunc(mail, func(right string) bool { return strings.HasPrefix(right, "Mail.Read") })
	test := graph.TestAuthorization(of.ClientID, cmp.Or(c.Mailbox, "MAILBOX"))
	switch {
	case missing == "":
	case !readable:
		c.NotTried = append(c.NotTried, "whether the application has "+missing+": its token cannot be read")
	case len(mail) > 0 && (mayRead || !c.Readable):
		c.fault(fmt.Errorf("the token has %s, but not %s", strings.Join(mail, " and "), missing), "grant "+missing+" to the application, with admin consent; if RBAC for Applications is to give it, remove "+strings.Join(mail, " and ")+" from the application in Entra, which holds for all mailboxes")
	case c.Readable:
		c.NotTried = append(c.NotTried, "whether the application has "+missing+", which is not in the token: RBAC for Applications lets it read the mailbox, and may give that too; Exchange shows it with "+test)
	default:
		for _, need := range needed {
			c.warn("%s is not in the token: it has to come from RBAC for Applications; otherwise grant it to the application, with admin consent; Exchange shows what it gives with %s", need, test)
		}
	}
}

// neverTried says what is seen only when mail is sent.
func (c *Check) neverTried() {
	c.NotTried = append(c.NotTried, "nothing was written or sent: whether Exchange sends mail of this mailbox, of which size, and under which other addresses, is seen only when mail is sent")
}

// clock compares this machine's time with Microsoft's: a sign-in with a certificate
// fails when they differ by five minutes.
func (c *Check) clock(client *graph.Client) {
	ahead, _ := client.ClockSkew()
	if c.ClockAhead = ahead.Round(time.Second).Seconds(); ahead.Abs() > time.Minute {
		c.warn("the clock of this machine is %s ahead of Microsoft's (negative: behind); set it by NTP", ahead.Round(time.Second))
	}
}

// lookUp asks the directory for the owner of the mailbox's address.
func (c *Check) lookUp(ctx context.Context, client *graph.Client, of *config.Connection) {
	if of.Directory == config.DirectoryOff {
		return
	}
	address := cmp.Or(c.Mailbox, "postmaster@"+of.Domains[0])
	user, _, err := client.FindUser(ctx, address)
	switch {
	case err == nil && c.Mailbox != "":
		c.Directory, c.key = "readable", user.ID
	case err == nil || errors.Is(err, graph.ErrNoUser):
		c.Directory = "readable"
	case graph.AccessDenied(err):
		c.Directory = "denied"
		c.warn("%v; %s", err, graph.DirectoryAdvice(err))
	default:
		c.Directory = "failed"
		c.warn("the directory cannot be asked: %v", err)
	}
}

// probe looks into the mailbox.
func (c *Check) probe(ctx context.Context, client *graph.Client, of *config.Connection) {
	_, err := client.Mailbox(cmp.Or(c.key, c.Mailbox)).Probe(ctx)
	if err == nil {
		c.Readable = true
		return
	}
	advice := graph.Advice(err)
	switch {
	case advice != "":
	case graph.AccessDenied(err) && of.SignIn == config.SignInDelegated:
		advice = "see that the account " + cmp.Or(c.Account, "with which it was connected") + " has Full Access to it, and connect it again: graphrelay connect " + c.Mailbox + ", with --shared if it is a shared mailbox"
	case graph.AccessDenied(err) && !of.MailReadWrite:
		advice = "watch_reports needs Mail.Read for this mailbox: grant it to the application with admin consent, or by RBAC for Applications; Exchange shows whether it has it with " +
			graph.TestAuthorization(of.ClientID, c.Mailbox)
	case graph.AccessDenied(err):
		advice = "grant the application Mail.ReadWrite and Mail.Send with admin consent, or put the mailbox into the scope of its RBAC for Applications; Graph knows a change after 30 minutes in which nothing asks, or after up to two hours, and Exchange shows it at once with " +
			graph.TestAuthorization(of.ClientID, c.Mailbox)
	case graph.MailboxUnknown(err):
		advice = "check the address: it has to be the primary one of a mailbox in this tenant, with a licence"
	default:
		advice = remedy(err)
	}
	c.fault(fmt.Errorf("mailbox %s: %w", c.Mailbox, err), advice)
}

// delegated tries a connection whose mailboxes' owners sign in, with one of those.
func (c *Check) delegated(ctx context.Context, k Checker, of *config.Connection) {
	owners, err := k.Owners(ctx, of.Name)
	if err != nil {
		c.fault(err, "check data_dir and mailboxes.token_key")
		return
	}
	for _, address := range slices.Sorted(maps.Keys(owners.Refused)) {
		c.warn("the owner of %s has to connect it again: %s", address, owners.Refused[address])
	}
	c.Connected = len(owners.Usable)
	if c.Connected == 0 {
		c.Mailbox = ""
		c.warn("no mailbox is connected: graphrelay connect MAILBOX, or the page /connect")
		return
	}
	if c.Mailbox = mailaddr.Canonical(c.Mailbox); !slices.Contains(owners.Usable, c.Mailbox) {
		c.Mailbox = owners.Usable[0]
	}
	client := NewClient(k.Config, *of, SignIn(*of, owners.Tokens), nil)
	defer client.Close()
	token, err := client.Token(ctx, c.Mailbox)
	c.clock(client)
	if err != nil {
		c.fault(err, remedy(err))
		return
	}
	c.TokenUntil, c.Rights = token.Expiry, permissions(token.AccessToken)
	c.Account = Account(token.AccessToken)
	c.probe(ctx, client, of)
	if !isReadable(token.AccessToken) {
		c.NotTried = append(c.NotTried, "which permissions the sign-in brought: its token cannot be read")
	} else if !slices.Contains(c.Rights, "Mail.Send") && !slices.Contains(c.Rights, "Mail.Send.Shared") {
		c.fault(fmt.Errorf("the token for %s has no Mail.Send", c.Mailbox), "add it to the delegated permissions of the application, and connect the mailbox again")
	}
	c.neverTried()
}
