package inprocess

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/config"
	"graphrelay/relay/queue"
)

// A client that waits gets a refusal as the answer to its message. Then no bounce
// follows, and the message can no longer be sent. A message that takes longer is queued
// as usual.
func TestWaitForDelivery(t *testing.T) {
	refusal := simulator.Fault{Operation: simulator.OpCreate, Status: http.StatusBadRequest, Code: "ErrorInvalidRecipients"}
	slow := refusal
	slow.Latency = time.Second
	for name, tt := range map[string]struct {
		wait   time.Duration
		fault  *simulator.Fault
		answer string
		state  queue.State // of the message
		bounce bool
	}{
		"sent":             {guardTime, nil, "250 2.0.0 queued as ", queue.Sent, false},
		"refused":          {guardTime, &refusal, "550 5.1.3 ", queue.Failed, false},
		"refused too late": {100 * time.Millisecond, &slow, "250 2.0.0 queued as ", queue.Failed, true},
		"tried again":      {guardTime, &simulator.Fault{Operation: simulator.OpCreate, Count: 1, Status: http.StatusServiceUnavailable}, "250 2.0.0 queued as ", queue.Sent, false},
		"not waited for":   {0, &refusal, "250 2.0.0 queued as ", queue.Failed, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startPaths(t, simulator.Options{}, func(c *config.Config) { c.Listeners[0].Wait = config.Duration(tt.wait) })
			if tt.fault != nil {
				if _, err := p.sim.AddFault(*tt.fault); err != nil {
					t.Fatal(err)
				}
			}
			answer, took := p.answer("From: a@contoso.test\r\nTo: b@example.test\r\nSubject: wait\r\n\r\ntext\r\n")
			if !strings.HasPrefix(answer, tt.answer) {
				t.Errorf("the answer is %q", answer)
			}
			if took >= guardTime {
				t.Errorf("it took %v", took)
			}
			p.checkWaited(tt.state, tt.bounce)
		})
	}
}

// guardTime is much longer than any answer takes.
const guardTime = 4 * time.Minute

// answer sends a message and returns the whole answer to it.
func (p *rig) answer(raw string) (string, time.Duration) {
	p.Helper()
	c := p.transaction()
	defer c.Close()
	p.ask(c, 250, "MAIL FROM:<a@contoso.test>")
	p.ask(c, 250, "RCPT TO:<b@example.test>")
	p.ask(c, 354, "DATA")
	start := time.Now()
	if err := c.PrintfLine("%s.", raw); err != nil {
		p.Fatal(err)
	}
	line, err := c.ReadLine()
	if err != nil {
		p.Fatal(err)
	}
	return line, time.Since(start)
}

func (p *rig) checkWaited(state queue.State, bounce bool) {
	p.Helper()
	var list []queue.Record
	until(func() bool {
		var err error
		if list, err = p.relay.Store.List(p.Context(), queue.Filter{}); err != nil {
			p.Fatal(err)
		}
		return list[0].State == state
	})
	r := list[0]
	if r.State != state || (len(list) == 2) != bounce {
		p.Fatalf("%s with %d messages, want %s and a bounce: %v", r.State, len(list), state, bounce)
	}
	if state != queue.Failed {
		return
	}
	_, err := p.relay.Store.Open(p.Context(), r.ID)
	if (err == nil) != bounce {
		p.Errorf("the content of what the client was told of, or of what was bounced: %v", err)
	}
	if err := p.relay.Store.Apply(p.Context(), r.ID, queue.Retry, "test"); (err == nil) != bounce {
		p.Errorf("a retry: %v", err)
	}
}

// A stop does not wait for Graph's answer.
func TestStopDuringWait(t *testing.T) {
	p := startPaths(t, simulator.Options{}, func(c *config.Config) {
		c.Listeners[0].Wait = config.Duration(5 * time.Minute)
		c.Delivery.RequestTimeout = config.Duration(5 * time.Minute)
	})
	if err := p.relay.Store.Pause(t.Context(), queue.Lane{Connection: "contoso"}, queue.Forever, "test"); err != nil {
		t.Fatal(err)
	}
	done := make(chan string, 1)
	go func() {
		answer, _ := p.answer("From: a@contoso.test\r\nTo: b@example.test\r\n\r\ntext\r\n")
		done <- answer
	}()
	for len(done) == 0 {
		if list, err := p.relay.Store.List(t.Context(), queue.Filter{}); err != nil || len(list) == 1 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := p.relay.Stop(); err != nil {
		t.Error(err)
	}
	if answer := <-done; !strings.HasPrefix(answer, "250 2.0.0 queued as ") {
		t.Errorf("the answer is %q", answer)
	}
}
