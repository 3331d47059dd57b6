package costs

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/queue"
)

// heap returns the bytes of what is in use after a collection of garbage.
func heap() float64 {
	runtime.GC()
	runtime.GC() // what the first one moved out of pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}

// BenchmarkIdleMailbox reports the bytes that a relay keeps of each mailbox that has sent a message
// and sends no more.
func BenchmarkIdleMailbox(b *testing.B) {
	sent := newSentLog()
	relay := startRelay(b, startGraph(b), sent)
	c := dialRelay(b, relay.Address("127.0.0.1:0"))
	send := func(first, n int) {
		for i := range n {
			from := fmt.Sprintf("m%d@contoso.test", first+i)
			c.send(transactionOf(from, strings.ReplaceAll(smallMessage(), "scanner@contoso.test", from)))
		}
		for range n {
			<-sent.each
		}
	}
	send(0, 500) // the tables of the relay
	before := heap()
	b.ResetTimer()
	send(500, b.N)
	b.StopTimer()
	b.ReportMetric((heap()-before)/float64(b.N), "B/mailbox")
}

// BenchmarkWaitingMessage reports the bytes that a relay keeps of each message that waits in a lane.
func BenchmarkWaitingMessage(b *testing.B) {
	relay := startRelay(b, startGraph(b), io.Discard)
	if err := relay.Store.Pause(b.Context(), queue.Lane{Connection: "contoso"}, relay.Store.Now().Add(time.Hour), "operator"); err != nil {
		b.Fatal(err)
	}
	c := dialRelay(b, relay.Address("127.0.0.1:0"))
	transaction := transactionOf("scanner@contoso.test", smallMessage())
	send := func(n int) {
		for range n {
			c.send(transaction)
		}
	}
	send(500)
	before := heap()
	b.ResetTimer()
	send(b.N)
	b.StopTimer()
	b.ReportMetric((heap()-before)/float64(b.N), "B/message")
}
