package bounce

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/mime"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

var update = flag.Bool("update", false, "rewrite the notifications in testdata/dsn")

const ordinary = "Received: from x\r\nFrom: Anna <anna@contoso.test>\r\nTo: bob@example.org\r\nBcc: hidden@example.org,\r\n\tmore@example.org\r\n" +
	"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= from\r\n Cologne\r\nDate: Mon, 2 Nov 2026 10:00:00 +0100\r\nMessage-ID: <1@client.test>\r\n\r\nText\r\n"

// sample returns the bounce of an ordinary message, with the changes of a test.
func sample(t testing.TB, raw string, whole bool, change func(*notice)) *notice {
	t.Helper()
	o, err := ReadOriginal(io.NewSectionReader(strings.NewReader(raw), 0, int64(len(raw))), mime.DefaultLimits(), whole)
	if err != nil {
		t.Fatal(err)
	}
	received := time.Date(2026, 11, 2, 10, 0, 1, 0, time.UTC)
	n := &notice{
		id: "06h0000000000001", action: Failed, host: "relay.contoso.test", from: "scanner@contoso.test", to: "anna@contoso.test",
		now: received.Add(time.Minute), until: received.Add(48 * time.Hour), reason: "invalid_recipients", original: o,
		about: queue.Record{ID: "06h0000000000000", Received: received, Entry: queue.Entry{
			Envelope: queue.Envelope{From: "anna@contoso.test", To: []string{"bob@example.org"}},
			Lane:     queue.Lane{Connection: "contoso", Mailbox: "scanner@contoso.test"},
		}},
	}
	if change != nil {
		change(n)
	}
	if n.recipients == nil {
		n.recipients = n.about.Envelope.To
	}
	return n
}

// hostile puts into every field text that could end a line, a part or a header.
func hostile(n *notice, evil string) {
	n.to = "a@b.test" + evil
	n.about.Envelope = queue.Envelope{To: []string{"bob@example.org" + evil, evil}, DSN: queue.DSN{EnvelopeID: evil,
		Recipients: map[string]queue.RecipientDSN{evil: {Original: "utf-8;" + evil}, "bob@example.org" + evil: {Original: evil}}}}
	n.about.Lane.Mailbox, n.reason, n.detail, n.diagnostic = evil, reason.Reason(evil), evil, evil
	n.original.subject, n.original.date, n.original.messageID = evil, evil, evil
}

var notices = map[string]struct {
	raw    string
	whole  bool
	change func(*notice)
}{
	"recipients": {ordinary, false, func(n *notice) {
		n.detail, n.diagnostic = "graph send: 400 ErrorInvalidRecipients: At least one recipient is not valid.", "400 ErrorInvalidRecipients: At least one recipient is not valid."
		n.about.Envelope.To = []string{"bob@example.org", "carla@example.org"}
		n.about.Envelope.DSN = queue.DSN{EnvelopeID: "QQ+314", Recipients: map[string]queue.RecipientDSN{"bob@example.org": {Original: "rfc822;bob+x@old.test"}}}
	}},
	"some-recipients": {ordinary, false, func(n *notice) {
		n.detail = "carla@example.org: 400 ErrorInvalidRecipients: Recipient \"carla@example.org\" isn't resolved."
		n.about.Envelope.To = []string{"bob@example.org", "carla@example.org"}
		n.recipients, n.refused = []string{"carla@example.org"}, map[string]string{"carla@example.org": n.detail}
	}},
	"gave-up": {ordinary, false, func(n *notice) {
		n.reason, n.gaveUp, n.detail = "network", 48*time.Hour, "gave up after 48h0m0s; last: graph create: dial tcp: no route to host"
	}},
	"too-large": {ordinary, false, func(n *notice) {
		n.reason, n.detail = "too_large", "a signed message can only go as it is, and its 3600000 bytes are more than Graph takes as MIME in one request (4 MB in base64)"
	}},
	"returned": {ordinary, false, func(n *notice) {
		n.returns = []queue.Return{
			{Recipient: "bob@example.org", Code: "5.7.232", Diagnostic: "550 5.7.232 Your message can't be sent because your trial tenant has exceeded its daily limit."},
			{Recipient: "carla@example.org", Code: "5.1.10", Diagnostic: "550 5.1.10 RESOLVER.ADR.RecipientNotFound; not found"},
			{Recipient: "dora@example.org", Code: "5.7.232"},
			{Recipient: "emil@example.org"},
		}
		n.recipients = []string{"bob@example.org", "carla@example.org", "dora@example.org", "emil@example.org"}
		n.reason, n.original.header = "external_limit", nil
	}},
	"delayed":   {ordinary, false, func(n *notice) { n.action, n.reason = Delayed, "throttled" }},
	"relayed":   {ordinary, false, func(n *notice) { n.action, n.reason = Relayed, "" }},
	"full":      {ordinary, true, nil},
	"full-8bit": {"From: a\r\nSubject: caf\xe9\r\n\r\nna\xefve\r\n", true, nil},
	"utf8": {"From: ü\r\nSubject: grüße 日本語 with a long subject that does not fit into one encoded word, nor into two\r\n\r\n", false, func(n *notice) {
		n.about.Envelope.To = []string{"jörg@müller.example"}
		n.about.Envelope.DSN.Recipients = map[string]queue.RecipientDSN{"jörg@müller.example": {Original: "utf-8;jörg+a=b@old.test"}}
		n.to, n.diagnostic = "ünal@contoso.test", "400 BadRequest: ungültig"
	}},
	"unreadable": {"", false, func(n *notice) { n.original = Original{}; n.reason, n.gaveUp = "storage", time.Hour }},
	"no-header":  {"just text, \r\nand no header\r\n", true, nil},
	"unknown":    {ordinary, false, func(n *notice) { n.reason = "something_new" }},
	"hostile": {"Subject: a\x00b\x0bc\rX-Evil: 1\r\nX-Odd: =?utf-8?q?=0D=0AX-Evil:_2?=\r\nBcc: x@y\r\nhidden@example.org\r\n\r\n--=_graphrelay_\r\n", true,
		func(n *notice) {
			hostile(n, "\r\nX-Evil: 3\r\n\r\n--=_graphrelay_06h0000000000001\r\n\u2028<>\"ü\xff")
		}},
}

