package main

import (
	"net"
	"testing"
)

// An address that is in use is a fault of this start, not of the configuration.
func TestServeOnABusyAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	busy := `address: "` + l.Addr().String() + `", auth: none, networks: [127.0.0.0/8]}` + "\nadmin: {address: \"127.0.0.1:0\"}"
	got := execute(t, "", "serve", "--config", writeConfig(t, `address: "127.0.0.1:0", auth: none, networks: [127.0.0.0/8]}`, busy))
	got.want(t, exitFault, "graphrelay: ", l.Addr().String())
}
