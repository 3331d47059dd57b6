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
	Name           string                  `json:"name" doc:"The name of the listener."`
	Address        string                  `json:"address" doc:"Where it listens."`
	TLS            smtpd.TLSMode           `json:"tls" doc:"When TLS begins: none, starttls or implicit."`
	Auth           smtpd.AuthMode          `json:"auth" doc:"Whether clients sign in: none, optional or required."`
	Networks       []netip.Prefix          `json:"networks,omitempty" doc:"From where clients may connect; from everywhere if it is empty."`
	Open           int                     `json:"open" doc:"How many connections are open."`
	Sessions       []smtpd.Session         `json:"sessions" doc:"The oldest of these connections."`
	Refusals       []refusals.Refusal      `json:"refusals" doc:"Who was refused within the last week, newest first."`
	RefusedDevices []devices.RefusedDevice `json:"refused_devices" doc:"The devices that are refused again and again."`
	AllowDevices   bool                    `json:"allow_devices" doc:"Whether the list of devices counts."`
	Devices        []devices.Device        `json:"devices" doc:"The devices that operators have allowed or blocked, and those that were learnt."`
	Window         *devices.Window         `json:"window,omitempty" doc:"The learning window that is open."`
}
