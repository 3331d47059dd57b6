package reports

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/graph"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

const x, y, z = "x@example.test", "y@example.test", "Z@example.test"

// A report marks its message and tells the sender, once however often it is read: in two
// looks, and after restarts. Others add to it.
func TestReport(t *testing.T) {
	b := newBench(t)
	id := b.sent(scanner, "<1@x>", x, y, z)
	box := b.boxes[scanner]
	b.look()
	b.wantReturned(id, 0)
	box.receive(ndr("<1@x>", x+" 5.7.232"))
	b.look()
	b.wantReturned(id, 1, x+" 5.7.232")
	r := b.get(id)
	if r.Reason != reason.ExternalLimit || !strings.HasPrefix(r.Detail, x+": 5.7.232 550 5.7.232 refused; ") || time.Since(r.Returns[0].At) > time.Minute {
		t.Errorf("it is %+v", r)
	}
	if body := b.told()[0]; !strings.Contains(body, "To: <anna@contoso.test>") || strings.Contains(body, y) || !strings.Contains(body, "trial tenant") {
		t.Errorf("told:\n%s", body)
	}
	for range 2 {
		b.look()
		b.restart()
	}
	b.look()
	b.wantReturned(id, 1, x+" 5.7.232")
	box.receive(ndr("<1@x>", x+" 5.7.232")) // the same again, in another report
	box.receive(ndr("<1@x>", strings.ToUpper(z)+" 5.1.10", y+" 5.1.10"))
	b.look()
	b.restart()
	b.look()
	b.wantReturned(id, 2, x+" 5.7.232", z+" 5.1.10", y+" 5.1.10")
	if got := b.counted(); got["5.1.10"] != 1 || got["5.7.232"] != 1 || len(got) != 2 {
		t.Errorf("counted %v", got)
	}
}

// What is no report about a message of this relay from this mailbox changes nothing.
func TestOthersAreLeftAlone(t *testing.T) {
	b := newBench(t)
	other := queue.Lane{Connection: "contoso", Mailbox: "crm@contoso.test"}
	id, others := b.sent(scanner, "<1@x>", x), b.sent(other, "<2@x>", x)
	nameless := b.sent(scanner, "", x)
	report := ndr("<1@x>", x+" 5.1.10")
	replace := func(old, with string) string {
		t.Helper()
		if !strings.Contains(report, old) {
			t.Fatalf("the report has no %q", old)
		}
		return strings.ReplaceAll(report, old, with)
	}
	box := b.boxes[scanner]
	for name, raw := range map[string]string{
		"of another message":            ndr("<unknown@x>", x+" 5.1.10"),
		"of another mailbox":            ndr("<2@x>", x+" 5.1.10"),
		"of another recipient":          ndr("<1@x>", y+" 5.1.10"),
		"of an id that looks like ours": ndr("<"+others+"@relay.test>", x+" 5.1.10"),
		"not addressed":                 replace("Final-Recipient: rfc822;"+x, "Final-Recipient: "+x),
		"delayed":                       replace("Action: failed", "Action: delayed"),
		"relayed":                       replace("Action: failed", "Action: relayed"),
		"delivered":                     replace("Action: failed", "Action: delivered"),
		"a read receipt":                replace("report-type=delivery-status", "report-type=disposition-notification"),
		"an ordinary message":           replace("multipart/report", "multipart/mixed"),
		"without status":                replace("message/delivery-status", "text/plain"),
		"without a Message-ID":          replace("Message-ID: ", "X-Message-ID: "),
		"two Message-IDs":               replace("Reporting-MTA:", "Original-Message-ID: <3@x>\r\nReporting-MTA:"),
		"written by a person":           strings.Replace(replace("Auto-Submitted: auto-replied\r\n", ""), "MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e", "eve", 1),
		"empty":                         "",
		"cut off":                       report[:strings.Index(report, "Final-Recipient")],
		"binary":                        strings.Repeat("\x00\xff--b\r\n", 1000),
	} {
		box.receive(raw)
		b.look()
		if r := b.get(id); r.State != queue.Sent {
			t.Fatalf("%s: %+v", name, r)
		}
	}
	before := box.receiveAt(time.Now().Add(-20*time.Minute), report) // than the message
	class := func(id, class string) {
		for n := range box.items {
			if box.items[n].ID == id {
				box.items[n].Class = class
			}
		}
	}
	for _, name := range []string{"IPM.Note", "REPORT.IPM.Note.DR", "REPORT.IPM.Note.IPNRN", ""} {
		class(box.receive(report), name)
	}
	b.look()
	b.wantReturned(id, 0)
	b.wantReturned(others, 0)
	b.wantReturned(nameless, 0)
	box.raw[before] = ""
	box.receive(ndr("<"+nameless+"@relay.test>", x+" 5.1.10"))
	b.look()
	b.wantReturned(nameless, 1, x+" 5.1.10")
	b.wantReturned(id, 1)
}

// Exchange names the message in several places, and other systems in one of them.
func TestFormsOfReports(t *testing.T) {
	report := ndr("<1@x>", x+" 5.1.10")
	for name, change := range map[string][]string{
		"class not shown":       {},
		"header alone":          {"message/rfc822", "text/rfc822-headers"},
		"by the fields":         {"Message-ID: <1@x>", "X: y", "Reporting-MTA:", "X-Original-Message-ID: <1@x>\r\nReporting-MTA:"},
		"by what it answers":    {"Message-ID: <1@x>", "X: y", "Auto-Submitted:", "In-Reply-To: <1@x>\r\nAuto-Submitted:"},
		"as all say":            {"Reporting-MTA:", "Original-Message-ID: <1@x>\r\nReporting-MTA:", "Auto-Submitted:", "In-Reply-To: <1@x>\r\nAuto-Submitted:"},
		"original recipient":    {"Final-Recipient: rfc822;" + x, "Original-Recipient: rfc822; " + x + "\r\nFinal-Recipient: rfc822;forwarded@example.org"},
		"comments and folding":  {"Action: failed", "ACTION:\r\n Failed (for good)", "Status: 5.1.10", "Status: 5.1.10 (no such user)", "smtp;550 ", "smtp;550\r\n\t"},
		"UTF-8 address":         {"rfc822;" + x, `utf-8;\x{78}@example.test`},
		"code in the answer":    {"Status: 5.1.10", "Status: 5.0.0"},
		"no status":             {"Status: 5.1.10\r\n", ""},
		"bare line feeds":       {"\r\n", "\n"},
		"null return path":      {"Auto-Submitted: auto-replied", "Return-Path: <>", "MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e", "bounces"},
		"another mail system":   {"Auto-Submitted: auto-replied\r\n", "", "MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e", "MAILER-DAEMON"},
		"marked as Exchange's":  {"Auto-Submitted: auto-replied", "X-MS-Exchange-Message-Is-Ndr:", "MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e", "x"},
		"with a long beginning": {"Not delivered.", strings.Repeat("0123456789abcdef\r\n", 8<<10)},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			id := b.sent(scanner, "<1@x>", x)
			raw := report
			for n := 0; n < len(change); n += 2 {
				if !strings.Contains(raw, change[n]) {
					t.Fatalf("there is no %q", change[n])
				}
				raw = strings.ReplaceAll(raw, change[n], change[n+1])
			}
			box := b.boxes[scanner]
			box.receive(raw)
			if len(change) == 0 {
				box.items[0].Class, box.items[0].From = "", "microsoftexchange329e71ec88ae4615bbc36ab6ce41109e@contoso.test"
			}
			b.look()
			b.wantReturned(id, 1, x+" 5.1.10")
		})
	}
}

// Of messages with the same Message-ID a report marks the one with its recipient; if there
// are several, it marks one, and the next report the next.
func TestSameMessageID(t *testing.T) {
	b := newBench(t)
	first, second, third := b.sent(scanner, "<1@x>", x), b.sent(scanner, "<1@x>", y), b.sent(scanner, "<1@x>", y)
	b.boxes[scanner].receive(ndr("<1@x>", y+" 5.1.10"))
	b.look()
	b.restart()
	b.look()
	b.wantReturned(first, 1)
	b.wantReturned(second, 1, y+" 5.1.10")
	b.wantReturned(third, 1)
	b.boxes[scanner].receive(ndr("<1@x>", y+" 5.1.10", x+" 5.1.1"))
	b.look()
	b.wantReturned(first, 3, x+" 5.1.1")
	b.wantReturned(third, 3, y+" 5.1.10")
}

// A report may come while it is not known yet that its message was sent.
func TestReportBeforeItsMessageIsSent(t *testing.T) {
	b := newBench(t)
	b.sent(scanner, "<0@x>", x)
	id := b.queued(scanner, "<1@x>", x)
	box := b.boxes[scanner]
	box.receiveAt(time.Now().Add(-time.Second), ndr("<1@x>", x+" 5.1.10"))
	b.look()
	reads := box.reads
	b.look()
	if box.reads != reads {
		t.Error("it was read again, although it is known")
	}
	b.w.lanes[scanner].since = time.Now() // as later
	b.look()
	b.restart()
	b.look()
	b.deliver(id)
	b.look()
	b.wantReturned(id, 1, x+" 5.1.10")
}

