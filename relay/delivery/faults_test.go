package delivery_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"graphrelay/graph/simulator"
)

// smallLimits make a file of a few kilobytes need an upload session, so that a test can send
// many messages.
func smallLimits() simulator.Limits {
	l := simulator.DecimalLimits()
	l.Attachment, l.SessionMin = 10_000, 10_000
	return l
}

var smallFiles = []attached{
	{"one.txt", "text/plain", "", false, []byte("one")},
	{"two.bin", "application/zip", "", false, random(20_000)},
	{"three.txt", "text/plain", "", false, []byte("three")},
}

// faults are the faults beside those of lostAnswers.
var faults = map[string]simulator.Fault{
	"500":                {Status: 500},
	"503 retry-after":    {Status: 503, RetryAfter: "0.05"},
	"429 retry-after":    {Status: 429, Code: "ApplicationThrottled", RetryAfter: "0.05"},
	"200":                {Status: 200},
	"no effect":          {Reset: true},
	"answer 503":         {Status: 503, RetryAfter: "0.05", After: true},
	"answer 200":         {Status: 200, After: true},
	"answer retry-after": {RetryAfter: "1", After: true},
}

// Whatever fails at whatever call, before the effect or after it: the message is sent once
// and whole, and nothing is left behind.
func TestEveryFaultAtEveryCall(t *testing.T) {
	r := newRig(t, simulator.Options{Limits: smallLimits()})
	var calls []graphCall
	for _, c := range graphCalls() {
		if !c.large && !c.unknown { // see TestFaultsBetweenRanges and TestRefusedSendMail
			calls = append(calls, c)
		}
	}
	list := r.trials(calls, faults)
	defer r.start(nil)()
	for _, try := range list {
		t.Run(try.name, func(t *testing.T) {
			r.t = t
			r.ends(try, otherWorld{})
			if try.fault != 0 && r.acted(try.fault) == 0 {
				t.Errorf("the fault did not act\n%s", r.history(try.id))
			}
		})
	}
	r.t = t
	r.whole(list)
	r.noDrafts()
}

// In the middle of an upload of several ranges, one range has no effect.
func TestFaultsBetweenRanges(t *testing.T) {
	r := newRig(t, simulator.Options{Limits: smallLimits()})
	var calls []graphCall
	for _, c := range graphCalls() {
		if c.name == "middle range" {
			calls = append(calls, c)
		}
	}
	list := r.trials(calls, map[string]simulator.Fault{"no effect": {Reset: true}, "session lost": {Status: 404, Code: "uploadSessionNotFound"}})
	defer r.start(nil)()
	for _, try := range list {
		r.ends(try, otherWorld{})
	}
	r.whole(list)
	r.noDrafts()
}

// Graph may accept a part of a range and answer before it has read the rest: the request may
// then still be reading the file when the next one starts.
func TestPartOfARangeIsTaken(t *testing.T) {
	big := []attached{{"big.bin", "application/zip", "", false, random(5_000_000)}}
	r := newRig(t, simulator.Options{})
	r.front = func(w http.ResponseWriter, req *http.Request) {
		const taken = 1_000_000
		var first, last, total int64
		if _, err := fmt.Sscanf(req.Header.Get("Content-Range"), "bytes %d-%d/%d", &first, &last, &total); err != nil || last-first < taken {
			r.sim.ServeHTTP(w, req)
			return
		}
		part := req.Clone(t.Context())
		part.Body, part.ContentLength = io.NopCloser(io.LimitReader(req.Body, taken)), taken
		part.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, first+taken-1, total))
		r.sim.ServeHTTP(w, part)
	}
	id := r.submit(compose(header("parts"), "text", big...), r.to(anna, "bob@example.org"))
	defer r.start(nil)()
	sameFiles(t, r.message(r.sentOnce(id)).Attachments, big)
}

// An upload session that cannot be asked for its state does not stop the message: Graph
// documents no such request.
func TestUploadStateUnknown(t *testing.T) {
	r := newRig(t, simulator.Options{Limits: smallLimits()})
	ids := map[int]string{}
	for _, status := range []int{0, 200, 400, 404, 405, 500, 501} { // 0: it hangs up
		mailbox := fmt.Sprintf("s%d@contoso.test", status)
		r.fault(simulator.Fault{Operation: simulator.OpUpload, Mailbox: mailbox, Nth: 1, Reset: true})
		r.fault(simulator.Fault{Operation: simulator.OpGetUpload, Mailbox: mailbox, Status: status, Reset: status == 0})
		ids[status] = r.submit(compose(header("state"), "text", smallFiles...), r.to(mailbox, "bob@example.org"))
	}
	defer r.start(nil)()
	for status, id := range ids {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			r.t = t
			sameFiles(t, r.message(r.sentOnce(id)).Attachments, smallFiles)
		})
	}
	r.t = t
}

// Many messages of one lane are delivered while a tenth of the calls fail.
func TestManyFaults(t *testing.T) {
	r := newRig(t, simulator.Options{Limits: smallLimits(), Seed: 7})
	for _, f := range []simulator.Fault{
		{Status: 500, Probability: 0.03}, {Reset: true, Probability: 0.03}, {Reset: true, After: true, Probability: 0.03},
		{Status: 429, Code: "ApplicationThrottled", RetryAfter: "0.01", Probability: 0.03},
	} {
		r.fault(f)
	}
	var ids []string
	for range 30 {
		ids = append(ids, r.submit(compose(header("many"), "text", smallFiles...), r.to(anna, "bob@example.org")))
	}
	stop := r.start(nil)
	defer stop()
	for _, id := range ids {
		sameFiles(t, r.message(r.sentOnce(id)).Attachments, smallFiles)
	}
	if n := r.sim.Stats().MaxConcurrency[anna]; n > 4 {
		t.Errorf("%d requests at a time", n)
	}
	r.noDrafts()
}
