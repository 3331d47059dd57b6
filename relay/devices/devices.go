// Package devices keeps the list of devices that may send through a listener although their
// addresses are not in its networks: those that an operator has allowed, and those that were
// learnt while a learning window was open.
//
// It promises that the list never makes a relay open to strangers. It counts only on a listener
// whose configuration has allow_devices; deny_networks and an operator's block beat it. A device
// is one address, and may send only as the addresses that the list has for it. A learning window
// ends by itself after an hour at most, whatever the clock does, and with the process. What is
// learnt is one address with the senders that it used, after a message that passed every other
// check, and never in silence: it is logged, audited and shown. The list is bounded.
package devices

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"graphrelay/internal/text"
	"graphrelay/relay/config"
	"graphrelay/relay/queue"
)

// Device is a client at a listener that is allowed, or blocked.
type Device struct {
	Listener string           `json:"listener" doc:"The name of the listener."`
	Address  netip.Addr       `json:"address" doc:"The IP address of the device."`
	Blocked  bool             `json:"blocked" doc:"Whether the list neither lets it in nor learns it."`
	Senders  []config.Pattern `json:"senders,omitempty" doc:"As which addresses it may send."`
	Learnt   bool             `json:"learnt" doc:"Whether it was learnt in a learning window."`
	By       string           `json:"by" doc:"Who allowed or blocked it, or opened the window."`
	At       time.Time        `json:"at" doc:"When it was allowed, blocked or learnt."`
	Why      string           `json:"why,omitempty" doc:"What the operator wrote about it."`
}

// The bounds of the list.
const (
	maxDevices = 1000 // in all
	maxSenders = 10   // of one device
	maxWhy     = 200  // bytes
)

type key struct {
	listener string
	address  netip.Addr
}

// Storage keeps the list.
type Storage interface {
	Load(ctx context.Context) ([]Device, error)
	// Save stores the list, in which one device was changed, or removed.
	Save(ctx context.Context, all []Device, changed Device, removed bool) error
}

// Options are what a List is made of.
type Options struct {
	Storage Storage
	Audit   func(context.Context, queue.Audit) error
	Log     func() *slog.Logger
}

// List is the list of devices, with the learning windows. A nil List allows nothing.
type List struct {
	Options
	now func() time.Time // the wall clock

	saving sync.Mutex // one change at a time

	mu      sync.Mutex
	devices map[key]Device
	broken  error              // why the list cannot be read: then it must not be written either
	windows map[string]*window // by listener
}

// New returns a List that is empty until Load.
func New(o Options) *List {
	return &List{Options: o, now: time.Now, devices: map[key]Device{}, windows: map[string]*window{}}
}

