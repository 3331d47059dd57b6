package main

import (
	"net"
	"testing"
)

func TestSimulateOnABusyAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	execute(t, "", "simulate", "--listen", l.Addr().String()).want(t, exitFault, l.Addr().String(), "--listen")
}

func TestSimulateFlags(t *testing.T) {
	execute(t, "", "simulate", "--latency", "slow").wantUsage(t, "-latency", "30s, 5m")
	for _, flag := range []string{"--latency", "--send-delay"} {
		execute(t, "", "simulate", flag, "-1s").wantUsage(t, flag, "negative")
	}
	execute(t, "", "simulate", "--as", "/nope").want(t, exitBadUsage, "/nope", "graphrelay probe --json")
	execute(t, "", "simulate", "--world", "filterLag=4s", "--world", "filterLg").wantUsage(t, "-world")
}
