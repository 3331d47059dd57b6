package devices

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"graphrelay/relay/config"
	"graphrelay/relay/reason"
	"graphrelay/relay/refusals"
	"graphrelay/relay/smtpd"
)

// RefusedDevice is a client that a listener refuses again and again, because its address is not in
// the networks, it has no password, or its sender is not allowed.
type RefusedDevice struct {
	refusals.Refusal
	// Lines are what lets the device send, as YAML for the configuration. Where says where they go.
	Lines string `json:"lines" doc:"The lines that would let the device send, as YAML."`
	Where string `json:"where" doc:"Where in the configuration they belong."`
	// Allowable reports whether Allow could let it in. WhyNot is why not.
	Allowable bool   `json:"allowable" doc:"Whether the list of devices can let it in."`
	WhyNot    string `json:"why_not,omitempty" doc:"Why the list cannot."`
}

// again is how often a client is refused before it is taken for a device: others come once.
const again = 2

// maxRefusedDevices bounds how many are returned for a listener.
const maxRefusedDevices = 50

// Refused returns the devices among the refusals of a listener, those that were refused last first.
func (l *List) Refused(cfg *config.Config, listener string, list []refusals.Refusal) []RefusedDevice {
	found := []RefusedDevice{}
	i := slices.IndexFunc(cfg.Listeners, func(o config.Listener) bool { return o.Name == listener })
	if i < 0 {
		return found
	}
	of := &cfg.Listeners[i]
	for _, r := range list {
		d := RefusedDevice{Refusal: r}
		if r.Count < again || config.InNetworks(of.DenyNetworks, r.Client) || l.blocked(listener, r.Client) || !d.suggest(cfg, of) {
			continue
		}
		if found = append(found, d); len(found) == maxRefusedDevices {
			break
		}
	}
	return found
}

func (l *List) blocked(listener string, client netip.Addr) bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.devices[key{listener, client}].Blocked
}

// suggest sets what would let the device send, and reports whether there is something.
func (d *RefusedDevice) suggest(cfg *config.Config, of *config.Listener) bool {
	switch {
	case d.Reason == reason.Network && len(of.Networks) > 0 && !config.InNetworks(of.Networks, d.Client):
		d.Lines, d.Where = networkLines(of, d.Client), "in the listener "+of.Name+", in place of its networks"
		d.Allowable, d.WhyNot = of.AllowDevices, "The configuration of this listener does not have allow_devices."
		if err := allowable(of, d.Client); d.Allowable && err != nil {
			d.Allowable, d.WhyNot = false, err.Error()
		}
	case d.Reason == reason.Auth && d.User == "":
		d.Lines, d.Where = passwordless(cfg, d.Client)
		d.WhyNot = "This listener asks for a password, which is never waived. Give the device a user, or have it use another listener."
	case d.Reason == reason.Sender:
		if d.Lines, d.Where = senderLines(cfg, d.Refusal); d.Lines == "" {
			return false
		}
		d.WhyNot = "Who may send as whom is in the configuration alone."
	default:
		return false
	}
	if d.Allowable {
		d.WhyNot = ""
	}
	return true
}

func networkLines(of *config.Listener, client netip.Addr) string {
	var b strings.Builder
	b.WriteString("networks:\n")
	for _, n := range of.Networks {
		b.WriteString("  - " + yamlNetwork(n) + "\n")
	}
	fmt.Fprintf(&b, "  - %q  # added on %s\n", client, time.Now().Format(time.DateOnly))
	return b.String()
}

func yamlNetwork(n netip.Prefix) string {
	if n.IsSingleIP() {
		return strconv.Quote(n.Addr().String())
	}
	return strconv.Quote(n.String())
}

// passwordless returns how a device can send that has no password.
func passwordless(cfg *config.Config, client netip.Addr) (lines, where string) {
	i := slices.IndexFunc(cfg.Listeners, func(o config.Listener) bool { return o.Auth == smtpd.AuthNone && len(o.Networks) > 0 })
	if i >= 0 {
		of := &cfg.Listeners[i]
		where = fmt.Sprintf("in the listener %s at %s, which asks for no password; have the device use that one", of.Name, of.Address)
		if config.InNetworks(of.Networks, client) {
			return "# nothing to add: its networks have the address already\n", where
		}
		return networkLines(of, client), where
	}
	return fmt.Sprintf("- name: devices\n  address: 0.0.0.0:2525\n  auth: none\n  networks: [%q]\n", client), "under listeners, as a listener without passwords; have the device use that one"
}

// senderLines returns the rule or the user's sender that would let a client send, or "" if its
// sender is no plain address.
func senderLines(cfg *config.Config, r refusals.Refusal) (lines, where string) {
	if _, err := config.ParsePattern(r.From); err != nil || strings.Contains(r.From, "*") || !smtpd.ValidAddress(r.From) {
		return "", ""
	}
	for _, u := range cfg.Users {
		if u.Name == r.User && !u.MaySendAs(r.From) {
			lines = "senders:\n"
			for _, s := range u.Senders {
				lines += fmt.Sprintf("  - %q\n", s.String())
			}
			return lines + fmt.Sprintf("  - %q\n", r.From), "in the user " + u.Name + ", in place of its senders"
		}
	}
	mailbox := cfg.SendingMailbox()
	if mailbox == "" {
		mailbox = "MAILBOX"
	}
	return fmt.Sprintf("- match: %q\n  networks: [%q]\n  mailbox: %q  # the mailbox that sends for it\n", r.From, r.Client, mailbox), "under senders, above rules that are for more senders"
}
