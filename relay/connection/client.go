// Package connection turns the configured connections, which are Entra
// applications in a tenant, into Graph clients: how each signs in, what its
// requests are limited to, when its credential expires, and whether it works
// (check --online).
//
// Principals are the SMTP clients that bring an Entra credential of their own.
// Their credentials are in memory alone and never reach a disk or a log.
package connection

import (
	"time"

	"graphrelay/graph"
	"graphrelay/graph/entra"
	"graphrelay/internal/buildinfo"
	"graphrelay/relay/config"
	"graphrelay/relay/credential"
)

func appOf(c config.Connection) entra.App {
	return entra.App{Tenant: c.Tenant, ClientID: c.ClientID, LoginURL: c.Endpoints.Login, GraphURL: c.Endpoints.Graph}
}

// SignIn returns how a connection gets its tokens. tokens holds the refresh
// tokens of a delegated connection; it may be nil for any other.
func SignIn(c config.Connection, tokens entra.RefreshTokens) graph.SignIn {
	switch c.SignIn {
	case config.SignInDelegated:
		return Delegated(c, tokens)
	case config.SignInCertificate:
		if c.Managed != nil {
			return credential.SignIn{App: appOf(c), Store: c.Managed}
		}
		return entra.Certificate{App: appOf(c), Certificate: *c.Certificate, Chain: c.CertificateChain}
	case config.SignInWorkload:
		return entra.WorkloadIdentity{App: appOf(c), TokenFile: c.FederatedTokenFile}
	case config.SignInManaged:
		return entra.ManagedIdentity{GraphURL: c.Endpoints.Graph, ClientID: c.ManagedIdentityClientID}
	}
	return entra.ClientSecret{App: appOf(c), Secret: c.ClientSecret.Reveal()}
}

// Delegated returns the sign-in of mailbox owners. tokens may be nil where only
// the sign-in itself is needed, before there is a token to keep.
func Delegated(c config.Connection, tokens entra.RefreshTokens) entra.Delegated {
	return entra.Delegated{App: appOf(c), Secret: c.ClientSecret.Reveal(), Tokens: tokens}
}

// NewClient returns a Graph client for a connection that signs in with s. It has
// the limits, proxy and authorities that the configuration gives. observer may be
// nil.
func NewClient(cfg *config.Config, c config.Connection, s graph.SignIn, observer graph.Observer) *graph.Client {
	return graph.New(ClientConfig(cfg, c, s, observer))
}

// ClientConfig returns the configuration of the connection's client.
func ClientConfig(cfg *config.Config, c config.Connection, s graph.SignIn, observer graph.Observer) graph.Config {
	return graph.Config{
		Tenant: c.Tenant, ClientID: c.ClientID, SignIn: s, GraphURL: c.Endpoints.Graph,
		Proxy: c.ProxyURL(), Authorities: c.Authorities, UserAgent: buildinfo.Read().UserAgent(),
		Concurrency: cfg.Delivery.MailboxConcurrency, Budgets: budgets(cfg.Delivery),
		Timeout: time.Duration(cfg.Delivery.RequestTimeout), Observer: observer,
	}
}

// budgets returns the budgets of a mailbox over the periods in which Graph counts.
func budgets(d config.Delivery) graph.Budgets {
	return graph.Budgets{
		Requests: graph.Budget{Amount: int64(d.MailboxRequests), Per: 10 * time.Minute},
		Upload:   graph.Budget{Amount: int64(d.MailboxUpload), Per: 5 * time.Minute},
		Sends:    graph.Budget{Amount: int64(d.MailboxPace), Per: time.Minute},
	}
}

// MaxSendOnly is the size in bytes beyond which no usual message fits the one request of
// a connection that may not write to mailboxes: base64 comes in lines of 76 characters
// with two for their end, and goes without these.
const MaxSendOnly = graph.MaxRequestBytes / 76 * 78
