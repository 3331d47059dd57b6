package operations

import (
	"context"
	"net/netip"

	"graphrelay/relay/devices"
	"graphrelay/relay/refusals"
	"graphrelay/relay/smtpd"
)

// Edge is what only a running relay can tell of its listeners, and do there. Requests that it does
// not carry out return a devices.Refused, which says what to do.
type Edge interface {
	// Listeners returns the listeners of the configuration in use, in its order.
	Listeners(ctx context.Context) ([]Listener, error)
	// AllowDevice lets a device send without a password although its address is not in the
	// networks of a listener, or adds senders to one that is allowed already.
	AllowDevice(ctx context.Context, by string, d devices.Request) (devices.Device, error)
	// BlockDevice keeps a device from being let in by the list, and from being learnt.
	BlockDevice(ctx context.Context, by string, d devices.Request) (devices.Device, error)
	// RemoveDevice removes a device or the block of one from the list. It returns
	// devices.ErrNotListed if it is not there.
	RemoveDevice(ctx context.Context, by, listener string, address netip.Addr) error
	// OpenWindow opens a learning window, for devices.MaxWindow at most.
	OpenWindow(ctx context.Context, by string, o devices.Opening) (devices.Window, error)
	// CloseWindow ends the learning window of a listener.
	CloseWindow(ctx context.Context, by, listener string) error
}

// Listener is one SMTP port with what happens there. The lists are bounded.
type Listener struct {
	Name           string                  `json:"name"`
	Address        string                  `json:"address"` // where it listens
	TLS            smtpd.TLSMode           `json:"tls"`
	Auth           smtpd.AuthMode          `json:"auth"`
	Networks       []netip.Prefix          `json:"networks,omitempty"` // empty: any
	Open           int                     `json:"open"`               // connections
	Sessions       []smtpd.Session         `json:"sessions"`           // the oldest of these
	Refusals       []refusals.Refusal      `json:"refusals"`           // of the last week, the newest
	RefusedDevices []devices.RefusedDevice `json:"refused_devices"`
	AllowDevices   bool                    `json:"allow_devices"` // the list below counts
	Devices        []devices.Device        `json:"devices"`
	Window         *devices.Window         `json:"window,omitempty"` // that is open for learning
}
