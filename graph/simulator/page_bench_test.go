package simulator

import (
	"fmt"
	"net/http/httptest"
	"testing"
	"time"
)

// BenchmarkPages measures the pages after 100,000 messages were sent from one mailbox.
func BenchmarkPages(b *testing.B) {
	s := New(Options{SendDelay: -1})
	for n := range 100_000 {
		i := &item{Message: Message{
			Subject: fmt.Sprint("subject ", n), Body: Body{"html", "<p>text of the message, rather short</p>"},
			From: &Address{Address: "crm@contoso.test"}, To: []Address{{Address: fmt.Sprintf("u%d@example.test", n%500)}},
		}}
		s.mu.Lock()
		s.add(s.mailbox("crm@contoso.test"), i)
		i.Submitted, i.Sent = true, time.Now()
		s.completeSend(i)
		s.mu.Unlock()
	}
	for _, path := range []string{"/", "/?q=nothing", "/?in=crm@contoso.test&folder=Sent+Items", "/?in=u7@example.test", "/requests"} {
		b.Run(path, func(b *testing.B) {
			for b.Loop() {
				w := httptest.NewRecorder()
				if s.ServeHTTP(w, httptest.NewRequest("GET", path, nil)); w.Code != 200 {
					b.Fatal(w.Code)
				}
			}
		})
	}
}
