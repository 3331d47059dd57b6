package admin

import (
	"bytes"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// scrapes serves /metrics. However many ask, the metrics are collected once at a time, for
// all who have asked before, and for a tenth of the time at most, so that scrapes leave the
// queue to the mail. No answer is older than its request.
type scrapes struct {
	collect http.Handler

	mu      sync.Mutex
	next    *scrape // which those that ask now wait for; nil: none does
	running bool
}

// scrape is one collection. Its answer may be read once done is closed.
type scrape struct {
	done   chan struct{}
	answer recorder
}

// maxScrapePause bounds the pause after a collection that took long.
const maxScrapePause = 2 * time.Second

func newScrapes(r *prometheus.Registry) *scrapes {
	return &scrapes{collect: promhttp.HandlerFor(r, promhttp.HandlerOpts{Registry: r})}
}

// ServeHTTP implements http.Handler.
func (s *scrapes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	one := s.join()
	select {
	case <-one.done:
	case <-r.Context().Done():
		return
	}
	for name, values := range one.answer.header {
		w.Header()[name] = values
	}
	w.WriteHeader(one.answer.status)
	_, _ = w.Write(one.answer.body.Bytes())
}

// join returns the next collection, and sees to it that there is one.
func (s *scrapes) join() *scrape {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = &scrape{done: make(chan struct{}), answer: recorder{header: http.Header{}, status: http.StatusOK}}
	}
	if !s.running {
		s.running = true
		go s.run()
	}
	return s.next
}

// run collects until nobody waits.
func (s *scrapes) run() {
	for {
		s.mu.Lock()
		one := s.next
		s.next, s.running = nil, one != nil
		s.mu.Unlock()
		if one == nil {
			return
		}
		start := time.Now()
		r, _ := http.NewRequest(http.MethodGet, "/metrics", nil) // in plain text, uncompressed
		s.collect.ServeHTTP(&one.answer, r)
		close(one.done)
		time.Sleep(min(9*time.Since(start), maxScrapePause))
	}
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) { r.status = status }

// Write implements http.ResponseWriter.
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }
