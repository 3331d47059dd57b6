package devices

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"graphrelay/internal/mailaddr"
	"graphrelay/internal/text"
	"graphrelay/relay/config"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
	"graphrelay/relay/smtpd"
)

// The bounds of a learning window.
const (
	MaxWindow = time.Hour
	maxLearnt = 200 // devices in one window
)

// Window is a learning window: for some time, clients of a network that send from a domain are
// let in, and learnt after a message that was accepted.
type Window struct {
	Listener string       `json:"listener" doc:"The name of the listener."`
	Network  netip.Prefix `json:"network" doc:"The network whose devices are learnt."`
	Domain   string       `json:"domain" doc:"The domain of their senders."`
	By       string       `json:"by" doc:"Who opened the window."`
	Why      string       `json:"why,omitempty" doc:"What the operator wrote about it."`
	Opened   time.Time    `json:"opened" doc:"When it was opened."`
	Until    time.Time    `json:"until" doc:"When it ends."`
	Learnt   int          `json:"learnt" doc:"How many devices were learnt so far."`
	Full     bool         `json:"full" doc:"Whether no more devices can be learnt."`
}

type window struct {
	Window
	started time.Time // with the reading of the monotonic clock
	length  time.Duration
	timer   *time.Timer
}

// open reports whether the window has not ended. A clock that is set back does not lengthen it:
// the monotonic clock counts too. One that stands still while the machine sleeps does not either,
// since the wall clock goes on.
func (w *window) open(now time.Time) bool {
	return w != nil && time.Since(w.started) < w.length && now.Round(0).Before(w.Until)
}

// Opening is a request to open a learning window.
type Opening struct {
	Listener string
	Length   time.Duration // up to MaxWindow
	Network  netip.Prefix
	Domain   string // of the senders
	Why      string
}

// Open opens a learning window. It is kept in memory alone, so that it ends with the process.
func (l *List) Open(ctx context.Context, by string, cfg *config.Config, o Opening) (Window, error) {
	of, err := l.listener(cfg, o.Listener)
	if err != nil {
		return Window{}, err
	}
	if o.Length < time.Minute || o.Length > MaxWindow {
		return Window{}, refuse("a learning window is open for 1 to %d minutes", int(MaxWindow.Minutes()))
	}
	network, err := config.LearningNetwork(o.Network)
	if err != nil {
		return Window{}, Refused(err.Error())
	}
	domain, err := mailaddr.Domain(o.Domain)
	if err != nil {
		return Window{}, refuse("name the domain of the senders, such as contoso.test")
	}
	l.saving.Lock()
	defer l.saving.Unlock()
	now := time.Now()
	w := &window{started: now, length: o.Length, Window: Window{Listener: of.Name, Network: network, Domain: domain, By: by, Why: clean(o.Why),
		Opened: l.now().UTC().Round(0), Until: l.now().UTC().Round(0).Add(o.Length)}}
	if old := l.window(of.Name); old != nil {
		return Window{}, refuse("the listener %s has a learning window already, until %s; close it first", of.Name, old.Until.Format(time.TimeOnly+" UTC"))
	}
	what := fmt.Sprintf("listener %s, network %s, senders *@%s, %s", of.Name, network, domain, o.Length)
	if err := l.Audit(ctx, queue.Audit{ID: queue.NewID(l.now()), At: l.now(), By: by, Action: "open learning window", On: what, Changed: 1}); err != nil {
		return Window{}, fmt.Errorf("record it in the audit log: %w", err)
	}
	l.Log().Warn("learning window opened: devices of the network are let in and learnt", "listener", of.Name, "network", network.String(),
		"domain", domain, "until", w.Until.Format(time.RFC3339), "by", text.Printable(by))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.windows[of.Name] = w
	w.timer = time.AfterFunc(o.Length, func() { l.end(w, "its time is over") })
	return w.Window, nil
}

// Close ends the learning window of a listener.
func (l *List) Close(ctx context.Context, by, listener string) error {
	l.mu.Lock()
	w := l.windows[listener]
	l.mu.Unlock()
	if w == nil {
		return refuse("the listener has no learning window")
	}
	l.end(w, "closed by "+text.Printable(by))
	return l.Audit(ctx, queue.Audit{ID: queue.NewID(l.now()), At: l.now(), By: by, Action: "close learning window", On: "listener " + listener, Changed: 1})
}

// Windows returns the learning windows that are open.
func (l *List) Windows() []Window {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	all := []Window{}
	for _, w := range l.windows {
		if w.open(l.now()) {
			all = append(all, w.Window)
		}
	}
	slices.SortFunc(all, func(a, b Window) int { return a.Opened.Compare(b.Opened) })
	return all
}

// Reconfigure ends the windows that a new configuration does not permit.
func (l *List) Reconfigure(cfg *config.Config) {
	l.mu.Lock()
	var over []*window
	for name, w := range l.windows {
		if _, err := l.listener(cfg, name); err != nil {
			over = append(over, w)
		}
	}
	l.mu.Unlock()
	for _, w := range over {
		l.end(w, "the configuration no longer permits it")
	}
}

// Stop ends all windows.
func (l *List) Stop() { l.Reconfigure(&config.Config{}) }

// window returns the window of a listener if it is open, else nil.
func (l *List) window(listener string) *window {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.openWindow(listener)
}

// openWindow is window with the lock held.
func (l *List) openWindow(listener string) *window {
	if w := l.windows[listener]; w.open(l.now()) {
		return w
	}
	return nil
}

