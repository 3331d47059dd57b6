package console

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"graphrelay/relay/config"
	"graphrelay/relay/devices"
	"graphrelay/relay/operations"
	"graphrelay/relay/operators"
)

// What a role may do here: who narrows who may send is an operator, who widens it an admin.
const (
	mayNarrow = operators.Operator
	mayWiden  = operators.Admin
)

// listenersPage says who is connected, who was refused and why, and lets devices in.
func listenersPage() page {
	return page{path: "listeners", name: "Listeners", file: "listeners.html", view: (*Console).listeners, actions: []action{
		{path: "listeners/remove", role: mayNarrow, do: (*Console).removeDevice},
		{path: "listeners/block", role: mayNarrow, do: (*Console).blockDevice},
		{path: "listeners/close", role: mayNarrow, do: (*Console).closeWindow},
	}}
}

// allowPage has the form with which a device is allowed.
func allowPage() page {
	return page{path: "listeners/allow", within: "listeners", title: "Allow a device", file: "allow.html", view: (*Console).allowForm,
		actions: []action{{path: "listeners/allow", role: mayWiden, do: (*Console).allowDevice}}}
}

// learnPage has the form with which a learning window is opened.
func learnPage() page {
	return page{path: "listeners/learn", within: "listeners", title: "Open a learning window", file: "learn.html", view: (*Console).learnForm,
		actions: []action{{path: "listeners/learn", role: mayWiden, do: (*Console).openWindow}}}
}

type listenersView struct {
	Listeners []operations.Listener
	Widen     bool // the person may allow devices
	Narrow    bool // the person may remove and block them
}

// listenerView is a listener as a part of the page gets it.
type listenerView struct {
	operations.Listener
	Widen, Narrow bool
}

// Each returns the listeners, each with what the person may do.
func (v listenersView) Each() (all []listenerView) {
	for _, l := range v.Listeners {
		all = append(all, listenerView{l, v.Widen, v.Narrow})
	}
	return all
}

func (c *Console) listeners(r *http.Request) (any, error) {
	list, err := c.cfg.Edge.Listeners(r.Context())
	role := operators.Of(r.Context()).Role
	return listenersView{list, role >= mayWiden, role >= mayNarrow}, err
}

// listener returns the listener that a request names.
func (c *Console) listener(r *http.Request) (operations.Listener, error) {
	list, err := c.cfg.Edge.Listeners(r.Context())
	if err != nil {
		return operations.Listener{}, err
	}
	i := slices.IndexFunc(list, func(l operations.Listener) bool { return l.Name == r.URL.Query().Get("listener") })
	if i < 0 {
		return operations.Listener{}, fault{http.StatusNotFound, "The configuration has no such listener."}
	}
	return list[i], nil
}

type allowView struct {
	Listener operations.Listener
	Client   string
	Public   bool // everyone behind its router has this address too
}

func (c *Console) allowForm(r *http.Request) (any, error) {
	l, err := c.listener(r)
	if err != nil {
		return nil, err
	}
	client, err := netip.ParseAddr(r.URL.Query().Get("client"))
	if err != nil {
		return allowView{Listener: l}, nil
	}
	return allowView{l, client.String(), !client.IsPrivate() && !client.IsLinkLocalUnicast()}, nil
}

type learnView struct {
	Listener operations.Listener
	Most     int // minutes
}

func (c *Console) learnForm(r *http.Request) (any, error) {
	l, err := c.listener(r)
	return learnView{l, int(devices.MaxWindow / time.Minute)}, err
}

// deviceOf reads the device that a form names.
func deviceOf(r *http.Request) (d devices.Request, err error) {
	address := strings.TrimSpace(r.PostForm.Get("client"))
	d = devices.Request{Listener: r.PostForm.Get("listener"), Why: r.PostForm.Get("why")}
	if d.Address, err = netip.ParseAddr(address); err != nil {
		return d, errors.New("the address is not an IP address, such as 192.168.1.20")
	}
	for _, s := range strings.FieldsFunc(r.PostForm.Get("senders"), func(r rune) bool { return strings.ContainsRune(" ,;\r\n\t", r) }) {
		p, err := config.ParsePattern(s)
		if err != nil {
			return d, fmt.Errorf("a sender %w", err)
		}
		d.Senders = append(d.Senders, p)
	}
	return d, nil
}

func (c *Console) allowDevice(r *http.Request) (done string, err error) {
	d, err := deviceOf(r)
	if err != nil {
		return "", err
	}
	allowed, err := c.cfg.Edge.AllowDevice(r.Context(), by(r), d)
	return fmt.Sprintf("%s may send through the listener %s now.", allowed.Address, allowed.Listener), err
}

func (c *Console) blockDevice(r *http.Request) (done string, err error) {
	d, err := deviceOf(r)
	if err != nil {
		return "", err
	}
	d.Senders = nil
	_, err = c.cfg.Edge.BlockDevice(r.Context(), by(r), d)
	return fmt.Sprintf("%s is blocked: the list of devices lets it in no more.", d.Address), err
}

func (c *Console) removeDevice(r *http.Request) (done string, err error) {
	d, err := deviceOf(r)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s is no longer in the list of devices.", d.Address), c.cfg.Edge.RemoveDevice(r.Context(), by(r), d.Listener, d.Address)
}

func (c *Console) openWindow(r *http.Request) (done string, err error) {
	minutes, err := strconv.Atoi(strings.TrimSpace(r.PostForm.Get("minutes")))
	if err != nil || minutes < 0 || minutes > 24*60 {
		return "", errors.New("the minutes are not a number")
	}
	network, err := netip.ParsePrefix(strings.TrimSpace(r.PostForm.Get("network")))
	if err != nil {
		return "", errors.New("the network is not a prefix, such as 192.168.1.0/24")
	}
	w, err := c.cfg.Edge.OpenWindow(r.Context(), by(r), devices.Opening{
		Listener: r.PostForm.Get("listener"), Length: time.Duration(minutes) * time.Minute, Network: network,
		Domain: strings.TrimPrefix(strings.TrimSpace(r.PostForm.Get("domain")), "@"), Why: r.PostForm.Get("why"),
	})
	return fmt.Sprintf("The listener %s learns devices of %s until %s. Have each of them send a message now.", w.Listener, w.Network, exact(w.Until)), err
}

func (c *Console) closeWindow(r *http.Request) (done string, err error) {
	return "The learning window is closed. Devices that were learnt stay in the list.", c.cfg.Edge.CloseWindow(r.Context(), by(r), r.PostForm.Get("listener"))
}
