package relay

import (
	"context"
	"time"

	"graphrelay/relay/config"
	"graphrelay/relay/operations"
	"graphrelay/relay/queue"
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

// ReloadBy implements console.Configuration. The audit has one change if the file was taken.
func (c inUse) ReloadBy(ctx context.Context, by string) error {
	now := time.Now()
	a := queue.Audit{ID: queue.NewID(now), At: now, By: by, Action: "reload", On: "configuration"}
	if err := c.relay.store.SetAudit(ctx, a); err != nil {
		return err
	}
	err := c.relay.Live().ReloadFile(ctx)
	if err == nil {
		a.Changed = 1
		err = c.relay.store.SetAudit(context.WithoutCancel(ctx), a)
	}
	return err
}
