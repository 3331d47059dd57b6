package delivery_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/delivery"
	"graphrelay/relay/delivery/graphmail"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

var update = flag.Bool("update", false, "rewrite testdata/answers.txt")

// answered is a call of TestAnswers, and the message whose delivery makes it.
type answered struct {
	ops    []simulator.Operation
	raw    func() string
	via    string           // the connection; "" is main
	before *simulator.Fault // what brings the call about
	alone  bool             // on a connection of its own: the relay remembers where there are no upload sessions
}

// answeredCalls has the calls that Graph answers, by name.
var answeredCalls = map[string]answered{
	"create":            {ops: []simulator.Operation{simulator.OpCreate}, raw: plainMail},
	"create from MIME":  {ops: []simulator.Operation{simulator.OpCreateMIME}, raw: func() string { return signed("answer") }},
	"attachment":        {ops: []simulator.Operation{simulator.OpAttachment}, raw: mailWithFile(2000)},
	"session":           {ops: []simulator.Operation{simulator.OpCreateSession}, raw: mailWithFile(20_000), alone: true},
	"range":             {ops: []simulator.Operation{simulator.OpUpload}, raw: mailWithFile(20_000), alone: true},
	"send":              {ops: []simulator.Operation{simulator.OpSend}, raw: plainMail},
	"sendMail":          {ops: []simulator.Operation{simulator.OpSendMail}, raw: plainMail, via: sendOnly},
	"get after a send":  {ops: []simulator.Operation{simulator.OpGet}, raw: plainMail, before: &simulator.Fault{Operation: simulator.OpSend, Reset: true, After: true}},
	"search for draft":  {ops: []simulator.Operation{simulator.OpList}, raw: plainMail, before: &simulator.Fault{Operation: simulator.OpCreate, Reset: true}},
	"removal of a copy": {ops: []simulator.Operation{simulator.OpDelete, simulator.OpPermanentDelete}, raw: func() string { return signed("answer") }, via: copyless},
}

func plainMail() string { return compose(header("answer"), "text") }

func mailWithFile(size int) func() string {
	return func() string {
		return compose(header("answer"), "text", attached{name: "a.bin", kind: "application/octet-stream", data: random(size)})
	}
}

// answers are the refusals that are known or guessed, with the statuses they come with.
var answers = []struct {
	code     string
	statuses []int
}{
	{"", []int{200, 302, 400, 401, 403, 404, 408, 409, 410, 412, 413, 418, 423, 429, 500, 501, 502, 503, 504, 507, 509}},
	{"UnknownError", []int{401, 403, 404, 500, 504}},
	{"BadRequest", []int{400, 413}},
	{"InvalidAuthenticationToken", []int{401}}, {"NoPermissionsInAccessToken", []int{401}},
	{"ErrorAccessDenied", []int{403}}, {"ErrorSendAsDenied", []int{403}},
	{"ErrorAccountSuspend", []int{403}}, {"ErrorMessageSubmissionBlocked", []int{403}}, {"ErrorSubmissionQuotaExceeded", []int{403, 429}},
	{"ErrorExceededMessageLimit", []int{400, 403}}, {"ErrorExceededHourlyMessageLimit", []int{400, 429}},
	{"ErrorQuotaExceeded", []int{403, 507}}, {"ErrorMailboxMoveInProgress", []int{400, 503}},
	{"ResourceNotFound", []int{404}}, {"ErrorInvalidUser", []int{404}}, {"MailboxNotEnabledForRESTAPI", []int{401, 404}},
	{"ErrorNonExistentMailbox", []int{404}}, {"ErrorItemNotFound", []int{404}},
	{"ErrorInvalidRecipients", []int{400}}, {"ErrorExceededMaxRecipientLimit", []int{400}}, {"ErrorMessageBlocked", []int{400}},
	{"ErrorMessageSizeExceeded", []int{400, 413}}, {"ErrorAttachmentSizeShouldNotBeLessThanMinimumSize", []int{400}},
	{"ErrorMimeContentInvalidBase64String", []int{400}}, {"InvalidInternetMessageHeader", []int{400}},
	{"InvalidInternetMessageHeaderCollection", []int{400}}, {"ParameterValueEmpty", []int{400}}, {"RequestBodyRead", []int{400}},
	{"ApplicationThrottled", []int{429}}, {"TooManyRequests", []int{429}}, {"activityLimitReached", []int{429}},
	{"CommandConcurrencyLimitReached", []int{503}}, {"ErrorServerBusy", []int{503}}, {"ErrorTooManyObjectsOpened", []int{500}},
	{"ErrorInternalServerTransientError", []int{503}}, {"ErrorInternalServerError", []int{500}},
	{"ErrorMailboxStoreUnavailable", []int{400}}, {"ErrorMailboxStoreUnavaiable", []int{400}},
	{"ErrorMessageTimeout", []int{400}}, {"ErrorMessageTransientError", []int{400}}, {"ErrorMessageThrottled", []int{400}},
	{"ErrorNeverSeenBefore", []int{400, 404}},
}

