package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"graphrelay/relay/attention"
)

// Alerts configures who hears of what needs an operator.
type Alerts struct {
	CheckEvery Duration         `yaml:"check_every"` // between two looks for conditions
	CloseAfter Duration         `yaml:"close_after"` // after which a condition that is gone is over
	PerHour    int              `yaml:"per_hour"`    // messages of one channel
	Mail       []AlertMail      `yaml:"mail"`
	Webhooks   []AlertWebhook   `yaml:"webhooks"`
	Conditions []AlertCondition `yaml:"conditions"`
	Digest     AlertDigest      `yaml:"digest"`
	Heartbeat  AlertHeartbeat   `yaml:"heartbeat"`
}

// AlertMail is a channel that sends mail.
type AlertMail struct {
	Name     string             `yaml:"name"`
	To       []string           `yaml:"to"`
	From     []string           `yaml:"from"` // mailboxes; the first that is not in trouble sends
	Severity attention.Severity `yaml:"severity"`
}

// AlertWebhook is a channel that posts to a URL. After Load, URL and Secret hold the values, also
// those that come from a file or the environment.
type AlertWebhook struct {
	Name       string             `yaml:"name"`
	URL        Secret             `yaml:"url"`
	URLFile    string             `yaml:"url_file"`
	URLEnv     string             `yaml:"url_env"`
	Format     AlertFormat        `yaml:"format"`
	Secret     Secret             `yaml:"secret"` // of the signature; see SigningKey
	SecretFile string             `yaml:"secret_file"`
	SecretEnv  string             `yaml:"secret_env"`
	Severity   attention.Severity `yaml:"severity"`
}

// AlertFormat is the form of what a webhook gets.
type AlertFormat string

// The forms.
const (
	AlertJSON  AlertFormat = "json"
	AlertTeams AlertFormat = "teams"
	AlertSlack AlertFormat = "slack"
)

// Values implements enumeration.
func (AlertFormat) Values() []string { return values(AlertJSON, AlertTeams, AlertSlack) }

// AlertCondition changes when a condition of the catalogue holds, and who hears of it.
type AlertCondition struct {
	ID       string             `yaml:"id"`
	Above    Threshold          `yaml:"above"`    // or below, for what is compared that way
	Within   Duration           `yaml:"within"`   // what is counted
	For      Duration           `yaml:"for"`      // how long it has to hold
	Severity attention.Severity `yaml:"severity"` // empty: the catalogue's
	Send     bool               `yaml:"send"`     // false: it is only shown
}

// AlertDigest is a daily summary by mail.
type AlertDigest struct {
	At string `yaml:"at"` // the local time, as 07:00; empty: none is sent
}

// AlertHeartbeat is a URL that is requested while the relay takes mail, so that another service
// notices when it no longer is.
type AlertHeartbeat struct {
	URL     Secret   `yaml:"url"`
	URLFile string   `yaml:"url_file"`
	URLEnv  string   `yaml:"url_env"`
	Every   Duration `yaml:"every"`
}

