package config

import (
	"fmt"
	"strings"
	"testing"
)

const diffBefore = `
hostname: relay.contoso.test
data_dir: /data
listeners:
  - {name: devices, address: 127.0.0.1:2525, tls: none, auth: none, networks: [127.0.0.0/8]}
users:
  - {name: crm, password_hash: "$2a$10$/tej6ss74DEVvMI13aZpsOEeHNkMKWSM3lr9912awyjPsLoRglj4C", senders: ["*@contoso.test"]}
connections:
  - name: contoso
    tenant: 11111111-1111-1111-1111-111111111111
    client_id: 22222222-2222-2222-2222-222222222222
    client_secret: simulated
    domains: [contoso.test]
senders:
  - {match: "*@printers.local", mailbox: scanner@contoso.test}
admin: {address: "127.0.0.1:9025"}
`

// Each edit of a file shows as what it changes.
func TestDiff(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{"", "", ""},
		{"hostname: relay", "hostname: mail", "hostname: relay.contoso.test -> mail.contoso.test"},
		{"simulated", "another", "connections[contoso].client_secret: [redacted] -> [redacted]"},
		{"oRglj4C", "oRglj4D", "users[crm].password_hash: [redacted] -> [redacted]"},
		{"[contoso.test]", "[contoso.test, a.test]", "connections[contoso].domains: contoso.test -> contoso.test, a.test"},
		{"networks: [127.0.0.0/8]", "networks: [127.0.0.0/8], wait_for_delivery: 30s", "listeners[devices].wait_for_delivery:  -> 30s"},
		{"127.0.0.1:2525", "127.0.0.1:2526", "listeners[devices].address: 127.0.0.1:2525 -> 127.0.0.1:2526"},
		{"*@printers.local", "*@scanners.local", "senders[1].match: *@printers.local -> *@scanners.local"},
		{"\nadmin:", "\ndelivery: {give_up_after: 24h}\nadmin:", "delivery.give_up_after: 48h -> 24h"},
		{"\nadmin:", "\nrates: {user: {messages_per_minute: 5}}\nadmin:", "rates.user.messages_per_minute: 0 -> 5"},
		{"name: contoso", "name: other", "connections[other].name:  -> other"},
	} {
		changes := Diff(parsed(t, diffBefore), parsed(t, strings.Replace(diffBefore, c.old, c.new, 1)))
		var got []string
		for _, c := range changes {
			got = append(got, fmt.Sprintf("%s: %s -> %s", c.Key, c.From, c.To))
		}
		text := strings.Join(got, "\n")
		if c.want == "" && text != "" || !strings.Contains(text, c.want) || len(got) != 1 && !strings.Contains(c.old, "name") && c.want != "" {
			t.Errorf("%q in place of %q is told as\n%s", c.new, c.old, text)
		}
		if strings.Contains(text, "simulated") || strings.Contains(text, "another") || strings.Contains(text, "$2a$") {
			t.Errorf("a secret is shown: %s", text)
		}
	}
}

func parsed(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse([]byte(text), "relay.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Every setting has a text that says which value it has.
func TestDiffKnowsAllTypes(t *testing.T) {
	s := settingsOf(parsed(t, diffBefore))
	if len(s.keys) < 60 {
		t.Errorf("only %d settings were found", len(s.keys))
	}
	for key, v := range s.values {
		if !v.secret && strings.ContainsAny(v.text, "{}") || strings.HasPrefix(v.text, "0x") || strings.HasPrefix(v.text, "&") {
			t.Errorf("%s is %q", key, v.text)
		}
	}
}
