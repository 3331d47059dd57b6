package main

import (
	"net/netip"
	"strings"
	"testing"

	"graphrelay/relay/stranger"
)

// A relay that does not run cannot be tried, which is no good result.
func TestCheckRelayThatDoesNotRun(t *testing.T) {
	got := execute(t, "", "check", "--relay", "--config", writeConfig(t, "", ""))
	if got.status != exitBadUsage || !strings.Contains(got.stderr, "is the relay running?") || strings.Contains(got.stdout, "is good") {
		t.Errorf("got %+v", got)
	}
}

func TestVerdictOf(t *testing.T) {
	client := netip.MustParseAddr("192.0.2.1")
	for want, try := range map[string]stranger.Try{
		"LET IN":                              {Client: client, Stranger: true, Accepted: true},
		"let in, as the configuration allows": {Client: client, Accepted: true},
		"refused: 554 5.7.1 no":               {Client: client, Stranger: true, Answer: "554 5.7.1 no"},
	} {
		if got := verdictOf(try); got != want {
			t.Errorf("%+v is %q, want %q", try, got, want)
		}
	}
}
