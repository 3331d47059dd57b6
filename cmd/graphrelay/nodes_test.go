package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"graphrelay/relay"
	"graphrelay/relay/config"
	"graphrelay/relay/queue"
)

func TestNodes(t *testing.T) { eachWay(t, testNodes) }

func testNodes(t *testing.T, fillQueue filler) {
	file, _ := fillQueue(t)
	at := func(args ...string) outcome {
		t.Helper()
		return execute(t, "", append(append([]string{"nodes"}, args...), "--config", file)...)
	}
	at().want(t, exitOK, "NODE", "STATE")

	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	q, err := relay.OpenQueue(t.Context(), cfg, false)
	if err != nil {
		t.Fatal(err)
	}
	started := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	for _, n := range []queue.Renewal{
		{Node: queue.Node{ID: "one/1", Name: "one", About: queue.About{Version: "v1.2.3", Started: started, Config: "aa"}}, Lease: time.Hour},
		{Node: queue.Node{ID: "two/1", Name: "two\x1b[2J", About: queue.About{Version: "v1.2.3", Started: started, Config: "bb"}}, Lease: time.Hour},
		{Node: queue.Node{ID: "old/1", Name: "old", About: queue.About{Config: "cc"}}},
	} {
		if _, err := q.Renew(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}

	at().want(t, exitOK, "one", "live", "v1.2.3", "old", "gone", "configurations of these nodes differ", "two?[2J")
	var n struct {
		Name, State, Version string
		Lanes, Delivering    *int
		Differs              bool `json:"config_differs"`
	}
	out := at("--json")
	d := json.NewDecoder(strings.NewReader(out.stdout))
	if err := d.Decode(&n); err != nil || n.Name != "old" || n.State != "gone" || n.Lanes == nil || n.Delivering == nil || !n.Differs {
		t.Errorf("the first node is %+v, %v", n, err)
	}
	at("drain").want(t, exitBadUsage, "name a relay")
	at("drain", "one").want(t, exitFault, "this relay's alone")
	at("bogus").want(t, exitBadUsage, "bogus")
}
