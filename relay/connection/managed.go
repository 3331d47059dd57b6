package connection

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"

	"graphrelay/graph"
	"graphrelay/graph/entra"
	"graphrelay/relay/config"
	"graphrelay/relay/credential"
)

// Renewals returns a renewal for each connection whose certificates the relay renews.
func (c *Clients) Renewals(log *slog.Logger) (list []*credential.Renewal) {
	seen := map[*credential.Store]bool{}
	for _, of := range c.cfg.Connections {
		if of.Managed == nil || !of.CertificateRenewal || seen[of.Managed] {
			continue
		}
		seen[of.Managed] = true
		list = append(list, &credential.Renewal{Store: of.Managed, Log: log.With("connection", of.Name),
			Entra: managed{c.byName[of.Name], c.cfg, of}})
	}
	return list
}

// managed is what the renewal asks for a connection.
type managed struct {
	*graph.Client
	cfg *config.Config
	of  config.Connection
}

// Try implements credential.Entra.
func (m managed) Try(ctx context.Context, certificate tls.Certificate) error {
	return tryCertificate(ctx, m.cfg, m.of, certificate)
}

// tryCertificate requests a token for the connection with this certificate alone.
func tryCertificate(ctx context.Context, cfg *config.Config, of config.Connection, certificate tls.Certificate) error {
	client := NewClient(cfg, of, entra.Certificate{App: appOf(of), Certificate: certificate}, nil)
	defer client.Close()
	_, err := client.Token(ctx, "")
	var e *graph.Error
	if errors.As(err, &e) && e.Code == "invalid_client" {
		return fmt.Errorf("%w: %v", credential.ErrRefused, err)
	}
	return err
}

// Certificates returns the certificates with which a connection can sign in, if it does so with
// certificates.
func Certificates(c *config.Connection) []credential.Status {
	switch {
	case c.Managed != nil:
		return c.Managed.Status()
	case c.Certificate != nil:
		return []credential.Status{credential.Of(c.Certificate)}
	}
	return nil
}

// tryManaged requests a token with each certificate in use that the relay made. Check itself has
// signed in with the first of them that Entra accepts.
func (c *Check) tryManaged(ctx context.Context, cfg *config.Config, of *config.Connection) {
	for _, s := range c.Certificates {
		if !s.Managed || s.Use != "current" && s.Use != "standby" {
			continue
		}
		switch {
		case s.Fault != "":
			c.warn("the %s certificate cannot be used: %s; the relay replaces it while it runs", s.Use, s.Fault)
		case !c.TokenUntil.IsZero():
			if err := tryCertificate(ctx, cfg, *of, *s.Pair); err != nil {
				c.warn("the %s certificate gets no token; if it is not registered, the relay replaces it while it runs: %v", s.Use, err)
			}
		}
	}
}