// Threshold is a number, or a length of time in seconds. Unset is none.
type Threshold struct {
	Value float64
	Set   bool
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *Threshold) UnmarshalText(text []byte) error {
	if n, err := strconv.ParseFloat(string(text), 64); err == nil && n >= 0 && n < 1e15 {
		*t = Threshold{n, true}
		return nil
	}
	d, ok := parseDuration(string(text))
	if !ok {
		return fmt.Errorf("is %s; write a number such as 20, or a duration such as 30m", quote(string(text)))
	}
	*t = Threshold{d.Seconds(), true}
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (t Threshold) MarshalText() ([]byte, error) {
	if !t.Set {
		return nil, nil
	}
	return strconv.AppendFloat(nil, t.Value, 'f', -1, 64), nil
}

func (m *AlertMail) setDefaults()      { m.Severity = attention.Warning }
func (c *AlertCondition) setDefaults() { c.Send = true }
func (w *AlertWebhook) setDefaults() {
	w.Format, w.Severity = AlertJSON, attention.Warning
}

func (w *AlertWebhook) url() secretSource {
	return secretSource{name: "url", value: &w.URL, file: w.URLFile, env: w.URLEnv}
}

func (w *AlertWebhook) secret() secretSource {
	return secretSource{name: "secret", value: &w.Secret, file: w.SecretFile, env: w.SecretEnv}
}

func (h *AlertHeartbeat) url() secretSource {
	return secretSource{name: "url", value: &h.URL, file: h.URLFile, env: h.URLEnv}
}

// SigningKey returns the key of a webhook's signatures, nil for none. The secret is written as
// Standard Webhooks does: whsec_ and the key in base64.
func (w *AlertWebhook) SigningKey() []byte {
	key, err := signingKey(w.Secret.Reveal())
	if err != nil {
		return nil
	}
	return key
}

func signingKey(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	encoded, ok := strings.CutPrefix(text, "whsec_")
	key, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil || len(key) < 24 || len(key) > 64 {
		return nil, errors.New("is not whsec_ and 24 to 64 bytes in base64; create one with: echo whsec_$(openssl rand -base64 32)")
	}
	return key, nil
}

// maxChannels bounds the channels, and how many addresses each has.
const maxChannels = 20

func (v validator) alerts() {
	a := &v.cfg.Alerts
	within(v, "alerts.check_every", a.CheckEvery, seconds(1), minutes(10))
	within(v, "alerts.close_after", a.CloseAfter, seconds(1), minutes(24*60))
	within(v, "alerts.per_hour", a.PerHour, 2, 1000)
	if n := len(a.Mail) + len(a.Webhooks); n > maxChannels {
		v.fault("alerts", "has %d channels; keep %d or fewer", n, maxChannels)
	}
	names := v.names()
	names.first["heartbeat"] = "alerts.heartbeat" // it is counted under that name
	for i := range a.Mail {
		v.alertMail(fmt.Sprintf("alerts.mail[%d]", i), &a.Mail[i], names)
	}
	for i := range a.Webhooks {
		w, key := &a.Webhooks[i], fmt.Sprintf("alerts.webhooks[%d]", i)
		names.check(key+".name", w.Name, plainName, "write a name of letters, digits, - and _")
		v.secret(key, w.url())
		v.optionalSecret(key, w.secret())
	}
	v.alertConditions()
	if v.has("alerts.digest") {
		if _, err := time.Parse("15:04", a.Digest.At); err != nil {
			v.fault("alerts.digest.at", "is %s; write a time of the day such as \"07:00\", in quotes", quote(a.Digest.At))
		}
		if len(a.Mail) == 0 {
			v.fault("alerts.digest", "has nobody to send it to; add a channel to alerts.mail")
		}
	}
	if v.has("alerts.heartbeat") {
		v.secret("alerts.heartbeat", a.Heartbeat.url())
	}
	within(v, "alerts.heartbeat.every", a.Heartbeat.Every, seconds(1), minutes(24*60))
}

func (v validator) alertMail(key string, m *AlertMail, names names) {
	names.check(key+".name", m.Name, plainName, "write a name of letters, digits, - and _")
	v.requireList(key+".to", len(m.To), "list the addresses that get the alerts")
	if len(m.To) > maxChannels || len(m.From) > maxChannels {
		v.fault(key, "has more than %d addresses; use that of a group", maxChannels)
	}
	for i, to := range m.To {
		if checkAddress(to) != nil {
			v.fault(fmt.Sprintf("%s.to[%d]", key, i), "is %s, which is not a mail address; write one such as operators@contoso.test", quote(to))
		}
	}
	v.requireList(key+".from", len(m.From), "list the mailboxes that send the alerts, the preferred one first")
	for i, from := range m.From {
		at := fmt.Sprintf("%s.from[%d]", key, i)
		v.mailbox(at, from, "")
		if c := v.cfg.ConnectionOf(from); c != nil && c.SignIn == SignInPassThrough {
			v.fault(at, "belongs to the connection %s, whose credentials are the clients'; choose a mailbox of another connection", c.Name)
		}
	}
}

func (v validator) alertConditions() {
	names := v.names()
	for i, c := range v.cfg.Alerts.Conditions {
		key := fmt.Sprintf("alerts.conditions[%d]", i)
		names.check(key+".id", c.ID, func(id string) bool { return slices.Contains(attention.IDs(), id) },
			"use one of "+strings.Join(attention.IDs(), ", "))
		for _, k := range attention.Catalogue() {
			switch {
			case k.ID != c.ID:
			case k.Within == 0 && c.Within != 0:
				v.fault(key+".within", "is given, but %s counts nothing over time; remove the key", c.ID)
			case !k.Adjustable() && c.Above.Set:
				v.fault(key+".above", "is given, but %s is compared with no number; remove the key", c.ID)
			}
		}
		if v.has(key + ".within") {
			within(v, key+".within", c.Within, seconds(1), minutes(7*24*60))
		}
		within(v, key+".for", c.For, 0, minutes(24*60))
	}
}

// Kinds returns the catalogue as the configuration changes it.
func (a *Alerts) Kinds() []attention.Kind {
	all := attention.Catalogue()
	for i := range all {
		k := &all[i]
		k.Clear = time.Duration(a.CloseAfter)
		for _, c := range a.Conditions {
			if c.ID == k.ID {
				c.change(k)
			}
		}
	}
	return all
}

func (c AlertCondition) change(k *attention.Kind) {
	if c.Above.Set {
		k.Limit = c.Above.Value
	}
	if c.Within != 0 {
		k.Within = time.Duration(c.Within)
	}
	if c.For != 0 {
		k.For = time.Duration(c.For)
	}
	if c.Severity != "" {
		k.Severity = c.Severity
	}
}

// Sends reports whether a condition is sent to channels.
func (a *Alerts) Sends(id string) bool {
	return !slices.ContainsFunc(a.Conditions, func(c AlertCondition) bool { return c.ID == id && !c.Send })
}

// readAlerts reads the secrets of the channels, and checks them.
func readAlerts(a *Alerts, r *report) {
	for i := range a.Webhooks {
		w, key := &a.Webhooks[i], fmt.Sprintf("alerts.webhooks[%d]", i)
		readSecret(w.url(), key, r)
		readSecret(w.secret(), key, r)
		checkHook(key+".url", w.URL, r)
		if _, err := signingKey(w.Secret.Reveal()); err != nil {
			r.fault(key+".secret", "%s", err)
		}
	}
	readSecret(a.Heartbeat.url(), "alerts.heartbeat", r)
	checkHook("alerts.heartbeat.url", a.Heartbeat.URL, r)
}

// checkHook checks a URL that may be a secret, which the fault does not show.
func checkHook(key string, hook Secret, r *report) {
	if hook.Reveal() == "" {
		return
	}
	u, err := url.Parse(hook.Reveal())
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil:
		r.fault(key, "is not a URL; write one such as https://hooks.contoso.test/alerts")
	case u.Scheme == "http" && !isLoopbackHost(u.Hostname()):
		r.fault(key, "is http:// to another machine, so alerts would cross the network in plain text; write https://")
	}
}