// Load reads the list. After an error it stays as it was, and cannot be changed.
func (l *List) Load(ctx context.Context) error {
	l.saving.Lock()
	defer l.saving.Unlock()
	all, err := l.Storage.Load(ctx)
	if err != nil {
		err = fmt.Errorf("read the list of devices: %w", err)
	}
	l.mu.Lock()
	l.broken = err
	l.mu.Unlock()
	if err != nil {
		return err
	}
	devices := map[key]Device{}
	for _, d := range all {
		if d.Address = plain(d.Address); d.Address.IsValid() && len(devices) < maxDevices {
			devices[key{d.Listener, d.Address}] = d
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.devices = devices
	return nil
}

// All returns the devices, by listener and address.
func (l *List) All() []Device {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.SortedFunc(maps.Values(l.devices), func(a, b Device) int {
		if c := strings.Compare(a.Listener, b.Listener); c != 0 {
			return c
		}
		return a.Address.Compare(b.Address)
	})
}

// Request is a request to allow or to block a device.
type Request struct {
	Listener string
	Address  netip.Addr
	Senders  []config.Pattern // none for a block
	Why      string
}

// Refused is why a request of an operator is not carried out. It says what to do.
type Refused string

// Error implements error.
func (r Refused) Error() string { return string(r) }

func refuse(format string, args ...any) error { return Refused(fmt.Sprintf(format, args...)) }

// ErrNotListed means that the list does not have the device.
var ErrNotListed = errors.New("the list does not have this device")

// Allow adds a device, or adds senders to one that is allowed already.
func (l *List) Allow(ctx context.Context, by string, cfg *config.Config, r Request) (Device, error) {
	of, err := l.listener(cfg, r.Listener)
	if err != nil {
		return Device{}, err
	}
	address := plain(r.Address)
	if err := allowable(of, address); err != nil {
		return Device{}, err
	}
	if len(r.Senders) == 0 {
		return Device{}, refuse("name the senders of the device, such as scanner@contoso.test or *@contoso.test: it may send as no others")
	}
	for _, p := range r.Senders {
		if p.String() == "*" {
			return Device{}, refuse("the sender * stands for every address; name the device's own, or those of a domain, such as *@contoso.test")
		}
	}
	return l.change(ctx, by, "allow device", key{of.Name, address}, func(d Device) (Device, error) {
		if d.Blocked {
			return d, refuse("%s is blocked by %s; remove the block first", address, d.By)
		}
		d.Senders = merge(d.Senders, r.Senders)
		if len(d.Senders) > maxSenders {
			return d, refuse("a device may have %d senders; use a pattern such as *@contoso.test", maxSenders)
		}
		d.Learnt, d.Why = false, clean(r.Why)
		return d, nil
	})
}

// Block keeps a device from being let in by the list, and from being learnt. The networks of the
// configuration are not changed by it.
func (l *List) Block(ctx context.Context, by string, cfg *config.Config, r Request) (Device, error) {
	of, err := l.listener(cfg, r.Listener)
	if err != nil {
		return Device{}, err
	}
	address := plain(r.Address)
	if !address.IsValid() {
		return Device{}, refuse("name the address of the device")
	}
	return l.change(ctx, by, "block device", key{of.Name, address}, func(d Device) (Device, error) {
		return Device{Blocked: true, Why: clean(r.Why)}, nil
	})
}

// Remove removes a device from the list, or the block of one.
func (l *List) Remove(ctx context.Context, by, listener string, address netip.Addr) error {
	l.saving.Lock()
	defer l.saving.Unlock()
	k := key{listener, plain(address)}
	l.mu.Lock()
	d, ok := l.devices[k]
	l.mu.Unlock()
	if !ok {
		return ErrNotListed
	}
	return l.audited(ctx, by, "remove device", k, func() error { return l.store(ctx, d, true) })
}

// listener returns a listener whose list counts.
func (l *List) listener(cfg *config.Config, name string) (*config.Listener, error) {
	i := slices.IndexFunc(cfg.Listeners, func(o config.Listener) bool { return o.Name == name })
	switch {
	case i < 0:
		return nil, refuse("there is no listener %s", text.Shorten(text.Printable(name), 64))
	case !cfg.Listeners[i].AllowDevices:
		return nil, refuse("the configuration does not permit this for the listener %s: add the address to its networks, or set allow_devices: true for it", name)
	}
	return &cfg.Listeners[i], nil
}

// allowable returns why a device with this address must not be in the list.
func allowable(of *config.Listener, a netip.Addr) error {
	switch {
	case !a.IsValid() || a.IsUnspecified() || a.IsMulticast():
		return refuse("name the address of one device")
	case a.IsLoopback():
		return refuse("%s is this machine itself: a proxy on it would let in everyone; write it into networks if you mean that", a)
	case config.InNetworks(of.ProxyNetworks, a):
		return refuse("%s is a load balancer of proxy_networks, behind which anyone may be; allow the address of the device itself", a)
	case config.InNetworks(of.DenyNetworks, a):
		return refuse("%s is in deny_networks of the listener %s, which beat the list", a, of.Name)
	case config.InNetworks(of.Networks, a):
		return refuse("%s is in networks of the listener %s already", a, of.Name)
	}
	return nil
}

// change replaces one device by what edit makes of it, which is the zero Device for a new one.
func (l *List) change(ctx context.Context, by, action string, k key, edit func(Device) (Device, error)) (Device, error) {
	l.saving.Lock()
	defer l.saving.Unlock()
	d, err := l.edited(by, k, edit)
	if err != nil {
		return Device{}, err
	}
	return d, l.audited(ctx, by, action, k, func() error { return l.store(ctx, d, false) })
}

func (l *List) edited(by string, k key, edit func(Device) (Device, error)) (Device, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d, known := l.devices[k]
	if !known && len(l.devices) >= maxDevices {
		return d, refuse("the list has %d devices, the most that it may have; remove some, or write networks into the configuration", maxDevices)
	}
	d, err := edit(d)
	d.Listener, d.Address, d.By, d.At = k.listener, k.address, by, l.now().UTC().Round(0)
	return d, err
}

// store stores a change, and has it count. It is called with saving held.
func (l *List) store(ctx context.Context, d Device, remove bool) error {
	k := key{d.Listener, d.Address}
	l.mu.Lock()
	next, err := maps.Clone(l.devices), l.broken
	l.mu.Unlock()
	if err != nil {
		return err
	}
	if next[k] = d; remove {
		delete(next, k)
	}
	if err := l.Storage.Save(ctx, slices.Collect(maps.Values(next)), d, remove); err != nil {
		return fmt.Errorf("store the list of devices: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.devices = next
	return nil
}

// audited records what an operator does before and after it is done, and logs it.
func (l *List) audited(ctx context.Context, by, action string, k key, do func() error) error {
	a := queue.Audit{ID: queue.NewID(l.now()), At: l.now(), By: by, Action: action, On: k.String()}
	if err := l.Audit(ctx, a); err != nil {
		return fmt.Errorf("record it in the audit log: %w", err)
	}
	if err := do(); err != nil {
		return err
	}
	l.Log().Warn(action, "listener", k.listener, "client", k.address.String(), "by", text.Printable(by))
	a.Changed = 1
	return l.Audit(ctx, a)
}

func (k key) String() string { return "listener " + k.listener + ", client " + k.address.String() }

// plain returns an address in the form in which clients are compared: an IPv4 address in IPv6 as
// IPv4, and without a zone.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

func merge(a, b []config.Pattern) []config.Pattern {
	for _, p := range b {
		if !slices.Contains(a, p) {
			a = append(slices.Clip(a), p)
		}
	}
	return a
}

func clean(s string) string { return text.Shorten(text.OneLine(s), maxWhy) }
