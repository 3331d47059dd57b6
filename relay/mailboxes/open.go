package mailboxes

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"graphrelay/relay/config"
	"graphrelay/relay/connection"
	"graphrelay/relay/queue"
)

// OpenConfigured opens the store that the configuration describes, also beside a
// running relay. It returns nil if no connection is delegated.
func OpenConfigured(ctx context.Context, cfg *config.Config, log *slog.Logger) (*Store, error) {
	if !cfg.Delegated() {
		return nil, nil
	}
	keys, err := NewKeys(cfg.Mailboxes.Keys())
	if err != nil {
		return nil, err
	}
	return Open(ctx, cfg.DataDir, keys, log)
}

// Owners returns the mailboxes of one connection as check --online needs them.
func (s *Store) Owners(ctx context.Context, name string) (connection.Owners, error) {
	all, err := s.List(ctx)
	if err != nil {
		return connection.Owners{}, err
	}
	o := connection.Owners{Refused: map[string]string{}, Renewed: map[string]time.Time{}, Tokens: s.Of(name)}
	for _, m := range all {
		switch {
		case m.Connection != name:
		case m.Refused != "":
			o.Refused[m.Address] = m.Refused
		default:
			o.Usable = append(o.Usable, m.Address)
			o.Renewed[m.Address] = m.Renewed
		}
	}
	return o, nil
}

// ReleaseConnected releases the mail that waited for its mailbox to be connected.
func (s *Store) ReleaseConnected(ctx context.Context, q connection.HeldMail, log *slog.Logger) error {
	return connection.ReleaseHeld(ctx, q, log, "the mailbox is connected", func(l queue.Lane) bool {
		m, err := s.Get(ctx, l.Connection, l.Mailbox)
		return err == nil && m.Refused == "" && l.Principal == ""
	})
}

// OpenConnector opens the store of the configuration for connecting mailboxes, also
// beside a running relay. Close closes it.
func OpenConnector(ctx context.Context, cfg *config.Config, log *slog.Logger) (*Connector, error) {
	store, err := OpenConfigured(ctx, cfg, log)
	if err != nil {
		return nil, err
	}
	if store == nil {
		return nil, errors.New("no connection has sign_in: delegated, which lets owners connect their mailboxes; add one to the configuration")
	}
	return NewConnector(cfg, store, log), nil
}

// Close closes the store that OpenConnector opened.
func (k *Connector) Close() error { return k.store.Close() }

// OpenChecker returns a checker of the configuration's connections. It opens the
// connected mailboxes; close closes them.
func OpenChecker(ctx context.Context, cfg *config.Config) (checker connection.Checker, close func()) {
	store, err := OpenConfigured(ctx, cfg, slog.New(slog.DiscardHandler))
	checker = connection.Checker{Config: cfg, Owners: func(ctx context.Context, name string) (connection.Owners, error) {
		if err != nil {
			return connection.Owners{}, err
		}
		return store.Owners(ctx, name)
	}}
	return checker, func() {
		if store != nil {
			_ = store.Close()
		}
	}
}
