package relay

import (
	"context"
	"math"
	"net/netip"
	"path/filepath"
	"time"

	"graphrelay/relay/attention"
	"graphrelay/relay/config"
	"graphrelay/relay/devices"
	"graphrelay/relay/operations"
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

var _ operations.Edge = (*Relay)(nil)

// The most that is told of a listener.
const (
	mostSessions = 200
	mostRefusals = 200
)

// Listeners returns the listeners of the configuration in use, with what happens there.
func (r *Relay) Listeners(context.Context) ([]operations.Listener, error) {
	g := r.generation()
	all := make([]operations.Listener, 0, len(g.servers))
	for i, l := range g.cfg.Listeners {
		o := operations.Listener{Name: l.Name, Address: r.Address(l.Address), TLS: l.TLS, Auth: l.Auth, Networks: l.Networks, AllowDevices: l.AllowDevices, Devices: []devices.Device{}}
		o.Sessions, o.Open = g.servers[i].Sessions(mostSessions)
		everything := r.refusals.Recent(l.Name, math.MaxInt)
		o.Refusals = everything[:min(mostRefusals, len(everything))]
		o.RefusedDevices = r.devices.Refused(g.cfg, l.Name, everything)
		for _, d := range r.devices.All() {
			if d.Listener == l.Name {
				o.Devices = append(o.Devices, d)
			}
		}
		for _, w := range r.devices.Windows() {
			if w.Listener == l.Name {
				o.Window = &w
			}
		}
		all = append(all, o)
	}
	return all, nil
}

// refusedDevices returns the clients with private addresses that were refused within the last hour,
// and of which nothing was taken since they were first refused. Those of the Internet are refused all
// the time.
func (r *Relay) refusedDevices(time.Time) (found []attention.Device) {
	for _, l := range r.generation().cfg.Listeners {
		for _, h := range r.refusals.Hosts(l.Name) {
			if a := h.Client.Unmap(); h.Accepted.IsZero() && (a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast()) {
				found = append(found, attention.Device{Client: h.Client.String(), Listener: l.Name, Reason: h.Reason, Refusals: h.Hour, Remedy: h.Remedy})
			}
		}
	}
	return found
}

// learningWindows returns those that are open.
func (r *Relay) learningWindows() (open []attention.LearningWindow) {
	for _, w := range r.devices.Windows() {
		open = append(open, attention.LearningWindow{Listener: w.Listener, Network: w.Network.String(), Domain: w.Domain, By: w.By, Until: w.Until, Learnt: w.Learnt})
	}
	return open
}

// Devices returns the list of devices, and the learning windows that are open.
func (r *Relay) Devices() ([]devices.Device, []devices.Window) {
	return r.devices.All(), r.devices.Windows()
}
