package connection

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"graphrelay/graph"
	"graphrelay/internal/mailaddr"
	"graphrelay/relay/config"
)

// The most mailboxes that are tried, and how many at a time.
const (
	mostTried    = 50
	triedAtATime = 4
)

// Right is what is known of a right in a mailbox.
type Right string

// The values of Right.
const (
	RightUnknown Right = ""
	RightInToken Right = "token"   // a permission of the token, for all mailboxes
	RightTried   Right = "tried"   // by a request that can have no effect
	RightRefused Right = "refused" // by such a request
)

// TriedMailbox is what is known of one mailbox.
type TriedMailbox struct {
	Address  string `json:"mailbox" doc:"The address of the mailbox."`
	Account  string `json:"account,omitempty" doc:"The account that connected it, if the token tells."`
	Readable bool   `json:"readable" doc:"Whether it exists, and the token is good for it."`
	Write    Right  `json:"write,omitempty" doc:"Whether drafts may be made in it."`
	Send     Right  `json:"send,omitempty" doc:"Whether mail may be sent from it."`

	faults, warnings []string
	refusal          error // of a try
}

func (m *TriedMailbox) fault(err error, advice string) {
	err = patience(err)
	if advice != "" {
		err = fmt.Errorf("%w; %s", err, advice)
	}
	m.faults = append(m.faults, err.Error())
}

// mailboxesOf returns the mailboxes of the connection that the configuration names, each once.
func mailboxesOf(cfg *config.Config, c *config.Connection) (all []string) {
	seen := map[string]bool{}
	add := func(address, name string) {
		key := mailaddr.Canonical(address)
		if address != "" && !seen[key] && cfg.ConnectionOf(address, name) == c {
			seen[key] = true
			all = append(all, address)
		}
	}
	add(cfg.Delivery.Postmaster, "")
	for _, s := range cfg.Senders {
		add(s.Mailbox, s.Connection)
	}
	for _, u := range cfg.Users {
		for _, p := range u.Senders {
			if text := p.String(); !strings.Contains(text, "*") && !mapped(cfg, p) {
				add(text, u.Connection)
			}
		}
	}
	return all
}

// mapped reports whether a rule sends mail of the address from another mailbox.
func mapped(cfg *config.Config, address config.Pattern) bool {
	return slices.ContainsFunc(cfg.Senders, func(s config.Sender) bool { return s.Match.Match(address.String()) })
}

// tryAll tries mailboxes, a few at a time, and adds what was found in their order.
// Those for which ctx leaves no time are not tried.
func (c *Check) tryAll(ctx context.Context, addresses []string, try func(*TriedMailbox)) {
	if len(addresses) > mostTried {
		c.NotTried = append(c.NotTried, fmt.Sprintf("%d of the %d mailboxes: name one with --mailbox", len(addresses)-mostTried, len(addresses)))
		addresses = addresses[:mostTried]
	}
	tried := make([]TriedMailbox, len(addresses))
	slots := make(chan struct{}, triedAtATime)
	var wg sync.WaitGroup
	for i, address := range addresses {
		slots <- struct{}{}
		if ctx.Err() != nil {
			c.NotTried = append(c.NotTried, fmt.Sprintf("%d of the mailboxes, from %s on: %v", len(addresses)-i, address, context.Cause(ctx)))
			tried = tried[:i]
			break
		}
		tried[i].Address = address
		wg.Go(func() {
			defer func() { <-slots }()
			try(&tried[i])
		})
	}
	wg.Wait()
	for _, m := range tried {
		c.Faults, c.Warnings = append(c.Faults, m.faults...), append(c.Warnings, m.warnings...)
		c.Mailboxes = append(c.Mailboxes, m)
	}
	if len(tried) > 0 {
		c.Mailbox, c.Account = tried[0].Address, tried[0].Account
		c.Readable = !slices.ContainsFunc(tried, func(m TriedMailbox) bool { return !m.Readable })
	}
}

