package relay

import (
	"context"

	"graphrelay/relay/config"
	"graphrelay/relay/operations"
)

// inUse is the configuration of a relay as the console shows and replaces it.
type inUse struct{ relay *Relay }

// Settings implements console.Configuration.
func (c inUse) Settings() []config.Setting { return c.relay.generation().cfg.Settings() }

// ReloadFault implements console.Configuration.
func (c inUse) ReloadFault() string {
	fault, _ := c.relay.reloadFault.Load().(string)
	return fault
}

// DiffFile implements console.Configuration.
func (c inUse) DiffFile(ctx context.Context) (operations.Difference, error) {
	return c.relay.Live().DiffFile(ctx)
}

// ReloadFile implements console.Configuration.
func (c inUse) ReloadFile(ctx context.Context) error { return c.relay.Live().ReloadFile(ctx) }
