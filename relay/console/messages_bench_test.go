package console

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"graphrelay/relay/operators"
	"graphrelay/relay/queue"
)

// BenchmarkMessages measures pages of the messages, as they are served, with 100,000 in the log.
func BenchmarkMessages(b *testing.B) {
	m := newMailConsole(b)
	var wg sync.WaitGroup
	for part := range 64 {
		wg.Go(func() {
			for i := part; i < 100_000; i += 64 {
				m.put(queue.Entry{Subject: fmt.Sprint("Your invoice ", i), MessageID: fmt.Sprintf("<%d@shop>", i), Client: fmt.Sprint("10.0.0.", i%250),
					Envelope: queue.Envelope{From: fmt.Sprintf("app%d@contoso.test", i%300), To: []string{fmt.Sprintf("customer%d@example.test", i)}}}, "x")
			}
		})
	}
	wg.Wait()
	for _, query := range []string{"", "?q=invoice", "?q=nothing", "?q=app7@", "?from=app7@", "?to=nobody", "?subject=99", "?client=10.0.0.7", "?state=queued", "?state=failed", "?lane=contoso", "?since=1h&q=nothing", "?after=zzzzzzzzzzzzzzzz"} {
		b.Run(query, func(b *testing.B) {
			for b.Loop() {
				if w := as(m.mux, operators.Operator, http.MethodGet, "/console/messages"+query, nil); w.Code != http.StatusOK {
					b.Fatal(w.Body)
				}
			}
		})
	}
}
