package main

import "testing"

// Text from mail cannot steer the operator's terminal.
func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain ü": "plain ü", "\x1b[2J": "?[2J", "a\r\nb": "a??b", "\u202eabc": "?abc", "\xff": "\ufffd",
	} {
		if got := clean(in); got != want {
			t.Errorf("%q gave %q, want %q", in, got, want)
		}
	}
}
