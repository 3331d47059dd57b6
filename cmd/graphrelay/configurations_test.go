package main_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestBrokenConfigurations wants exit status 2, and file and line of the fault.
func TestBrokenConfigurations(t *testing.T) {
	t.Parallel()
	sim := startSim(t)
	for name, e := range map[string]edit{
		"unknown-key":   {"hostname:", "hostnam:"},
		"bad-value":     {"tls: starttls", "tls: startls"},
		"bad-size":      {"message_size: 150MiB", "message_size: much"},
		"open-relay":    {"networks: [127.0.0.0/8]", "networks: [0.0.0.0/0]"},
		"no-such-file":  {"cert_file: relay.crt", "cert_file: missing.crt"},
		"password-hash": {"$2a$10$/tej6ss74DEVvMI13aZpsOEeHNkMKWSM3lr9912awyjPsLoRglj4C", "crm-secret"},
		"endpoint":      {"tenant: 11111111-1111-1111-1111-111111111111", "tenant: ''"},
		"not-yaml":      {"connections: ", "connections: ] "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			relay := newRelay(t, sim, e)
			text, err := os.ReadFile(relay.config)
			if err != nil {
				t.Fatal(err)
			}
			before, _, _ := strings.Cut(string(text), e.new)
			place := fmt.Sprintf("relay.yaml:%d", strings.Count(before, "\n")+1)
			for _, verb := range []string{"check", "serve"} {
				got := command(t, "", verb, "--config", relay.config)
				if got.status != 2 || !strings.Contains(got.stderr, place) {
					t.Errorf("%s: status %d, want 2; want %s in\n%s", verb, got.status, place, got.stderr)
				}
				if strings.Contains(got.stderr, crmPassword) {
					t.Errorf("%s shows a secret: %s", verb, got.stderr)
				}
			}
		})
	}
}

// TestSecondRelay wants a refusal, not two relays on one queue.
func TestSecondRelay(t *testing.T) {
	t.Parallel()
	sim := startSim(t)
	relay := startRelay(t, sim)
	if got := command(t, "", "serve", "--config", relay.config); got.status != 1 || got.stderr == "" {
		t.Errorf("a second serve: status %d, %q", got.status, got.stderr)
	}
}
