package delivery_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
)

// smallLimits let a file of a few kilobytes need an upload session, so that many
// messages can be tried.
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

// A look-up happens only after an answer was lost, which these faults bring about.
var before = map[simulator.Operation]simulator.Fault{
	simulator.OpList:            {Operation: simulator.OpCreate, Reset: true, After: true},
	simulator.OpListAttachments: {Operation: simulator.OpAttachment, Reset: true, After: true},
	simulator.OpGetUpload:       {Operation: simulator.OpUpload, Reset: true},
	simulator.OpGet:             {Operation: simulator.OpSend, Reset: true, After: true},
}

func steps() []simulator.Operation {
	return []simulator.Operation{simulator.OpCreate, simulator.OpAttachment, simulator.OpCreateSession, simulator.OpUpload,
		simulator.OpSend, simulator.OpList, simulator.OpListAttachments, simulator.OpGetUpload, simulator.OpGet}
}

var faults = map[string]simulator.Fault{
	"500":                {Status: 500},
	"503 Retry-After":    {Status: 503, RetryAfter: "0.05"},
	"429 Retry-After":    {Status: 429, Code: "ApplicationThrottled", RetryAfter: "0.05"},
	"200":                {Status: 200},
	"reset":              {Reset: true},
	"answer reset":       {Reset: true, After: true},
	"answer held back":   {Hang: 10 * time.Second, After: true},
	"answer 504":         {Status: 504, After: true},
	"answer 503":         {Status: 503, RetryAfter: "0.05", After: true},
	"answer 200":         {Status: 200, After: true},
	"answer Retry-After": {RetryAfter: "1", After: true},
}

// Whatever fails at whatever step, before the effect or after it: the message is
// sent once and whole, and nothing is left behind.
func TestEveryFaultAtEveryStep(t *testing.T) {
	r := newRig(t, simulator.Options{Limits: smallLimits()})
	r.timeout = 3 * time.Second
	r.connect("main", secret)
	r.cfg.Concurrency = 100
	raw := compose(header("faults"), "text", smallFiles...)
	type attempt struct {
		name, id string
		fault    int
	}
	var tries []attempt
	for _, op := range steps() {
		for name, f := range faults {
			mailbox := strings.ToLower(strings.NewReplacer(" ", "-", "_", "-").Replace(fmt.Sprintf("%s-%s@contoso.test", op, name)))
			if first, ok := before[op]; ok {
				first.Mailbox, first.Nth = mailbox, 1
				r.fault(first)
			}
			f.Operation, f.Mailbox, f.Nth = op, mailbox, 1
			tries = append(tries, attempt{fmt.Sprintf("%s at %s", name, op), r.submit(raw, r.to(mailbox, "bob@example.org")), r.fault(f)})
		}
	}
	defer r.start(nil)()
	for _, try := range tries {
		t.Run(try.name, func(t *testing.T) {
			r.t = t
			sameFiles(t, r.message(r.sentOnce(try.id)).Attachments, smallFiles)
			if r.acted(try.fault) == 0 {
				t.Errorf("the fault did not act\n%s", r.history(try.id))
			}
		})
	}
	r.t = t
	r.noDrafts()
}

// The same in the midst of an upload that takes several ranges.
func TestFaultsBetweenRanges(t *testing.T) {
	big := []attached{{"big.bin", "application/zip", "", false, random(7_500_000)}} // three ranges
	r := newRig(t, simulator.Options{})
	r.cfg.Concurrency = 2
	raw := compose(header("ranges"), "text", big...)
	ids := map[string]string{}
	for name, f := range map[string]simulator.Fault{
		"reset":        {Reset: true},
		"answer reset": {Reset: true, After: true},
		"answer 504":   {Status: 504, After: true},
		"session lost": {Status: 404, Code: "uploadSessionNotFound"},
	} {
		mailbox := strings.ReplaceAll(name, " ", "-") + "@contoso.test"
		f.Operation, f.Mailbox, f.Nth = simulator.OpUpload, mailbox, 2
		r.fault(f)
		ids[name] = r.submit(raw, r.to(mailbox, "bob@example.org"))
	}
	defer r.start(nil)()
	for name, id := range ids {
		t.Run(name, func(t *testing.T) {
			r.t = t
			sameFiles(t, r.message(r.sentOnce(id)).Attachments, big)
		})
	}
	r.t = t
	r.noDrafts()
}

// Graph may take a part of a range, and answer before it has read the rest: the
// request may then still be reading the file while the next one starts.
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

// An upload session whose state cannot be asked must not stop the mail: Graph
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

// Faults without end of sight: many messages, one lane, a tenth of the calls fail.
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
