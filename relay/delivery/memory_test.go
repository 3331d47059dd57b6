package delivery_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"graphrelay/graph/simulator"
)

// A message that needs more memory than there is for all is delivered too, one at a time, and
// whatever goes wrong its memory is there for the next.
func TestMoreThanAllMemory(t *testing.T) {
	r := newRig(t, simulator.Options{Limits: smallLimits(), Seed: 11})
	r.cfg.Memory = 16
	for _, f := range []simulator.Fault{
		{Status: 500, Probability: 0.05}, {Reset: true, After: true, Probability: 0.05},
		{Status: 429, Code: "ApplicationThrottled", RetryAfter: "0.01", Probability: 0.05},
	} {
		r.fault(f)
	}
	var ids []string
	for n := range 16 {
		mailbox := fmt.Sprintf("memory%d@contoso.test", n%4)
		ids = append(ids, r.submit(compose(header(fmt.Sprint("memory", n)), strings.Repeat("text\r\n", 1+n*500), smallFiles...), r.to(mailbox, "bob@example.org")))
	}
	defer r.start(nil)()
	for _, id := range ids {
		sameFiles(t, r.message(r.sentOnce(id)).Attachments, smallFiles)
	}
}

// Before a message was read, all of it may be text, of which there are several copies for a
// moment. What it does not need is given back: eight messages with large files are on their way
// at once where there is not memory for eight such texts.
func TestFilesTakeLittleMemory(t *testing.T) {
	const lanes = 8
	r := newRig(t, simulator.Options{})
	r.cfg.Memory = 4 << 20
	var waiting atomic.Int32
	all := make(chan struct{})
	r.front = func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodPost && strings.HasSuffix(req.URL.Path, "/attachments") {
			if waiting.Add(1) == lanes {
				close(all)
			}
			select {
			case <-all:
			case <-req.Context().Done():
			}
		}
		r.sim.ServeHTTP(w, req)
	}
	file := attached{name: "file.bin", kind: "application/octet-stream", data: random(1 << 20)}
	var ids []string
	for n := range lanes {
		ids = append(ids, r.submit(compose(header(fmt.Sprint("file", n)), "text", file), r.to(fmt.Sprintf("file%d@contoso.test", n), "bob@example.org")))
	}
	defer r.start(nil)()
	for _, id := range ids {
		sameFiles(t, r.message(r.sentOnce(id)).Attachments, []attached{file})
	}
}
