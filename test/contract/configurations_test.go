package contract

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

// TestBrokenConfigurations expects exit status 2, and the file and line of the fault.
func TestBrokenConfigurations(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	for name, e := range map[string]harness.Edit{
		"unknown-key":   harness.Replace("hostname:", "hostnam:"),
		"bad-value":     harness.Replace("tls: starttls", "tls: startls"),
		"bad-size":      harness.Replace("message_size: 150MiB", "message_size: much"),
		"open-relay":    harness.Replace("networks: [127.0.0.0/8]", "networks: [0.0.0.0/0]"),
		"no-such-file":  harness.Replace("cert_file: relay.crt", "cert_file: missing.crt"),
		"password-hash": harness.Replace("$2a$10$/tej6ss74DEVvMI13aZpsOEeHNkMKWSM3lr9912awyjPsLoRglj4C", "crm-secret"),
		"endpoint":      harness.Replace("tenant: 11111111-1111-1111-1111-111111111111", "tenant: ''"),
		"not-yaml":      harness.Replace("connections: ", "connections: ] "),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			relay := harness.NewRelay(t, sim, e)
			text, err := os.ReadFile(relay.Config)
			if err != nil {
				t.Fatal(err)
			}
			before, _, _ := strings.Cut(string(text), e.New)
			place := fmt.Sprintf("relay.yaml:%d", strings.Count(before, "\n")+1)
			for _, verb := range []string{"check", "serve"} {
				got := harness.Command(t, "", verb, "--config", relay.Config)
				if got.Status != 2 || !strings.Contains(got.Stderr, place) {
					t.Errorf("%s: status %d, want 2; want %s in\n%s", verb, got.Status, place, got.Stderr)
				}
				if strings.Contains(got.Stderr, harness.CRMPassword) {
					t.Errorf("%s shows a secret: %s", verb, got.Stderr)
				}
			}
		})
	}
}

// TestSecondRelay starts a second relay on the same queue, which must refuse to start.
func TestSecondRelay(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	relay := harness.StartRelay(t, sim)
	if got := harness.Command(t, "", "serve", "--config", relay.Config); got.Status != 1 || got.Stderr == "" {
		t.Errorf("a second serve: status %d, %q", got.Status, got.Stderr)
	}
}
