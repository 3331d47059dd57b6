package sendtest

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/config"
	"graphrelay/relay/queue"
)

// An interruption ends the wait for a listener that does not answer.
func TestSubmitInterrupted(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, interrupt := context.WithCancel(t.Context())
	go func() {
		if c, err := l.Accept(); err == nil {
			defer c.Close()
			interrupt()
			<-t.Context().Done()
		}
	}()
	_, err = Options{Config: &config.Config{}}.submit(ctx, config.Listener{Name: "x", Address: l.Addr().String()}, steps{io.Discard, time.Now()})
	if err == nil {
		t.Error("a message was accepted")
	}
}

type fixed queue.Record

func (f fixed) Get(context.Context, string) (queue.Record, []queue.Event, error) {
	return queue.Record(f), nil, nil
}

// A message that waits for nothing but its turn has no reason that could be said.
func TestFollowWithoutReason(t *testing.T) {
	for want, r := range map[string]queue.Status{
		"1 is queued; its delivery goes on":                      {State: queue.Queued},
		"1 is deferred, network: no route; its delivery goes on": {State: queue.Deferred, Reason: "network", Detail: "no route"},
		"1 is held, operator: by root; graphrelay queue show":    {State: queue.Held, Reason: "operator", Detail: "by root"},
	} {
		if _, err := follow(t.Context(), fixed{Status: r}, "1", 0, steps{io.Discard, time.Now()}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
