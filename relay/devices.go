package relay

import (
	"context"
	"net/netip"
	"path/filepath"

	"graphrelay/relay/config"
	"graphrelay/relay/devices"
	"graphrelay/relay/queue"
)

// devicesFile is the list of devices in data_dir.
const devicesFile = "devices.json"

// deviceStorage returns where the list of devices is kept: with the queue where that is shared.
func deviceStorage(cfg *config.Config, store *queue.Queue) devices.Storage {
	if store.Shared() {
		return devices.Shared{Notes: store}
	}
	return devices.File(filepath.Join(cfg.DataDir, devicesFile))
}

// AllowDevice lets a device send through a listener without a password, although its address is
// not in the networks.
func (r *Relay) AllowDevice(ctx context.Context, by string, device devices.Request) (devices.Device, error) {
	d, err := r.devices.Allow(ctx, by, r.generation().cfg, device)
	if err == nil {
		r.refusals.Forget(d.Listener, d.Address)
	}
	return d, err
}

// BlockDevice keeps a device from being allowed and learnt.
func (r *Relay) BlockDevice(ctx context.Context, by string, device devices.Request) (devices.Device, error) {
	return r.devices.Block(ctx, by, r.generation().cfg, device)
}

// RemoveDevice removes a device, or the block of one, from the list.
func (r *Relay) RemoveDevice(ctx context.Context, by, listener string, address netip.Addr) error {
	return r.devices.Remove(ctx, by, listener, address)
}

// OpenWindow opens a learning window.
func (r *Relay) OpenWindow(ctx context.Context, by string, o devices.Opening) (devices.Window, error) {
	return r.devices.Open(ctx, by, r.generation().cfg, o)
}

// CloseWindow ends the learning window of a listener.
func (r *Relay) CloseWindow(ctx context.Context, by, listener string) error {
	return r.devices.Close(ctx, by, listener)
}

// Devices returns the list of devices, and the learning windows that are open.
func (r *Relay) Devices() ([]devices.Device, []devices.Window) {
	return r.devices.All(), r.devices.Windows()
}
