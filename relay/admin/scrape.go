package admin

import (
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
)

// scrapes serves /metrics. However many ask, the metrics are collected once at a time, for
// all who have asked before, and for a tenth of the time at most, so that scrapes leave the
// queue to the mail. No answer is older than its request.
type scrapes struct {
	registry *prometheus.Registry

	mu      sync.Mutex
	next    *scrape // which those that ask now wait for; nil: none does
	running bool
}

// scrape is one collection. What it has gathered may be read once done is closed.
type scrape struct {
	done     chan struct{}
	families []*dto.MetricFamily
	err      error
}

// Gather implements prometheus.Gatherer.
func (s *scrape) Gather() ([]*dto.MetricFamily, error) { return s.families, s.err }

// maxScrapePause bounds the pause after a collection that took long.
const maxScrapePause = 2 * time.Second

func newScrapes(r *prometheus.Registry) *scrapes {
	return &scrapes{registry: r}
}

// ServeHTTP implements http.Handler. Native histograms are only in the format that a Prometheus
// asks for which knows them.
func (s *scrapes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	one := s.join()
	select {
	case <-one.done:
	case <-r.Context().Done():
		return
	}
	promhttp.HandlerFor(one, promhttp.HandlerOpts{Registry: s.registry}).ServeHTTP(w, r)
}

// join returns the next collection, and sees to it that there is one.
func (s *scrapes) join() *scrape {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = &scrape{done: make(chan struct{})}
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
		one.families, one.err = s.registry.Gather()
		close(one.done)
		time.Sleep(min(9*time.Since(start), maxScrapePause))
	}
}
