package connection

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/internal/testnet"
	"graphrelay/relay/config"
)

// A check of a Graph that never answers ends soon, and says what it has waited for.
func TestCheckOfASilentGraph(t *testing.T) {
	for _, mailboxes := range []int{1, 3, 40} {
		synctest.Test(t, func(t *testing.T) {
			sim := simulator.New(simulator.Options{})
			t.Cleanup(func() { sim.Close() })
			for _, op := range []simulator.Operation{simulator.OpFindUser, simulator.OpList} {
				if _, err := sim.AddFault(simulator.Fault{Operation: op, Hang: time.Hour}); err != nil {
					t.Fatal(err)
				}
			}
			net := &testnet.Network{}
			url := net.Serve(t, sim)
			var senders string
			for n := range mailboxes {
				senders += fmt.Sprintf("  - {match: s%d@contoso.test, mailbox: m%d@contoso.test}\n", n, n)
			}
			cfg, err := config.Parse([]byte(`
listeners:
  - {name: devices, address: "127.0.0.1:2525", tls: none, auth: none, networks: [127.0.0.0/8]}
senders:
`+senders+`connections:
  - name: contoso
    tenant: 11111111-1111-1111-1111-111111111111
    client_id: 22222222-2222-2222-2222-222222222222
    client_secret: simulated
    domains: [contoso.test]
    uploads: off
    endpoints: {login: "`+url+`", graph: "`+url+`"}
`), "relay.yaml")
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			check := Checker{Config: cfg, Dial: net.Dial}.Check(t.Context(), &cfg.Connections[0], "")
			if took := time.Since(start); took > connectionTime+requestTime || mailboxes == 1 && took > 2*requestTime {
				t.Errorf("%d mailboxes: %s", mailboxes, took)
			}
			all := strings.Join(append(append(check.Faults, check.Warnings...), check.NotTried...), "\n")
			t.Log(all)
			for _, want := range []string{"the directory cannot be asked: ", "mailbox m0@contoso.test: ", "no answer within 10s"} {
				if check.Good || !strings.Contains(all, want) {
					t.Errorf("%d mailboxes: no %q in\n%s", mailboxes, want, all)
				}
			}
			if mailboxes == 40 && !strings.Contains(all, "of the mailboxes, from m") {
				t.Errorf("%d mailboxes:\n%s", mailboxes, all)
			}
		})
	}
}