// Only mailboxes that are watched, have sent lately and are not paused are looked into, one
// after the other, as often as is set.
func TestWhichMailboxes(t *testing.T) {
	b := newBench(t)
	idle, paused, unwatched := queue.Lane{Connection: "contoso", Mailbox: "idle@contoso.test"}, queue.Lane{Connection: "contoso", Mailbox: "paused@contoso.test"}, queue.Lane{Connection: "contoso", Mailbox: "private@contoso.test"}
	b.boxes[idle], b.boxes[paused] = &box{}, &box{}
	b.sent(scanner, "<1@x>", x)
	b.sent(paused, "<1@x>", x)
	b.sent(unwatched, "<1@x>", x)
	b.ok(b.store.Pause(t.Context(), paused, time.Now().Add(time.Hour), reason.Throttled))
	for range 3 {
		b.ok(b.w.round(t.Context()))
	}
	if b.boxes[scanner].looks != 1 || b.boxes[idle].looks != 0 || b.boxes[paused].looks != 0 {
		t.Errorf("looked %d, %d, %d times", b.boxes[scanner].looks, b.boxes[idle].looks, b.boxes[paused].looks)
	}
	if since := time.Since(b.boxes[scanner].since); since < lately || since > lately+time.Minute {
		t.Errorf("the first look goes back %s", since)
	}
	b.ok(b.store.Resume(t.Context(), paused))
	b.look()
	if b.boxes[paused].looks != 1 || b.boxes[scanner].looks != 2 {
		t.Error("not looked into after the pause")
	}
	if since := time.Since(b.boxes[scanner].since); since < overlap || since > overlap+time.Minute {
		t.Errorf("the second look goes back %s", since)
	}
	b.w.queue = aged{b.store, lately + overlap + time.Minute}
	b.look()
	if b.boxes[scanner].looks != 2 {
		t.Error("looked into a mailbox that has not sent lately")
	}
}

// aged is a queue whose lanes were served longer ago.
type aged struct {
	*queue.Queue
	by time.Duration
}

func (a aged) ServedLanes(ctx context.Context, since time.Time) ([]queue.ServedLane, error) {
	list, err := a.Queue.ServedLanes(ctx, since)
	for n := range list {
		list[n].Served = list[n].Served.Add(-a.by)
	}
	return list, err
}

// A clock that was ahead must not keep reports from being read.
func TestReportsReadInTheFuture(t *testing.T) {
	b := newBench(t)
	id := b.sent(scanner, "<1@x>", x)
	b.ok(b.store.SetReportsRead(t.Context(), scanner, time.Now().Add(365*24*time.Hour)))
	b.boxes[scanner].receive(ndr("<1@x>", x+" 5.1.10"))
	b.look()
	b.wantReturned(id, 1, x+" 5.1.10")
}

// After a time in which the relay did not run, the reports of that time are read.
func TestReportsWhileTheRelayWasDown(t *testing.T) {
	b := newBench(t)
	id := b.sent(scanner, "<1@x>", x)
	b.look()
	long := time.Now().Add(-3 * 24 * time.Hour)
	b.ok(b.store.SetReportsRead(t.Context(), scanner, long))
	b.restart()
	b.boxes[scanner].receive(ndr("<1@x>", x+" 5.1.10"))
	b.look()
	if !b.boxes[scanner].since.Equal(long.Truncate(time.Microsecond)) {
		t.Errorf("looked since %s, want %s", b.boxes[scanner].since, long)
	}
	b.wantReturned(id, 1, x+" 5.1.10")
}

