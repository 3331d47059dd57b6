package devices

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/relay/config"
	"graphrelay/relay/reason"
	"graphrelay/relay/refusals"
)

// suggestConfig has %s where suggested lines go: of a listener, of a user, and among the rules.
const suggestConfig = `
data_dir: DIR
listeners:
  - name: office
    address: 127.0.0.1:2525
    auth: none
    networks: [10.0.0.0/24, "fd00::/64"]
    allow_devices: true
  - {name: crm, address: "127.0.0.1:2526"}
users:
  - name: crm
    password_hash: "$2a$10$/tej6ss74DEVvMI13aZpsOEeHNkMKWSM3lr9912awyjPsLoRglj4C"
    senders: ["crm@contoso.test"]
connections:
  - {name: contoso, tenant: 11111111-1111-1111-1111-111111111111, client_id: 22222222-2222-2222-2222-222222222222, client_secret: s, domains: [contoso.test]}
senders:
  - {match: "alarm@plant.local", mailbox: alarm@contoso.test}
`

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "relay.yaml")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", filepath.ToSlash(dir))), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return cfg
}

func indent(lines string, by int) string {
	pad := "\n" + strings.Repeat(" ", by)
	return strings.TrimRight(pad+strings.ReplaceAll(strings.TrimRight(lines, "\n"), "\n", pad), " ")
}

// TestSuggestedLines puts what is suggested into the configuration, and sees that it is good and
// does what it says.
func TestSuggestedLines(t *testing.T) {
	cfg := parse(t, suggestConfig)
	l := newBench(t).List
	at := func(listener string, r refusals.Refusal) []RefusedDevice {
		r.Count = max(r.Count, again)
		return l.Refused(cfg, listener, []refusals.Refusal{r})
	}
	device := refusals.Refusal{Client: addr("10.0.1.5"), Reason: reason.Network}
	d := at("office", device)
	if len(d) != 1 || !d[0].Allowable || d[0].WhyNot != "" {
		t.Fatalf("not allowed yet: %+v", d)
	}
	next := parse(t, strings.Replace(suggestConfig, `
    networks: [10.0.0.0/24, "fd00::/64"]`, indent(d[0].Lines, 4), 1))
	if !config.InNetworks(next.Listeners[0].Networks, addr("10.0.1.5")) || len(next.Listeners[0].Networks) != 3 {
		t.Errorf("networks are %v", next.Listeners[0].Networks)
	}
	d = at("crm", refusals.Refusal{Client: addr("10.0.1.5"), Reason: reason.Auth})
	if len(d) != 1 || d[0].Allowable || !strings.Contains(d[0].Where, "listener office at 127.0.0.1:2525") || !strings.Contains(d[0].Lines, `- "10.0.1.5"`) {
		t.Errorf("without a password: %+v", d)
	}
	d = at("crm", refusals.Refusal{Client: addr("10.0.1.5"), Reason: reason.Sender, User: "crm", From: "erp@contoso.test"})
	next = parse(t, strings.Replace(suggestConfig, `
    senders: ["crm@contoso.test"]`, indent(d[0].Lines, 4), 1))
	if len(next.Users[0].Senders) != 2 || !next.Users[0].MaySendAs("erp@contoso.test") {
		t.Errorf("senders are %v", next.Users[0].Senders)
	}
	d = at("office", refusals.Refusal{Client: addr("fd00::5"), Reason: reason.Sender, From: "gate@plant.local"})
	next = parse(t, strings.Replace(suggestConfig, "senders:\n  - {", "senders:"+indent(d[0].Lines, 2)+"\n  - {", 1))
	if r := next.Senders[0]; !r.Applies("gate@plant.local", "gate@plant.local", "", "office", addr("fd00::5")) || r.Applies("gate@plant.local", "", "", "office", addr("fd00::6")) || r.Mailbox != "alarm@contoso.test" {
		t.Errorf("the rule is %+v", r)
	}
	for name, r := range map[string]refusals.Refusal{
		"a sender that is a pattern":  {Client: addr("10.0.0.5"), Reason: reason.Sender, From: "*@contoso.test"},
		"a sender that is no address": {Client: addr("10.0.0.5"), Reason: reason.Sender, From: "x\"\n  - match: \"*\"@plant.local"},
		"another reason":              {Client: addr("10.0.0.5"), Reason: reason.Size},
		"a wrong password":            {Client: addr("10.0.0.5"), Reason: reason.Auth, User: "crm"},
	} {
		if d := at("office", r); len(d) != 0 {
			t.Errorf("%s: suggests %+v", name, d)
		}
	}
	if d := l.Refused(cfg, "office", []refusals.Refusal{{Client: addr("10.0.1.5"), Reason: reason.Network, Count: 1}}); len(d) != 0 {
		t.Errorf("who came once is a device: %+v", d)
	}
	if _, err := l.Block(t.Context(), "otto", cfg, Request{Listener: "office", Address: device.Client}); err != nil {
		t.Fatal(err)
	}
	if d := at("office", device); len(d) != 0 {
		t.Errorf("a blocked device is offered: %+v", d)
	}
}
