package config

import (
	"net/netip"
	"testing"
)

// TestListenersOfARule checks that a rule for the devices of a network leaves alone what comes
// from there through another listener.
func TestListenersOfARule(t *testing.T) {
	rule := Sender{Match: Pattern{"*", "*"}, Networks: []netip.Prefix{netip.MustParsePrefix("192.168.1.0/24")}, Listeners: []string{"devices"}}
	client := netip.MustParseAddr("192.168.1.7")
	for listener, want := range map[string]bool{"devices": true, "submission": false} {
		if got := rule.Applies("anna@contoso.test", "", "anna", listener, client); got != want {
			t.Errorf("%s: %v", listener, got)
		}
	}
}