// A mailbox that refuses is asked less and less often, and that is said once.
func TestBackoff(t *testing.T) {
	b := newBench(t)
	b.sent(scanner, "<1@x>", x)
	box := b.boxes[scanner]
	for _, tt := range []struct {
		err   error
		waits []time.Duration
		said  string
	}{
		{&graph.Error{Op: "inbox", Status: 403, Class: graph.ClassMailbox, Reason: graph.ReasonAccessDenied}, []time.Duration{35 * time.Minute, 35 * time.Minute, 35 * time.Minute, 40 * time.Minute}, "watch_reports needs Mail.Read"},
		{&graph.Error{Op: "inbox", Status: 503, Class: graph.ClassTemporary, Reason: graph.ReasonThrottled, RetryAfter: 50 * time.Minute}, []time.Duration{50 * time.Minute, 50 * time.Minute}, "503"},
		{graph.ErrNotConnected, []time.Duration{5 * time.Minute, 10 * time.Minute, 20 * time.Minute}, ""},
		{errors.New("no"), []time.Duration{5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 40 * time.Minute, 80 * time.Minute, 160 * time.Minute, 320 * time.Minute, 6 * time.Hour, 6 * time.Hour}, "error=no"},
	} {
		box.err = tt.err
		before := strings.Count(b.log.String(), "cannot look")
		for n, want := range tt.waits {
			b.look()
			if got := time.Until(b.w.lanes[scanner].next); got > want || got < want-time.Minute {
				t.Errorf("%v: wait %d is %s, want %s", tt.err, n, got, want)
			}
		}
		said := 1
		if tt.said == "" {
			said = 0
		}
		if n := strings.Count(b.log.String(), "cannot look") - before; n != said || !strings.Contains(b.log.String(), tt.said) {
			t.Errorf("%v: said %d times:\n%s", tt.err, n, b.log.String())
		}
		box.err = nil
		b.look()
		if got := time.Until(b.w.lanes[scanner].next); got > 6*time.Minute {
			t.Errorf("after a success the wait is %s", got)
		}
	}
}

// One look reads a bounded number of reports; the next go on. One that cannot be read does not
// keep the others waiting.
func TestManyReports(t *testing.T) {
	b := newBench(t)
	id := b.sent(scanner, "<1@x>", x)
	box := b.boxes[scanner]
	box.bad = map[string]error{}
	for n := range maxReports + 10 {
		at := time.Now().Add(time.Duration(n-200) * time.Second)
		bad := box.receiveAt(at, ndr(fmt.Sprintf("<unknown%d@x>", n), x+" 5.1.10"))
		if n == 3 {
			box.bad[bad] = &graph.Error{Op: "get_mime", Status: 500, Class: graph.ClassTemporary, Reason: graph.ReasonUnavailable}
		}
	}
	box.receive(ndr("<1@x>", x+" 5.1.10"))
	b.look()
	b.wantReturned(id, 0)
	if box.reads != maxReports || time.Until(b.w.lanes[scanner].next) > 2*time.Minute {
		t.Errorf("%d reports were read, and the next look is at %s", box.reads, b.w.lanes[scanner].next)
	}
	b.look()
	b.wantReturned(id, 1, x+" 5.1.10")
	for range maxTries + 3 {
		b.look()
	}
	if want := maxReports + 11 + maxTries; box.reads != want {
		t.Errorf("%d reads, want %d", box.reads, want)
	}
	if n := len(b.w.lanes[scanner].pending); n != maxReports+9 {
		t.Errorf("%d reports wait for their messages", n)
	}
	box.items = nil
	for n := range maxItems + 1 {
		box.items = append(box.items, graph.Received{ID: fmt.Sprint(n), At: time.Now(), Class: "IPM.Note"})
	}
	b.look()
	if !strings.Contains(b.log.String(), "more came to a mailbox than is looked at") {
		t.Error("nobody learns that not all items were looked at")
	}
}

// The labels of the metric are valid codes, and few.
func TestCodesAreBounded(t *testing.T) {
	b := newBench(t)
	b.metrics.Prepare("contoso")
	var returns []queue.Return
	for n := range 300 {
		returns = append(returns, queue.Return{Code: fmt.Sprintf("5.9.%d", n)})
	}
	b.metrics.count("contoso", returns)
	b.metrics.count("contoso", []queue.Return{{Code: ""}, {Code: "5.7.233"}})
	codes := b.counted()
	if len(codes) > maxCodes+1 || codes["other"] != 2 || codes["5.7.233"] != 1 || codes["5.9.0"] != 1 {
		t.Errorf("%d codes: %v", len(codes), slices.Sorted(maps.Keys(codes)))
	}
}

// FuzzParseReport checks that what is read of a report is bounded and clean.
func FuzzParseReport(f *testing.F) {
	f.Add([]byte(ndr("<1@x>", x+" 5.1.10")))
	f.Add([]byte(strings.ReplaceAll(ndr("<1@x>", x+" 5.1.10"), "rfc822;", `utf-8;\x{FC}\x{110000}`)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := parseReport(raw)
		if err != nil {
			return
		}
		if r.messageID == "" || len(r.failed) == 0 || len(r.failed) > maxFailures {
			t.Errorf("%+v", r)
		}
		for _, x := range r.failed {
			if len(x.diagnostic) > maxDiagnostic+3 || strings.ContainsAny(x.diagnostic, "\r\n\x00\x1b") || len(x.addresses) == 0 {
				t.Errorf("%+v", x)
			}
		}
	})
}