// TestAnswers has Graph answer each call with each code that is known or guessed, again and
// again, and compares what the relay does with testdata/answers.txt: whether it tries again and
// when, what else has to wait, and what the operator reads.
func TestAnswers(t *testing.T) {
	r := newRig(t, simulator.Options{Limits: smallLimits(), SendDelay: -1})
	r.cfg.RetryDelays = []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute} // the first of the default
	r.cfg.GiveUpAfter, r.cfg.Concurrency = 48*time.Hour, 64
	r.out.SendSettle, r.out.RetryUnexplained = 5*time.Minute, 30*time.Minute
	r.out.Connections = map[string]graphmail.Connection{copyless: {DropCopies: true}, sendOnly: {SendOnly: true}}
	r.connect(copyless, secret)
	r.connect(sendOnly, secret)
	h := &hasty{Queue: r.store, seen: map[string]*seenWaits{}, lanes: map[string]*seenWaits{}, whole: map[reason.Reason]bool{}}
	rows := map[string]string{} // ids by code, status and call
	for _, a := range answers {
		for _, status := range a.statuses {
			for name, call := range answeredCalls {
				id := r.submitAnswered(fmt.Sprint("m ", a.code, " ", status, " ", name), call, simulator.Fault{Status: status, Code: a.code})
				rows[fmt.Sprintf("%s\x00%d\x00%s", a.code, status, name)] = id
				h.seen[id] = &seenWaits{}
				h.lanes[r.get(id).Lane.String()] = h.seen[id]
			}
		}
	}
	stop := r.start(h)
	for _, id := range rows {
		if !r.eventually(func() bool {
			return h.done(id) || r.get(id).State == queue.Sent || r.get(id).State == queue.Failed || r.get(id).State == queue.Held
		}) {
			t.Fatalf("%+v", r.get(id))
		}
	}
	stop()
	calls := 0
	for _, n := range r.sim.Stats().Calls {
		calls += n
	}
	if calls > 40*len(rows) { // a call that is refused is not made again at once
		t.Errorf("%d calls for %d messages", calls, len(rows))
	}
	got := r.describeAnswers(rows, h)
	const path = "testdata/answers.txt"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	compareLines(t, got, string(want))
}

// submitAnswered submits a message from a mailbox of its own whose call is answered with f.
func (r *rig) submitAnswered(name string, call answered, f simulator.Fault) string {
	r.t.Helper()
	e := r.to(mailboxOf(name), "bob@example.org")
	e.From = anna
	e.Envelope.DSN.Recipients = map[string]queue.RecipientDSN{"bob@example.org": {Notify: []string{"NEVER"}}}
	switch {
	case call.via != "":
		e.Lane.Connection = call.via
	case call.alone:
		e.Lane.Connection = mailboxOf(name)
		r.connect(e.Lane.Connection, secret)
	}
	if call.before != nil {
		before := *call.before
		before.Mailbox, before.Nth = e.Lane.Mailbox, 1
		r.fault(before)
	}
	f.Mailbox, f.Message = e.Lane.Mailbox, "text"
	if f.Code == "" {
		f.Code = "-" // no code: the simulator would fill one in
	}
	for _, f.Operation = range call.ops {
		r.fault(f)
	}
	return r.submit(call.raw(), e)
}

// hasty is a queue in which nothing waits: it records for how long a message, a lane or a
// connection was to wait, and has the message tried at once.
type hasty struct {
	delivery.Queue
	mu    sync.Mutex
	seen  map[string]*seenWaits  // by ID
	lanes map[string]*seenWaits  // by lane
	whole map[reason.Reason]bool // the reasons for which a connection was to wait
}

type seenWaits struct {
	waits  []time.Duration
	what   string // else that has to wait
	reason reason.Reason
	detail string
}

// asks is how often the message of a row is tried.
const asks = 3

// Finish implements delivery.Queue.
func (h *hasty) Finish(ctx context.Context, ref queue.Ref, o queue.Outcome) error {
	h.mu.Lock()
	if s := h.seen[ref.ID]; s != nil && o.State == queue.Deferred {
		s.waits = append(s.waits, time.Until(o.Due))
		s.reason, s.detail = o.Reason, o.Detail
		if len(s.waits) < asks && o.Reason != reason.Confirming {
			o.Due = time.Now()
		} else {
			o.Due = time.Now().Add(time.Hour)
		}
	}
	h.mu.Unlock()
	return h.Queue.Finish(ctx, ref, o)
}

