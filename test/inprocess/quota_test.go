package inprocess

import (
	"fmt"
	"net/smtp"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/internal/testlog"
	"graphrelay/relay/config"
)

// What is sent counts against the limits of a day, also after a reload and a restart: once in
// the log, and in the metric. Nothing is refused.
func TestNearDailyLimits(t *testing.T) {
	r := &reportsRig{rig: &rig{T: t, log: &testlog.Buffer{}}, dir: t.TempDir()}
	r.sim, r.url = Simulate(t, simulator.Options{SendDelay: -1})
	load := func() *config.Config {
		cfg := Settings(t, r.dir, r.url, "")
		cfg.Connections[0].DailyRecipients, cfg.Connections[0].DailyExternal = 10, 12
		return cfg
	}
	r.cfg = load()
	r.start()
	sent := 0
	send := func(from string, to ...string) {
		t.Helper()
		if err := smtp.SendMail(r.relay.Address("127.0.0.1:0"), nil, from, to, []byte("From: "+from+"\r\n\r\nbody\r\n")); err != nil {
			t.Fatal(err)
		}
		sent++
		WaitSent(t, r.sim, sent)
	}
	want := func(recipients, external, warnings int) {
		t.Helper()
		for limit, n := range map[string]int{"recipients": recipients, "external_recipients": external} {
			line := fmt.Sprintf("graphrelay_mailboxes_near_limit{connection=\"contoso\",limit=%q} %d", limit, n)
			r.until(line, func() bool { return strings.Contains(r.relay.Get(t, "/metrics"), line) })
		}
		r.until("warning", func() bool { return strings.Count(r.log.String(), "recipients in 24 hours") == warnings })
	}
	outside := []string{"1@example.test", "2@example.test", "3@example.test", "4@example.test", "5@example.test", "6@example.test"}
	send("anna@contoso.test", outside...)
	want(0, 0, 0)
	if err := r.relay.Reload(load()); err != nil {
		t.Fatal(err)
	}
	send("anna@contoso.test", "b@contoso.test", "c@contoso.test") // 8 in all, of which 6 outside
	want(1, 0, 1)
	r.sim.Reset()
	sent = 0
	r.restart()
	want(1, 0, 1)
	send("bert@contoso.test", outside[:4]...)
	want(1, 1, 2)
	send("anna@contoso.test", outside...) // above the limit
	want(1, 1, 2)
}