// tryRights tries the rights that the token does not name.
func (m *TriedMailbox) tryRights(ctx context.Context, box graph.Mailbox, rights []string, write bool) {
	try := func(named bool, ask func(context.Context) (graph.Reply, error)) Right {
		if named {
			return RightInToken
		}
		switch _, err := ask(ctx); {
		case err == nil:
			return RightTried
		case graph.AccessDenied(err):
			m.refusal = err
			return RightRefused
		}
		return RightUnknown
	}
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(rights, name) })
	}
	m.Send = try(has("Mail.Send"), box.MaySend)
	if write {
		m.Write = try(has("Mail.ReadWrite"), box.MayWrite)
	}
}

// judgeTried adds a fault for each mailbox in which the application lacks a right that its
// token does not name, and says of which rights nothing is known.
func (c *Check) judgeTried(of *config.Connection) {
	for _, m := range c.Mailboxes {
		var lacks []string
		for _, r := range []struct {
			name string
			is   Right
		}{{"Mail.Send", m.Send}, {"Mail.ReadWrite", m.Write}} {
			if r.is == RightRefused {
				lacks = append(lacks, r.name)
			}
		}
		if len(lacks) == 0 {
			continue
		}
		c.fault(fmt.Errorf("mailbox %s: the application has no %s here, in its token or by RBAC for Applications: %w", m.Address, strings.Join(lacks, " and no "), m.refusal),
			fmt.Sprintf("in Exchange Online PowerShell, run %s; Graph follows after 30 minutes in which nothing asks, or after up to two hours, and Exchange shows it at once with %s",
				assignments(of.ClientID, lacks), graph.TestAuthorization(of.ClientID, m.Address)))
	}
}

// assignments returns the commands that give an application roles in Exchange.
func assignments(clientID string, rights []string) string {
	var all []string
	for _, right := range rights {
		all = append(all, fmt.Sprintf(`New-ManagementRoleAssignment -App %s -Role "Application %s" -CustomResourceScope SCOPE`, cmp.Or(clientID, "APPLICATION"), right))
	}
	return strings.Join(all, " and ")
}

// tried reports whether every mailbox that was tried showed whether the application has the
// right. Mail.Read is never tried.
func (c *Check) tried(right string) (known bool) {
	for _, m := range c.Mailboxes {
		is := m.Send
		if right == "Mail.ReadWrite" {
			is = m.Write
		}
		if is == RightUnknown {
			return false
		}
	}
	return len(c.Mailboxes) > 0 && right != "Mail.Read"
}

// reachUploads asks the host to which files of 3 MB and more are uploaded for any answer.
func (c *Check) reachUploads(ctx context.Context, client *graph.Client, of *config.Connection) {
	host := of.UploadHost()
	if host == "" || !of.MailReadWrite || of.Missing().Uploads {
		return
	}
	c.UploadHost = "reached"
	if err := client.Reach(ctx, host); err != nil {
		c.UploadHost = "not reached"
		advice := "have the firewall or the proxy let the relay reach it; set uploads: off, if files of 3 MB and more are to be refused"
		var proxy *graph.ProxyError
		if errors.As(err, &proxy) {
			advice = "have the proxy allow that host, or set uploads: off"
		}
		c.fault(fmt.Errorf("%s, to which files of 3 MB and more are uploaded, cannot be reached: %w", host, err), advice)
	}
}

// oldSignIn is the age from which a sign-in is old. Entra ends one whose refresh token is not
// used for 90 days (refresh tokens in the Microsoft identity platform).
const oldSignIn = 60 * 24 * time.Hour

// warnOld warns of a sign-in that nothing has renewed for long.
func (m *TriedMailbox) warnOld(renewed, now time.Time) {
	if age := now.Sub(renewed); !renewed.IsZero() && age > oldSignIn {
		m.warnings = append(m.warnings, fmt.Sprintf("the sign-in of %s was last renewed %d days ago, on %s, and Microsoft ends one that is not used for 90 days; send a message from the mailbox now and then, or have its owner connect it again: graphrelay connect %s",
			m.Address, int(age.Hours()/24), renewed.Format(time.DateOnly), m.Address))
	}
}