// TestNotices compares each notification with testdata/dsn, and reads it with our
// own parser.
func TestNotices(t *testing.T) {
	for name, tt := range notices {
		t.Run(name, func(t *testing.T) {
			n := sample(t, tt.raw, tt.whole, tt.change)
			got := n.message()
			checkNotice(t, n, got)
			file := filepath.Join("testdata/dsn", name+".eml")
			if *update {
				if err := os.WriteFile(file, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
			if bytes.Contains(got, []byte("hidden@example.org")) {
				t.Error("a Bcc recipient is shown")
			}
		})
	}
}

var noticeFields = []string{"From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "Auto-Submitted", "X-Graphrelay-Bounce", "MIME-Version",
	"Content-Type", "Content-Transfer-Encoding"}

// checkNotice checks that any program can read the notification, and that nothing in it only
// looks like a field or a part.
func checkNotice(t testing.TB, n *notice, raw []byte) {
	t.Helper()
	m, err := mime.Parse(bytes.NewReader(raw), int64(len(raw)), mime.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if m.Kind != mime.KindReport || len(m.From) != 1 || len(m.Body.Content) == 0 || m.Body.HTML {
		t.Fatalf("it is %s from %v with %q", m.Kind, m.From, m.Body.Content)
	}
	var names []string
	for _, f := range m.Fields {
		names = append(names, f.Name)
	}
	optional := func(s string) bool { return !slices.Contains(names, s) }
	if want := slices.DeleteFunc(slices.Clone(noticeFields), optional); !slices.Equal(names, want) || len(names) < 9 {
		t.Errorf("its header is %q", names)
	}
	parts := 2
	if n.original.header == nil {
		parts = 1
	}
	if len(m.Attachments) != parts || m.Attachments[0].ContentType != "message/delivery-status" {
		t.Fatalf("it has %d other parts: %+v", len(m.Attachments), m.Attachments)
	}
	status, err := io.ReadAll(m.Attachments[0].Open())
	if err != nil {
		t.Fatal(err)
	}
	checkStatus(t, n, status)
	for line := range bytes.SplitSeq(status, []byte("\r\n")) {
		if len(line) > 998 || bytes.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("a line of the status: %.200q", line)
		}
	}
}

var statusFields = []string{"Original-Recipient", "Final-Recipient", "Action", "Status", "Diagnostic-Code", "Last-Attempt-Date", "Will-Retry-Until"}

// checkStatus reads the groups of fields (RFC 3464 section 2.1): one of the
// message, then one of each recipient.
func checkStatus(t testing.TB, n *notice, status []byte) {
	t.Helper()
	r := textproto.NewReader(bufio.NewReader(io.MultiReader(bytes.NewReader(status), strings.NewReader("\r\n"))))
	for i := 0; ; i++ {
		h, err := r.ReadMIMEHeader()
		if len(h) == 0 {
			if i != len(n.recipients)+1 || !errors.Is(err, io.EOF) {
				t.Errorf("%d groups for %d recipients, %v:\n%s", i, len(n.recipients), err, status)
			}
			return
		}
		known := append(slices.Clone(statusFields), "Reporting-Mta", "Original-Envelope-Id", "X-Graphrelay-Queue-Id", "Arrival-Date")
		for name, values := range h {
			if !slices.Contains(known, name) || len(values) != 1 {
				t.Errorf("group %d has %s %q", i, name, values)
			}
		}
		if i > 0 && (h.Get("Action") != string(n.action) || h.Get("Status") != n.statusCode(i-1) || h.Get("Final-Recipient") == "") {
			t.Errorf("group %d is %v", i, h)
		}
	}
}

// Every reason has its own advice.
func TestAdvice(t *testing.T) {
	for _, r := range []reason.Reason{reason.InvalidMessage, reason.InvalidRecipients, reason.TooLarge, reason.LargeFile, reason.ItemNotFound, reason.UploadSession,
		reason.MailboxUnknown, reason.MailboxFull, reason.SendDenied, reason.AccessDenied, reason.SendingBlocked, reason.SignIn,
		reason.Throttled, reason.Unavailable, reason.Network, reason.Canceled, reason.Storage} {
		if a := AdviceFor(r); a == AdviceFor("") || a.Why == "" || a.Do == "" {
			t.Errorf("%s: %+v", r, a)
		}
	}
}

// What is returned of a message is bounded.
func TestReturnedIsBounded(t *testing.T) {
	long := "Subject: x\r\n" + strings.Repeat("X-A: "+strings.Repeat("a", 900)+"\r\n", 200) + "\r\n"
	n := sample(t, long, false, nil)
	if got := n.message(); len(got) > maxReturnedHeader+8<<10 || len(got) < maxReturnedHeader {
		t.Errorf("%d bytes for a header of %d", len(got), len(long))
	}
	n = sample(t, ordinary+strings.Repeat("0123456789abcdef\r\n", maxReturned/18), true, nil)
	if got := n.message(); len(got) > 8<<10 {
		t.Errorf("%d bytes although the message is too large to be returned", len(got))
	}
	n = sample(t, "X: "+strings.Repeat("a", 200_000)+"\r\n\r\n", false, nil)
	checkNotice(t, n, n.message())
}

func TestIsReport(t *testing.T) {
	for header, want := range map[string]bool{
		"Content-Type: multipart/report; report-type=delivery-status":         true,
		"content-type: Multipart/Report;\r\n report-type=\"Delivery-Status\"": true,
		"X-Graphrelay-Bounce: 1": true,
		"Content-Type: multipart/report; report-type=disposition-notification": false,
		"Content-Type: text/plain; name=delivery-status":                       false,
		"Auto-Submitted: auto-generated":                                       false,
	} {
		if got := isReport(mime.ReadHeader([]byte(header+"\r\n\r\n"), mime.DefaultLimits())); got != want {
			t.Errorf("%q: %v", header, got)
		}
	}
}

// FuzzNotice checks that the notification is well-formed whatever the message and its envelope
// contain.
func FuzzNotice(f *testing.F) {
	f.Add(ordinary, "\r\nX: y", true)
	for _, tt := range notices {
		f.Add(tt.raw, fmt.Sprintf("%.20q", tt.raw), tt.whole)
	}
	f.Fuzz(func(t *testing.T, raw, evil string, whole bool) {
		n := sample(t, raw, whole, func(n *notice) { hostile(n, evil) })
		for _, n.action = range []Action{Failed, Delayed, Relayed} {
			checkNotice(t, n, n.message())
		}
		n.action = Failed
		for _, r := range n.recipients {
			n.returns = append(n.returns, queue.Return{Recipient: r, Code: "5.1.10", Diagnostic: evil, Report: evil})
		}
		checkNotice(t, n, n.message())
	})
}
