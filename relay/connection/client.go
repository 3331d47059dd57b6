//go:build ignore

package relay

import (
	"context"
	"log/slog"

	"graphrelay/graph"
	"graphrelay/graph/entra"
	"graphrelay/relay/config"
	"graphrelay/relay/mailboxes"
)

func appOf(c config.Connection) entra.App {
	return entra.App{Tenant: c.Tenant, ClientID: c.ClientID, LoginURL: c.Endpoints.Login, GraphURL: c.Endpoints.Graph}
}

// signIn is how a connection gets its tokens. mailboxes may be nil where no connection is
// delegated.
func signIn(c config.Connection, mailboxes *mailboxes.Store) graph.SignIn {
	switch c.SignIn {
	case config.SignInDelegated:
		return entra.Delegated{App: appOf(c), Secret: c.ClientSecret.Reveal(), Tokens: mailboxes.Of(c.Name)}
	case config.SignInCertificate:
		return entra.Certificate{App: appOf(c), Certificate: *c.Certificate, Chain: c.CertificateChain}
	case config.SignInWorkload:
		return entra.WorkloadIdentity{App: appOf(c), TokenFile: c.FederatedTokenFile}
	case config.SignInManaged:
		return entra.ManagedIdentity{GraphURL: c.Endpoints.Graph, ClientID: c.ManagedIdentityClientID}
	}
	return entra.ClientSecret{App: appOf(c), Secret: c.ClientSecret.Reveal()}
}

// openMailboxes opens the connected mailboxes; nil if no connection is delegated.
func openMailboxes(ctx context.Context, cfg *config.Config, log *slog.Logger) (*mailboxes.Store, error) {
	if !cfg.Delegated() {
		return nil, nil
	}
	keys, err := mailboxes.NewKeys(cfg.Mailboxes.Keys())
	if err != nil {
		return nil, err
	}
	return mailboxes.Open(ctx, cfg.DataDir, keys, log)
}