// end removes a window, and logs why. It does nothing if that has been done.
func (l *List) end(w *window, why string) {
	l.mu.Lock()
	current := l.windows[w.Listener] == w
	learnt := w.Learnt
	if current {
		delete(l.windows, w.Listener)
		w.timer.Stop()
	}
	l.mu.Unlock()
	if current {
		l.Log().Warn("learning window ended", "listener", w.Listener, "network", w.Network.String(), "learnt", learnt, "why", why)
	}
}

// Admits reports whether a client may connect to a listener although its address is not in the
// networks: it is in the list, or a learning window is open for it.
func (l *List) Admits(of *config.Listener, client netip.Addr) bool {
	if l == nil || of == nil || !of.AllowDevices || allowable(of, client) != nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	d, listed := l.devices[key{of.Name, client}]
	if listed {
		return !d.Blocked
	}
	w := l.openWindow(of.Name)
	return w != nil && w.Network.Contains(client)
}

// Check returns the refusal of a sender, if a client that Admits has let in may not send as it:
// the list has other senders for the device, or it may not be learnt with this one. Meanwhile
// the device may have been removed, and the window have ended.
func (l *List) Check(of *config.Listener, client netip.Addr, senders ...string) error {
	if !l.Admits(of, client) {
		return &smtpd.Refusal{Code: 550, Enhanced: [3]int{5, 7, 1}, Reason: reason.Network,
			Text: "Your address is no longer allowed on this listener; ask the administrator"}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	d, listed := l.devices[key{of.Name, client}]
	w := l.openWindow(of.Name)
	if len(senders) == 0 {
		return denied("The message names no sender: give it a From header or a MAIL FROM")
	}
	learning := w != nil && w.Network.Contains(client)
	for _, s := range senders {
		if listed && slices.ContainsFunc(d.Senders, func(p config.Pattern) bool { return p.Match(s) }) {
			continue
		}
		if err := l.learnable(w, learning, d, listed, s); err != nil {
			return err
		}
	}
	return nil
}

// learnable returns why a sender may not be learnt for a device.
func (l *List) learnable(w *window, learning bool, d Device, listed bool, sender string) error {
	_, domain := mailaddr.Split(sender)
	switch {
	case !learning:
		return denied("This device may not send as %s; ask the administrator to allow that", sender)
	case domain != w.Domain:
		return denied("Only senders of %s are accepted from a new device; correct the sender", w.Domain)
	case strings.Contains(sender, "*"): // a legal character, but as a pattern it stands for others
		return denied("A device is not learnt with the sender %s; ask the administrator to allow it", sender)
	case listed && len(d.Senders) >= maxSenders:
		return denied("This device has as many senders as it may; ask the administrator to allow %s", sender)
	case !listed && (w.Learnt >= maxLearnt || len(l.devices) >= maxDevices):
		return &smtpd.Refusal{Code: 550, Enhanced: [3]int{5, 7, 1}, Reason: reason.Network,
			Text: "As many new devices were accepted as may be; ask the administrator to add yours"}
	}
	return nil
}

func denied(format string, args ...any) error {
	return &smtpd.Refusal{Code: 550, Enhanced: [3]int{5, 7, 1}, Reason: reason.Sender, Text: fmt.Sprintf(format, args...)}
}

// Learn adds a device, or senders to it, after a message that was accepted from it, if its
// window is still open.
func (l *List) Learn(ctx context.Context, of *config.Listener, client netip.Addr, senders ...string) {
	l.saving.Lock()
	defer l.saving.Unlock()
	d, by, ok := l.learnt(of, client, senders)
	if !ok {
		return
	}
	log := l.Log().With("listener", d.Listener, "client", client.String(), "senders", len(d.Senders), "window_by", text.Printable(by))
	a := queue.Audit{ID: queue.NewID(l.now()), At: l.now(), By: by, Action: "learn device", On: key{d.Listener, client}.String()}
	err := l.Audit(ctx, a)
	if err == nil {
		err = l.store(ctx, d, false)
	}
	if err != nil {
		log.Error("cannot learn a device; it has to send again", "error", err)
		return
	}
	a.Changed = 1
	err = l.Audit(ctx, a)
	log.Warn("device learnt: it may send from now on without a password", "sender", text.Shorten(text.Printable(senders[0]), 254))
	if err != nil {
		log.Error("cannot complete the audit log", "error", err)
	}
}

// learnt returns the device as it will be, and who opened the window, and counts it. ok is false if
// there is nothing to learn.
func (l *List) learnt(of *config.Listener, client netip.Addr, senders []string) (d Device, by string, ok bool) {
	if len(senders) == 0 || !l.Admits(of, client) {
		return d, "", false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.openWindow(of.Name)
	if w == nil || !w.Network.Contains(client) {
		return d, "", false
	}
	k := key{of.Name, client}
	d, listed := l.devices[k]
	before := len(d.Senders)
	for _, s := range senders {
		if listed && slices.ContainsFunc(d.Senders, func(p config.Pattern) bool { return p.Match(s) }) {
			continue
		}
		if p, err := config.ParsePattern(mailaddr.Canonical(s)); err == nil && l.learnable(w, true, d, listed, s) == nil && len(d.Senders) < maxSenders {
			d.Senders = merge(d.Senders, []config.Pattern{p})
		}
	}
	if len(d.Senders) == before {
		return d, "", false
	}
	if !listed {
		w.Learnt++
		w.Full = w.Learnt >= maxLearnt
		d.Listener, d.Address, d.Learnt, d.By, d.At, d.Why = k.listener, k.address, true, w.By, l.now().UTC().Round(0), w.Why
	}
	return d, w.By, true
}
