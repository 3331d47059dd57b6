package config

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// Networks that strangers are in are found, however they are written.
func TestTooWide(t *testing.T) {
	var sixteens, halves, hosts []string
	for i := range 256 {
		sixteens = append(sixteens, fmt.Sprintf("8.%d.0.0/16", i))
		hosts = append(hosts, fmt.Sprintf("8.8.%d.0/24", i))
	}
	for i := range 64 { // all of 2000::/3 but a little
		halves = append(halves, fmt.Sprintf("%x:%x::/32", 0x2400+i, i))
	}
	for list, want := range map[string]bool{
		"0.0.0.0/0": true, "::/0": true, "128.0.0.0/1": true, "8.0.0.0/8": true, "8.0.0.0/15": true, "172.0.0.0/8": true, "192.0.0.0/8": true,
		"8.0.0.0/16": false, "8.0.0.0/16 9.0.0.0/24 8.8.8.8/32": false, "8.0.0.0/16 8.1.0.0/16": true, "8.0.0.0/16 8.0.0.0/16 8.0.3.0/24": false,
		"10.0.0.0/8": false, "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 127.0.0.0/8 169.254.0.0/16 100.64.0.0/10 fc00::/7 fe80::/10 ::1/128": false,
		"10.0.0.0/7": true, "192.168.0.0/15": false, "192.168.0.0/14": true, "192.0.2.0/24": false,
		"2000::/3": true, "2001:4860::/32": false, "2001:4860::/31": true, "2a00::/12": true, "2620:0:1::/48": false, "fc00::/6": true, "8000::/1": true,
		"64:ff9b::/96": true, "64:ff9b::/64": true, "64:ff9b::808:0/112": false, "64:ff9b::808:0/111": true, "64:ff9b::a00:0/104": false, "64:ff9b:1::/48": true, "64:ff9b:1:2::808:0/120": false,
		"64:ff9b::808:0/112 8.0.0.0/16": true,
		"2002::/16":                     true, "2002:808::/32": false, "2001::/32": true, "2001:0:808:808::/64": true, "2001:0:808:808:1:2:3:4/128": false,
		strings.Join(sixteens, " "): true, strings.Join(halves, " "): true, strings.Join(hosts, " "): false, "": false,
	} {
		var networks []netip.Prefix
		for _, text := range strings.Fields(list) {
			networks = append(networks, netip.MustParsePrefix(text))
		}
		if got := tooWide(networks...); got != want {
			t.Errorf("%.80s: %v, want %v", list, got, want)
		}
	}
}
