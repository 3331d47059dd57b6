package connection

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
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
	Connection string         `json:"connection" doc:"The name of the connection."`
	SignIn     config.SignIn  `json:"sign_in" doc:"How it signs in."`
	Good       bool           `json:"good" doc:"Whether no fault was found."`
	TokenUntil time.Time      `json:"token_until,omitzero" doc:"When the token that was got ends."`
	Rights     []string       `json:"rights" doc:"The rights in the token. RBAC for Applications gives rights that are not in it."`
	Mailbox    string         `json:"mailbox,omitempty" doc:"The first mailbox that was tried."`
	Account    string         `json:"account,omitempty" doc:"The account that connected the mailbox, if the token tells."`
	Readable   bool           `json:"mailbox_readable" doc:"Whether all mailboxes that were tried exist, and the token is good for them."`
	Mailboxes  []TriedMailbox `json:"mailboxes,omitempty" doc:"The mailboxes that were tried."`
	UploadHost string         `json:"upload_host,omitempty" doc:"Whether the host for uploads was reached: reached, not reached, or empty if that is not known."`
	Directory  string         `json:"directory,omitempty" doc:"Whether the directory can be asked: readable, denied or failed."`
	Connected  int            `json:"connected_mailboxes,omitempty" doc:"How many mailboxes are connected."`
	Expires    time.Time      `json:"credential_expires,omitzero" doc:"When the credential expires."`
	// Certificates are those with which the connection can sign in.
	Certificates []credential.Status `json:"certificates,omitempty" doc:"The certificates with which the connection can sign in."`
	ClockAhead   float64             `json:"clock_ahead_seconds" doc:"By how much the clock of this machine is ahead of that of Microsoft."`
	Faults       []string            `json:"faults,omitempty" doc:"What does not work, with what to do."`
	Warnings     []string            `json:"warnings,omitempty" doc:"What should be looked at."`
	NotTried     []string            `json:"not_tried,omitempty" doc:"What the check cannot know."`
}

func (c *Check) fault(err error, advice string) {
	err = patience(err)
	if advice != "" {
		err = fmt.Errorf("%w; %s", err, advice)
	}
	c.Faults = append(c.Faults, err.Error())
}

// patience says of an error that nothing was answered in time how long that is.
func patience(err error) error {
	if late := net.Error(nil); errors.As(err, &late) && late.Timeout() {
		return fmt.Errorf("%w: no answer within %s", err, requestTime)
	}
	return err
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
	Usable  []string             // mailboxes whose owners have signed in
	Refused map[string]string    // mailboxes that have to be connected again, and why
	Renewed map[string]time.Time // when the newest refresh token of a mailbox came
	Tokens  entra.RefreshTokens
}

// How long a check may take: one request, and all of a connection.
const (
	requestTime    = 10 * time.Second
	connectionTime = time.Minute
)

// Checker tries the connections of a configuration. It changes nothing.
type Checker struct {
	Config *config.Config
	// Owners returns the connected mailboxes of a delegated connection.
	Owners func(ctx context.Context, connection string) (Owners, error)
	Dial   graph.Dial // nil: by TCP
}

// Check signs in to a connection and looks into mailboxes: the one that is named, or those that
// the configuration names.
func (k Checker) Check(ctx context.Context, c *config.Connection, mailbox string) Check {
	ctx, cancel := context.WithTimeoutCause(ctx, connectionTime, errTooLong)
	defer cancel()
	check := Check{Connection: c.Name, SignIn: c.SignIn}
	if _, _, end := c.Credential(); !end.IsZero() {
		check.Expires = end
	}
	check.Certificates = Certificates(c)
	switch c.SignIn {
	case config.SignInPassThrough:
		check.warn("its clients bring their own credentials, which are seen when they sign in")
	case config.SignInDelegated:
		check.delegated(ctx, k, c, mailbox)
	default:
		mailboxes := mailboxesOf(k.Config, c)
		if mailbox != "" {
			mailboxes = []string{mailbox}
		}
		check.application(ctx, k.client(c, SignIn(*c, nil)), c, mailboxes, k.Config.WatchesReports(c))
		check.tryManaged(ctx, k.Config, c)
	}
	check.Good = len(check.Faults) == 0
	return check
}

// errTooLong is why a check ends before all was tried.
var errTooLong = fmt.Errorf("the check of a connection ends after %s", connectionTime)

// client returns a client that does not wait long for an answer.
func (k Checker) client(c *config.Connection, s graph.SignIn) *graph.Client {
	g := ClientConfig(k.Config, *c, s, nil)
	g.Timeout, g.Dial = min(g.Timeout, requestTime), k.Dial
	return graph.New(g)
}

