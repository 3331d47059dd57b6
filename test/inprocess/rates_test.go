package inprocess

import (
	"fmt"
	"io"
	"net/smtp"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/relay/config"
)

// Accepted messages still count after a reload and after a restart. A new limit counts
// the messages that the queue knows.
func TestRatesLast(t *testing.T) {
	dir := t.TempDir()
	_, url := Simulate(t, simulator.Options{RequireContract: true})
	load := func(rates config.Rates) *config.Config {
		cfg := Settings(t, dir, url, "")
		cfg.Senders = []config.Sender{{Match: pattern(t, "*@printers.local"), Mailbox: "scanner@contoso.test", ReplyTo: config.ReplyToNone}}
		cfg.Rates = rates
		return cfg
	}
	var r *Running
	start := func(rates config.Rates) {
		t.Helper()
		var err error
		if r, err = Open(t, load(rates), io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	stop := func() {
		t.Helper()
		if err := r.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	reload := func(rates config.Rates) {
		t.Helper()
		if err := r.Reload(load(rates)); err != nil {
			t.Fatal(err)
		}
	}
	send := func(from, author, want string) {
		t.Helper()
		err := smtp.SendMail(r.Address("127.0.0.1:0"), nil, from, []string{"b@example.test", "c@example.test"}, []byte("From: "+author+"\r\n\r\nbody\r\n"))
		if got := strings.ReplaceAll(fmt.Sprint(err), `"`, ""); !strings.HasPrefix(got, want) {
			t.Errorf("from %s, %s: %s, want %s", from, author, got, want)
		}
	}
	const taken, anna = "<nil>", "anna@contoso.test"
	fourADay := config.Rates{Sender: config.Rate{Recipients: 4}}
	start(fourADay)
	send(anna, anna, taken)
	send("floor3@printers.local", "floor3@printers.local", taken)
	send("floor3@printers.local", "floor3@printers.local", taken)
	reload(fourADay)
	send("bounces@contoso.test", anna, taken)
	send(anna, anna, "450 4.7.1 Too many recipients for the sender anna@contoso.test")
	stop()
	start(fourADay)
	send(anna, anna, "450 4.7.1 Too many recipients for the sender anna@contoso.test")
	send("scanner@contoso.test", "floor3@printers.local", taken) // its mailbox has sent for others, itself it has not
	reload(config.Rates{})
	send(anna, anna, taken)
	reload(config.Rates{Sender: config.Rate{Recipients: 7}})
	send(anna, anna, "450 4.7.1 Too many recipients for the sender anna@contoso.test: 7")
	reload(config.Rates{Address: config.Rate{Recipients: 13}})
	send(anna, anna, "450 4.7.1 Too many recipients for the address 127.0.0.1: 13")
	reload(config.Rates{Address: config.Rate{Recipients: 14}})
	send(anna, anna, taken)
	stop()
}

func pattern(t *testing.T, text string) config.Pattern {
	t.Helper()
	p, err := config.ParsePattern(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
