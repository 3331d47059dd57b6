package delivery_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"graphrelay/graph"
	"graphrelay/graph/simulator"
	"graphrelay/relay/delivery/graphmail"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
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

// Whatever a session says that it expects next, the file arrives whole and once.
func TestOddRanges(t *testing.T) {
	for name, expected := range map[string]string{
		"back to the beginning": `["0-"]`,
		"within the range":      `["100-"]`,
		"negative":              `["-5"]`,
		"words":                 `["soon"]`,
		"beyond the file":       `["99999999999-"]`,
		"beyond 64 bits":        `["99999999999999999999-"]`,
		"overlapping":           `["7000000-7900000","3604480-"]`,
		"none":                  `[]`,
		"another type":          `[3604480]`,
		"an object":             `{"start":3604480}`,
		"null":                  `null`,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, simulator.Options{})
			var session atomic.Value // the path of the odd one
			var asked atomic.Int32
			r.front = func(w http.ResponseWriter, req *http.Request) {
				if !strings.HasPrefix(req.Header.Get("Content-Range"), "bytes 0-") || !session.CompareAndSwap(nil, req.URL.Path) && session.Load() != req.URL.Path {
					r.sim.ServeHTTP(w, req)
					return
				}
				if asked.Add(1) == 1 {
					r.sim.ServeHTTP(httptest.NewRecorder(), req)
				}
				w.WriteHeader(http.StatusOK)
				_, _ = io.WriteString(w, `{"expirationDateTime":"2099-01-01T00:00:00Z","nextExpectedRanges":`+expected+`}`)
			}
			id := r.submit(compose(header("odd"), "text", ranges3...), r.to(anna, "bob@example.org"))
			defer r.start(nil)()
			sameFiles(t, r.message(r.sentOnce(id)).Attachments, ranges3)
			r.noDrafts()
			if n := asked.Load(); n != 1 {
				t.Errorf("the session was sent its first range %d times", n)
			}
		})
	}
}

// sized is a message with one file of this size.
func sized(subject string, size int) string {
	return compose(header(subject), "text", attached{"f.bin", "application/zip", "", false, random(size)})
}

// text8bit is a message whose file is text that needs no encoding.
func text8bit(subject string, size int) string {
	head, _, _ := strings.Cut(sized(subject, 1), "\r\n--BB\r\nContent-Type: application/zip")
	return head + "\r\n--BB\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename=f.csv\r\n\r\n" +
		strings.Repeat("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n", size/64) + "--BB--\r\n"
}

// Without upload sessions, a large file goes by whatever request takes it, and otherwise its
// sender is told. Nothing is asked of Graph in vain.
func TestUploadsOff(t *testing.T) {
	binary := simulator.BinaryLimits() // of requests; the file itself has decimal 3 MB
	decimal := simulator.DecimalLimits()
	for name, tt := range map[string]struct {
		limits simulator.Limits
		post   int // status of the request for an attachment, 0 is the simulator's
		raw    string
		path   string // empty: it fails
		posts  int
	}{
		"below 3 MB":              {decimal, 0, sized("below", 2_900_000), simulator.PathDraft, 1},
		"above, if the line is":   {binary, 0, sized("above", 3_100_000), simulator.PathDraft, 1},
		"in one request":          {binary, 413, sized("one", 3_100_000), simulator.PathSendMail, 1},
		"as MIME":                 {binary, 413, text8bit("mime", 3_100_000), simulator.PathMIME, 1},
		"refused by all requests": {decimal, 0, sized("refused", 3_100_000), "", 1},
		"too large":               {binary, 0, sized("large", 3_300_000), "", 0},
		"many small ones": {decimal, 0, compose(header("many"), "text", attached{"1", "a/b", "", false, random(2_000_000)},
			attached{"2", "a/b", "", false, random(2_000_000)}), simulator.PathDraft, 2},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, simulator.Options{Limits: tt.limits})
			r.out.Connections = map[string]graphmail.Connection{"main": {NoUploads: true}}
			if tt.post != 0 {
				r.fault(simulator.Fault{Operation: simulator.OpAttachment, Status: tt.post, Code: "ErrorMessageSizeExceeded"})
			}
			id := r.submit(tt.raw, r.to(anna, "bob@example.org"))
			defer r.start(nil)()
			if tt.path == "" {
				rec := r.await(id, queue.Failed)
				if rec.Reason != reason.LargeFile && name == "too large" || len(r.deliveries(id)) != 0 {
					t.Errorf("failed for %s: %s", rec.Reason, rec.Detail)
				}
				if _, text, status := r.notifiedOnce(id, anna); !strings.Contains(status, "5.3.4") || !strings.Contains(text, "link") {
					t.Errorf("the bounce says %s%s", text, status)
				}
			} else if d := r.sentOnce(id); d.Path != tt.path {
				t.Errorf("it went by %s\n%s", d.Path, r.history(id))
			}
			calls := r.sim.Stats().Calls
			if calls[simulator.OpCreateSession] != 0 || calls[simulator.OpAttachment] != tt.posts {
				t.Errorf("%d sessions, %d attachments asked for, want %d\n%s", calls[simulator.OpCreateSession], calls[simulator.OpAttachment], tt.posts, r.history(id))
			}
			r.noDrafts()
		})
	}
}

// refusedSessions are the ways in which Graph may say that it creates no upload session.
var refusedSessions = map[string]simulator.Fault{
	"400":                     {Status: 400, Code: "BadRequest", Message: "Resource not found for the segment 'createUploadSession'."},
	"400 without explanation": {Status: 400, Code: "ErrorInvalidRequest"},
	"400 with a known code":   {Status: 400, Code: "RequestBodyRead"},
	"403":                     {Status: 403, Code: "ErrorAccessDenied"},
	"404":                     {Status: 404, Code: "UnknownError"},
	"405":                     {Status: 405, Code: "Request_BadRequest"},
	"501":                     {Status: 501, Code: "NotImplemented"},
}