// PauseAs implements delivery.Queue.
func (h *hasty) PauseAs(_ context.Context, _ queue.LaneRef, lane queue.Lane, _ time.Time, why reason.Reason) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.lanes[lane.String()]; s != nil {
		s.what = "the mailbox"
	} else {
		h.whole[why] = true
	}
	return nil
}

// done reports whether the message was tried often enough.
func (h *hasty) done(id string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.seen[id]
	return len(s.waits) >= asks || len(s.waits) > 0 && s.reason == reason.Confirming
}

// describeAnswers returns the table: for each code and status, what is done at each call. Calls
// at which the same is done share a line.
func (r *rig) describeAnswers(rows map[string]string, h *hasty) string {
	r.t.Helper()
	var b strings.Builder
	b.WriteString("What the relay does when Graph answers a call with a code and a status. Written by\ngo test ./relay/delivery -run TestAnswers -update\n" +
		"A pause for access_denied grows to 35 minutes as time passes, which the test does not wait for.\n")
	for _, a := range answers {
		for _, status := range a.statuses {
			byOutcome := map[string][]string{}
			for name := range answeredCalls {
				rec := r.get(rows[fmt.Sprintf("%s\x00%d\x00%s", a.code, status, name)])
				outcome := h.describeEnd(rec)
				byOutcome[outcome] = append(byOutcome[outcome], name)
			}
			fmt.Fprintf(&b, "\n%d %s\n", status, a.code)
			var lines []string
			for outcome, calls := range byOutcome {
				slices.Sort(calls)
				lines = append(lines, "  "+strings.Join(calls, ", ")+": "+outcome+"\n")
			}
			slices.Sort(lines)
			b.WriteString(strings.Join(lines, ""))
		}
	}
	return b.String()
}

// describeEnd returns what became of a message, and what its operator reads.
func (h *hasty) describeEnd(rec queue.Record) string {
	s := h.seen[rec.ID]
	detail := s.detail
	what := ""
	switch {
	case rec.State != queue.Deferred:
		what, detail = string(rec.State), rec.Detail
		if len(s.waits) > 0 && rec.State == queue.Sent {
			what += " at a later attempt"
		}
	case rec.Reason == reason.Confirming:
		return "watched, then looked at again"
	default:
		what = "again after" + describeWaits(s.waits)
		if s.what == "" && h.whole[rec.Reason] {
			s.what = "the connection"
		}
		if s.what != "" {
			what += ", and " + s.what + " waits too"
		}
	}
	if rec.State == queue.Sent {
		return what
	}
	return what + " (" + string(rec.Reason) + ")\n      " + neutral(detail, rec.Lane.Mailbox)
}

var (
	opName  = regexp.MustCompile(`(attachment \d+ of \d+ \(\d+ bytes\): )?graph [a-z_]+: `)
	noCode  = regexp.MustCompile(`(\d{3}) -:`)
	jitters = []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute}
)

// neutral returns a detail without what differs between calls.
func neutral(detail, mailbox string) string {
	detail = strings.ReplaceAll(detail, mailbox, "MAILBOX")
	return noCode.ReplaceAllString(opName.ReplaceAllString(detail, ""), "$1:")
}

// describeWaits returns the waits without the part that is chosen at random, as one if all are
// the same.
func describeWaits(waits []time.Duration) string {
	var list []string
	for _, w := range waits {
		w = w.Round(time.Second)
		for _, base := range jitters {
			if w > base && w <= base+base/10+time.Second {
				w = base
			}
		}
		list = append(list, w.String())
	}
	if same := slices.Compact(slices.Clone(list)); len(same) == 1 {
		return " " + same[0] + " each time"
	}
	return " " + strings.Join(list, ", ") + " ..."
}

// compareLines reports the lines that differ.
func compareLines(t *testing.T, got, want string) {
	t.Helper()
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	differ := 0
	for n := range max(len(a), len(b)) {
		var x, y string
		if n < len(a) {
			x = a[n]
		}
		if n < len(b) {
			y = b[n]
		}
		if x != y {
			if differ++; differ <= 20 {
				t.Errorf("line %d:\n got %s\nwant %s", n+1, x, y)
			}
		}
	}
}

// TestAnswersAreComplete checks that TestAnswers has each code that the program knows.
func TestAnswersAreComplete(t *testing.T) {
	source, err := os.ReadFile("../../graph/classify.go")
	if err != nil {
		t.Fatal(err)
	}
	tried := map[string]bool{}
	for _, a := range answers {
		tried[a.code] = true
	}
	known := regexp.MustCompile(`(?m)^\t"(\w+)":\s+\{Class`).FindAllStringSubmatch(string(source), -1)
	if len(known) < 30 {
		t.Fatalf("only %d codes are found in classify.go", len(known))
	}
	for _, m := range known {
		if !tried[m[1]] {
			t.Errorf("%s is in classify.go and not among answers", m[1])
		}
	}
}