// application tries a connection that signs in as an application, for any mailbox. watches
// means that it has to read mailboxes for watch_reports.
func (c *Check) application(ctx context.Context, client *graph.Client, of *config.Connection, mailboxes []string, watches bool) {
	defer client.Close()
	token, err := client.Token(ctx, "")
	c.clock(client)
	if err != nil {
		c.Mailbox = first(mailboxes)
		c.fault(err, remedy(err))
		return
	}
	c.TokenUntil, c.Rights = token.Expiry, permissions(token.AccessToken)
	if !of.MailReadWrite && slices.Contains(c.Rights, "Mail.ReadWrite") {
		c.warn("the application may write mailboxes, but mail_readwrite is false; remove that key, and larger messages can go, and lost answers be looked up")
	}
	c.lookUp(ctx, client, of, first(mailboxes))
	mayLook := of.MailReadWrite || watches
	switch {
	case len(mailboxes) == 0:
		c.warn("no mailbox was tried, since the configuration names none; name one with --mailbox")
	case !mayLook:
		c.warn("no mailbox was looked into: with Mail.Send alone the relay may not")
	}
	c.tryAll(ctx, mailboxes, func(m *TriedMailbox) {
		box := client.Mailbox(c.keyOf(ctx, client, m.Address))
		if mayLook {
			m.probe(ctx, box, of)
		}
		if m.Readable || !mayLook {
			m.tryRights(ctx, box, c.Rights, of.MailReadWrite)
		}
	})
	if !c.judgeRights(of, watches, isReadable(token.AccessToken)) {
		c.judgeTried(of)
	}
	c.reachUploads(ctx, client, of)
	c.neverTried()
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// keyOf returns the key of a mailbox in Graph's paths: its object ID, if the directory tells.
func (c *Check) keyOf(ctx context.Context, client *graph.Client, address string) string {
	if c.Directory != "readable" {
		return address
	}
	user, _, err := client.FindUser(ctx, address)
	if err != nil {
		return address
	}
	return cmp.Or(user.ID, address)
}

// judgeRights looks for the permissions that the application needs and its token does not have,
// and reports whether it found the token at fault. RBAC for Applications may give them: they are
// then in no token, and only a try in a mailbox shows them.
func (c *Check) judgeRights(of *config.Connection, watches, readable bool) (faulty bool) {
	needed := c.missingRights(of, watches)
	if len(needed) == 0 {
		return false
	}
	var inToken []string // for all mailboxes
	for _, right := range c.Rights {
		if strings.HasPrefix(right, "Mail.") {
			inToken = append(inToken, right)
		}
	}
	tokenReads := slices.ContainsFunc(inToken, func(right string) bool { return strings.HasPrefix(right, "Mail.Read") })
	byRBAC := slices.ContainsFunc(c.Mailboxes, func(m TriedMailbox) bool { return m.Send == RightTried || m.Write == RightTried })
	allTried := !slices.ContainsFunc(needed, func(need string) bool { return !c.tried(need) })
	missing, test := strings.Join(needed, " and "), graph.TestAuthorization(of.ClientID, cmp.Or(c.Mailbox, "MAILBOX"))
	switch {
	case allTried && (byRBAC || !tokenReads):
		return false // the tries have shown all, and judgeTried says what was refused
	case !readable:
		c.NotTried = append(c.NotTried, "whether the application has "+missing+": its token cannot be read")
	case len(inToken) > 0 && !byRBAC && (tokenReads || !c.Readable): // nothing hints at RBAC for Applications
		c.fault(fmt.Errorf("the token has %s, but not %s", strings.Join(inToken, " and "), missing),
			"grant "+missing+" to the application, with admin consent; if RBAC for Applications is to give it, remove "+strings.Join(inToken, " and ")+" from the application in Entra, which holds for all mailboxes")
		return true
	case c.Readable:
		c.NotTried = append(c.NotTried, "whether the application has "+missing+", which is not in the token: RBAC for Applications lets it read the mailbox, and may give that too; Exchange shows it with "+test)
	default:
		for _, need := range needed {
			c.warn("%s is not in the token: it has to come from RBAC for Applications; otherwise grant it to the application, with admin consent; Exchange shows what it gives with %s", need, test)
		}
	}
	return false
}

// missingRights returns the permissions that the relay needs and the token does not have.
func (c *Check) missingRights(of *config.Connection, watches bool) []string {
	needed := []string{"Mail.Send"}
	switch {
	case of.MailReadWrite:
		needed = append(needed, "Mail.ReadWrite")
	case watches && !slices.Contains(c.Rights, "Mail.ReadWrite"): // which allows to read, too
		needed = append(needed, "Mail.Read")
	}
	return slices.DeleteFunc(needed, func(need string) bool { return slices.Contains(c.Rights, need) })
}

// neverTried says what is seen only when mail is sent.
func (c *Check) neverTried() {
	text := "nothing was written or sent: whether Exchange takes large messages, and other addresses in From, shows only when mail is sent"
	if c.UploadHost == "" {
		text += "; and no request was made to the host to which files of 3 MB and more are uploaded"
	}
	c.NotTried = append(c.NotTried, text)
}

// clock compares this machine's time with Microsoft's: a sign-in with a certificate
// fails when they differ by five minutes.
func (c *Check) clock(client *graph.Client) {
	ahead, _ := client.ClockSkew()
	if c.ClockAhead = ahead.Round(time.Second).Seconds(); ahead.Abs() > time.Minute {
		c.warn("the clock of this machine is %s ahead of Microsoft's (negative: behind); set it by NTP", ahead.Round(time.Second))
	}
}

// lookUp asks the directory for the owner of a mailbox's address, or of any address.
func (c *Check) lookUp(ctx context.Context, client *graph.Client, of *config.Connection, mailbox string) {
	if of.Directory == config.DirectoryOff {
		return
	}
	_, _, err := client.FindUser(ctx, cmp.Or(mailbox, "postmaster@"+of.Domains[0]))
	switch {
	case err == nil, errors.Is(err, graph.ErrNoUser):
		c.Directory = "readable"
	case graph.AccessDenied(err):
		c.Directory = "denied"
		c.warn("%v; %s", err, graph.DirectoryAdvice(err))
	default:
		c.Directory = "failed"
		c.warn("the directory cannot be asked: %v", patience(err))
	}
}

// probe looks into the mailbox.
func (m *TriedMailbox) probe(ctx context.Context, box graph.Mailbox, of *config.Connection) {
	_, err := box.Probe(ctx)
	if err == nil {
		m.Readable = true
		return
	}
	advice := graph.Advice(err)
	switch {
	case advice != "":
	case graph.AccessDenied(err) && of.SignIn == config.SignInDelegated:
		advice = "see that the account " + cmp.Or(m.Account, "with which it was connected") + " has Full Access to it, and connect it again: graphrelay connect " + m.Address + ", with --shared if it is a shared mailbox"
	case graph.AccessDenied(err) && !of.MailReadWrite:
		advice = "watch_reports needs Mail.Read for this mailbox: grant it to the application with admin consent, or by RBAC for Applications; Exchange shows whether it has it with " +
			graph.TestAuthorization(of.ClientID, m.Address)
	case graph.AccessDenied(err):
		advice = "grant the application Mail.ReadWrite and Mail.Send with admin consent, or put the mailbox into the scope of its RBAC for Applications; Graph knows a change after 30 minutes in which nothing asks, or after up to two hours, and Exchange shows it at once with " +
			graph.TestAuthorization(of.ClientID, m.Address)
	case graph.MailboxUnknown(err):
		advice = "check the address: it has to be the primary one of a mailbox in this tenant, with a licence"
	default:
		advice = remedy(err)
	}
	m.fault(fmt.Errorf("mailbox %s: %w", m.Address, err), advice)
}

// delegated tries a connection whose mailboxes' owners sign in: the mailbox that is named, or
// each that is connected.
func (c *Check) delegated(ctx context.Context, k Checker, of *config.Connection, mailbox string) {
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
		c.warn("no mailbox is connected: graphrelay connect MAILBOX, or the page /connect")
		return
	}
	mailboxes := owners.Usable
	if mailbox = mailaddr.Canonical(mailbox); slices.Contains(mailboxes, mailbox) {
		mailboxes = []string{mailbox}
	}
	client := k.client(of, SignIn(*of, owners.Tokens))
	defer client.Close()
	var mu sync.Mutex // guards c
	c.tryAll(ctx, mailboxes, func(m *TriedMailbox) {
		m.warnOld(owners.Renewed[m.Address], time.Now())
		token, err := client.Token(ctx, m.Address)
		if err != nil {
			m.fault(err, remedy(err))
			return
		}
		rights := permissions(token.AccessToken)
		mu.Lock()
		if m.Address == mailboxes[0] || c.TokenUntil.IsZero() {
			c.TokenUntil, c.Rights = token.Expiry, rights
		}
		mu.Unlock()
		m.tryOwner(ctx, client.Mailbox(m.Address), of, token.AccessToken)
	})
	c.clock(client)
	if c.TokenUntil.IsZero() {
		return
	}
	c.reachUploads(ctx, client, of)
	c.neverTried()
}

// tryOwner tries a mailbox with its owner's token.
func (m *TriedMailbox) tryOwner(ctx context.Context, box graph.Mailbox, of *config.Connection, token string) {
	m.Account = Account(token)
	rights := permissions(token)
	if slices.Contains(rights, "Mail.Send.Shared") {
		rights = append(rights, "Mail.Send")
	}
	if slices.Contains(rights, "Mail.ReadWrite.Shared") {
		rights = append(rights, "Mail.ReadWrite")
	}
	m.probe(ctx, box, of)
	switch {
	case isReadable(token) && !slices.Contains(rights, "Mail.Send"):
		m.Send = RightRefused
		m.fault(fmt.Errorf("the token for %s has no Mail.Send", m.Address), "add it to the delegated permissions of the application, and connect the mailbox again")
	case m.Readable:
		m.tryRights(ctx, box, rights, of.MailReadWrite)
		if m.Send == RightRefused || m.Write == RightRefused {
			m.fault(fmt.Errorf("mailbox %s: %w", m.Address, m.refusal), "add Mail.ReadWrite and Mail.Send to the delegated permissions of the application, and connect the mailbox again")
		}
	}
}
