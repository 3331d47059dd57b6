package api

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"graphrelay/relay/config"
	"graphrelay/relay/devices"
	"graphrelay/relay/operations"
	"graphrelay/relay/operators"
)

// ListenerList is all listeners.
type ListenerList struct {
	Listeners []operations.Listener `json:"listeners" nullable:"false" doc:"The listeners of the configuration in use, in its order."`
}

// DeviceBody names a device at a listener.
type DeviceBody struct {
	Listener string     `json:"listener" maxLength:"64" doc:"The name of the listener." example:"devices"`
	Address  netip.Addr `json:"address" doc:"The IP address of the device." example:"192.168.7.20"`
	Why      string     `json:"why,omitempty" maxLength:"200" doc:"For those who read the list later."`
}

type allowInput struct {
	Body struct {
		DeviceBody
		Senders []config.Pattern `json:"senders" minItems:"1" maxItems:"10" doc:"As which it may send: addresses, or patterns such as *@contoso.com."`
	}
}

type deviceInput struct{ Body DeviceBody }

type windowInput struct {
	Body struct {
		Listener string       `json:"listener" maxLength:"64" doc:"The name of the listener."`
		Minutes  int          `json:"minutes" minimum:"1" maximum:"60" doc:"How long it is open."`
		Network  netip.Prefix `json:"network" doc:"Whose devices are learnt: a private network, or at most a /24 or an IPv6 /64." example:"192.168.7.0/24"`
		Domain   string       `json:"domain" maxLength:"253" doc:"Of the senders." example:"contoso.com"`
		Why      string       `json:"why,omitempty" maxLength:"200" doc:"For those who read the audit log later."`
	}
}

type listenerInput struct {
	Body struct {
		Listener string `json:"listener" maxLength:"64" doc:"The name of the listener."`
	}
}

// addListeners adds what concerns listeners and the devices that operators allow there. Who widens
// who may send has to be an admin, who narrows it an operator.
func (s *server) addListeners() {
	add(s, operation{id: "list-listeners", method: http.MethodGet, path: "/listeners", tag: "listeners", role: operators.Viewer,
		summary: "List listeners", description: "Lists the listeners with their sessions, the refusals of the last week, the devices that are refused again and again, and those that operators allow."},
		func(ctx context.Context, _ *struct{}) (*body[ListenerList], error) {
			list, err := s.edge.Listeners(ctx)
			return answer(ListenerList{append([]operations.Listener{}, list...)}, err)
		})
	add(s, operation{id: "allow-device", method: http.MethodPost, path: "/devices/allow", tag: "listeners", role: operators.Admin,
		summary: "Allow a device", description: "Lets a device send through a listener without a password although its address is not in the networks, or adds senders to one that is allowed. The listener needs allow_devices."},
		func(ctx context.Context, in *allowInput) (*body[devices.Device], error) {
			b := in.Body
			return answer(s.edge.AllowDevice(ctx, by(ctx), devices.Request{Listener: b.Listener, Address: b.Address, Senders: b.Senders, Why: b.Why}))
		})
	add(s, operation{id: "block-device", method: http.MethodPost, path: "/devices/block", tag: "listeners", role: operators.Operator,
		summary: "Block a device", description: "Keeps a device from being let in by the list, and from being learnt. The networks of the configuration stay as they are."},
		func(ctx context.Context, in *deviceInput) (*body[devices.Device], error) {
			return answer(s.edge.BlockDevice(ctx, by(ctx), devices.Request{Listener: in.Body.Listener, Address: in.Body.Address, Why: in.Body.Why}))
		})
	add(s, operation{id: "remove-device", method: http.MethodPost, path: "/devices/remove", tag: "listeners", role: operators.Operator,
		summary: "Remove a device", description: "Removes a device, or the block of one, from the list.", errors: []int{http.StatusNotFound}},
		func(ctx context.Context, in *deviceInput) (*struct{}, error) {
			return nil, s.edge.RemoveDevice(ctx, by(ctx), in.Body.Listener, in.Body.Address)
		})
	add(s, operation{id: "open-learning-window", method: http.MethodPost, path: "/devices/learn", tag: "listeners", role: operators.Admin,
		summary: "Open a learning window", description: "For some minutes, lets in the devices of a network that send from a domain, and learns each of them after a message that was accepted."},
		func(ctx context.Context, in *windowInput) (*body[devices.Window], error) {
			b := in.Body
			return answer(s.edge.OpenWindow(ctx, by(ctx), devices.Opening{Listener: b.Listener, Length: time.Duration(b.Minutes) * time.Minute, Network: b.Network, Domain: b.Domain, Why: b.Why}))
		})
	add(s, operation{id: "close-learning-window", method: http.MethodPost, path: "/devices/learn/close", tag: "listeners", role: operators.Operator,
		summary: "Close a learning window", description: "Ends the learning window of a listener. What was learnt stays."},
		func(ctx context.Context, in *listenerInput) (*struct{}, error) {
			return nil, s.edge.CloseWindow(ctx, by(ctx), in.Body.Listener)
		})
}

var _ operations.Edge = Client{}

// Listeners implements operations.Edge.
func (c Client) Listeners(ctx context.Context) ([]operations.Listener, error) {
	l, err := get[ListenerList](ctx, c, "/listeners", nil)
	return l.Listeners, err
}

// AllowDevice implements operations.Edge.
func (c Client) AllowDevice(ctx context.Context, _ string, d devices.Request) (devices.Device, error) {
	var in allowInput
	in.Body.DeviceBody, in.Body.Senders = DeviceBody{d.Listener, d.Address, d.Why}, d.Senders
	return post[devices.Device](ctx, c, "/devices/allow", in.Body)
}

// BlockDevice implements operations.Edge.
func (c Client) BlockDevice(ctx context.Context, _ string, d devices.Request) (devices.Device, error) {
	return post[devices.Device](ctx, c, "/devices/block", DeviceBody{d.Listener, d.Address, d.Why})
}

// RemoveDevice implements operations.Edge.
func (c Client) RemoveDevice(ctx context.Context, _, listener string, address netip.Addr) error {
	_, err := post[struct{}](ctx, c, "/devices/remove", DeviceBody{Listener: listener, Address: address})
	return err
}

// OpenWindow implements operations.Edge.
func (c Client) OpenWindow(ctx context.Context, _ string, o devices.Opening) (devices.Window, error) {
	var in windowInput
	in.Body.Listener, in.Body.Minutes, in.Body.Network, in.Body.Domain, in.Body.Why = o.Listener, int(o.Length/time.Minute), o.Network, o.Domain, o.Why
	return post[devices.Window](ctx, c, "/devices/learn", in.Body)
}

// CloseWindow implements operations.Edge.
func (c Client) CloseWindow(ctx context.Context, _, listener string) error {
	_, err := post[struct{}](ctx, c, "/devices/learn/close", map[string]string{"listener": listener})
	return err
}