// A refused upload session is the matter of its message: others of the lane go on, and the
// message is retried before it fails.
func TestUploadSessionRefused(t *testing.T) {
	for name, f := range refusedSessions {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, simulator.Options{})
			r.out.RetryUnexplained = time.Hour
			f.Operation = simulator.OpCreateSession
			f.Mailbox = anna
			fault := r.fault(f)
			large := r.submit(sized("large", 3_300_000), r.to(anna, "bob@example.org"))
			stop := r.start(nil)
			defer stop()
			if rec := r.await(large, queue.Deferred); rec.Reason != reason.LargeFile || !strings.Contains(rec.Detail, "uploads: off") {
				t.Errorf("deferred for %s: %s", rec.Reason, rec.Detail)
			}
			r.sentOnce(r.submit(compose(header("small"), "text"), r.to(anna, "bob@example.org")))
			if d := r.sentOnce(r.submit(sized("posted", 2_000_000), r.to(anna, "bob@example.org"))); d.Path != simulator.PathDraft {
				t.Errorf("it went by %s", d.Path)
			}
			stop()
			r.out.RetryUnexplained = 100 * time.Millisecond
			defer r.start(nil)()
			if rec := r.await(large, queue.Failed); rec.Reason != reason.LargeFile {
				t.Errorf("failed for %s: %s", rec.Reason, rec.Detail)
			}
			if r.acted(fault) == 0 {
				t.Error("nothing was refused")
			}
			r.noDrafts()
		})
	}
}

// What a connection was told of a missing action, other messages need not find out with a
// draft of their own. It is asked again later.
func TestMissingUploadsAreRemembered(t *testing.T) {
	r := newRig(t, simulator.Options{World: simulator.World{NoUploadSessions: true}})
	r.out.RetryUnexplained = time.Millisecond
	first := r.submit(sized("first", 3_300_000), r.to(anna, "bob@example.org"))
	defer r.start(nil)()
	r.await(first, queue.Failed)
	r.notifiedOnce(first, anna)
	drafts := r.sim.Stats().Calls[simulator.OpCreate]
	second := r.submit(sized("second", 3_300_000), r.to("ben@contoso.test", "bob@example.org"))
	if rec := r.await(second, queue.Failed); rec.Reason != reason.LargeFile || rec.Attempts != 1 {
		t.Errorf("failed for %s after %d attempts: %s", rec.Reason, rec.Attempts, rec.Detail)
	}
	if n := r.sim.Stats().Calls[simulator.OpCreate]; n != drafts {
		t.Errorf("%d drafts were made for it\n%s", n-drafts, r.history(second))
	}
	r.sentOnce(r.submit(sized("small", 2_000_000), r.to(anna, "bob@example.org")))
}

// A refusal that may concern one file alone is not held against others.
func TestOddRefusalConcernsOneMessage(t *testing.T) {
	r := newRig(t, simulator.Options{})
	r.fault(simulator.Fault{Operation: simulator.OpCreateSession, Nth: 1, Status: 400, Code: "ErrorInvalidName"})
	first := r.submit(sized("odd", 3_300_000), r.to(anna, "bob@example.org"))
	stop := r.start(nil)
	defer stop()
	r.await(first, queue.Failed)
	r.sentOnce(r.submit(sized("good", 3_300_000), r.to(anna, "bob@example.org")))
}

// An owner gets 403 for an upload session in another one's mailbox. That is known, so it is
// final at once, and the advice says what helps.
func TestUploadsInAnotherMailbox(t *testing.T) {
	r := newRig(t, simulator.Options{})
	r.out.RetryUnexplained = time.Hour
	r.out.Connections = map[string]graphmail.Connection{"main": {Delegated: true}}
	r.fault(simulator.Fault{Operation: simulator.OpCreateSession, Mailbox: anna, Status: 403, Code: "ErrorAccessDenied"})
	first, second := r.submit(sized("one", 3_300_000), r.to(anna, "bob@example.org")), ""
	defer r.start(nil)()
	rec := r.await(first, queue.Failed)
	if rec.Reason != reason.LargeFile || rec.Attempts != 1 || !strings.Contains(rec.Detail, "application permissions") {
		t.Errorf("failed for %s after %d attempts: %s", rec.Reason, rec.Attempts, rec.Detail)
	}
	second = r.submit(sized("two", 3_300_000), r.to(anna, "bob@example.org"))
	r.await(second, queue.Failed)
	if n := r.sim.Stats().Calls[simulator.OpCreateSession]; n != 1 {
		t.Errorf("%d sessions were asked for", n)
	}
	r.sentOnce(r.submit(sized("own", 3_300_000), r.to("ben@contoso.test", "bob@example.org")))
	r.noDrafts()
}

// Where messages have no internetMessageHeaders, X- fields are left out, and the report says so.
func TestCloudWithoutHeaders(t *testing.T) {
	r := newRig(t, simulator.Options{World: simulator.World{RefusedProperties: []string{"internetMessageHeaders"}}})
	r.out.Connections = map[string]graphmail.Connection{"main": {NoHeaders: true}}
	id := r.submit(compose(header("bare")+"X-Tag: one\n", "text"), r.to(anna, "bob@example.org"))
	defer r.start(nil)()
	if m := r.message(r.sentOnce(id)); len(m.Headers) != 0 || !strings.Contains(r.history(id), "X-Tag") {
		t.Errorf("headers %+v\n%s", m.Headers, r.history(id))
	}
	if n := r.sim.Stats().Calls[simulator.OpCreate]; n != 1 {
		t.Errorf("%d creates", n)
	}
}
