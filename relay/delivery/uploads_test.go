package delivery_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"graphrelay/graph"
	"graphrelay/graph/simulator"
	"graphrelay/relay/queue"
)

// ranges3 is a file of three ranges.
var ranges3 = []attached{{"big.bin", "application/zip", "", false, random(2*graph.RangeBytes + 100_000)}}

// An upload goes to another host than Graph's. If that one refuses connections, the next
// attempt asks for another session.
func TestUploadHostIsDown(t *testing.T) {
	r := newRig(t, simulator.Options{Limits: smallLimits()})
	r.cfg.RetryDelays = []time.Duration{300 * time.Millisecond}
	var sessions, down atomic.Int32
	down.Store(1)
	r.front = func(w http.ResponseWriter, req *http.Request) {
		if !strings.HasSuffix(req.URL.Path, "/createUploadSession") {
			r.sim.ServeHTTP(w, req)
			return
		}
		answer := httptest.NewRecorder()
		r.sim.ServeHTTP(answer, req)
		body := answer.Body.String()
		if sessions.Add(1); down.Load() > 0 {
			body = strings.ReplaceAll(body, req.Host, "127.0.0.1:1")
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write([]byte(body))
	}
	id := r.submit(compose(header("down"), "text", smallFiles...), r.to(anna, "bob@example.org"))
	defer r.start(nil)()
	if !r.eventually(func() bool { return sessions.Load() > 1 }) {
		t.Fatalf("it asks one session for ever\n%s", r.history(id))
	}
	if rec := r.await(id, queue.Deferred); !strings.Contains(rec.Detail, "outlook.office.com") {
		t.Errorf("nothing says which host has to be reached: %s", rec.Detail)
	}
	down.Store(0)
	sameFiles(t, r.message(r.sentOnce(id)).Attachments, smallFiles)
	r.noDrafts()
}

// A session that expects bytes beyond those that were sent has a hole in its file.
func TestUploadSkipsBytes(t *testing.T) {
	for name, lost := range map[string]bool{"in the answer to a range": false, "when it is asked how far it is": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, simulator.Options{})
			if lost {
				r.fault(simulator.Fault{Operation: simulator.OpUpload, Nth: 1, Reset: true, After: true})
			}
			skipped := false
			r.front = func(w http.ResponseWriter, req *http.Request) {
				first := strings.HasPrefix(req.Header.Get("Content-Range"), "bytes 0-")
				state := req.Method == http.MethodGet && strings.Contains(req.URL.Path, "AttachmentSessions")
				if skipped || !first && !state || lost && first {
					r.sim.ServeHTTP(w, req)
					return
				}
				skipped = true
				if first {
					r.sim.ServeHTTP(httptest.NewRecorder(), req)
				}
				hole := req.Clone(t.Context())
				body := make([]byte, graph.RangeBytes)
				hole = again(hole, body)
				hole.Method, hole.ContentLength = http.MethodPut, int64(len(body))
				hole.Header.Set("Content-Type", "application/octet-stream")
				hole.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", graph.RangeBytes, 2*graph.RangeBytes-1, len(ranges3[0].data)))
				answer := httptest.NewRecorder()
				r.sim.ServeHTTP(answer, hole)
				if state {
					r.sim.ServeHTTP(w, req)
					return
				}
				w.WriteHeader(answer.Code)
				_, _ = w.Write(answer.Body.Bytes())
			}
			id := r.submit(compose(header("hole"), "text", ranges3...), r.to(anna, "bob@example.org"))
			defer r.start(nil)()
			sameFiles(t, r.message(r.sentOnce(id)).Attachments, ranges3)
			if !skipped {
				t.Error("no bytes were skipped")
			}
		})
	}
}
