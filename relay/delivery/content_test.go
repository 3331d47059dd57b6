package delivery_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/relay/delivery/graphmail"
	"graphrelay/relay/queue"
)

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// sameFiles checks that every file arrived whole, in order and under its name.
func sameFiles(t *testing.T, got []simulator.Attachment, want []attached) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d attachments, want %d: %+v", len(got), len(want), got)
	}
	for i, w := range want {
		g := got[i]
		if g.Name != w.name || g.ContentType != w.kind || g.ContentID != w.cid || g.IsInline != w.inline ||
			g.Size != int64(len(w.data)) || g.SHA256 != sum(w.data) {
			t.Errorf("attachment %d: got %+v, want %s %s %q inline %v, %d bytes, %s",
				i+1, g, w.name, w.kind, w.cid, w.inline, len(w.data), sum(w.data))
		}
	}
}

func TestPlainMessage(t *testing.T) {
	r := newRig(t, simulator.Options{})
	defer r.start(nil)()
	id := r.submit(strings.ReplaceAll(header("plain")+"X-Tag: one\nImportance: high\nIn-Reply-To: <a@b>\n\nHello\n", "\n", "\r\n"),
		r.to(anna, "bob@example.org"))
	m := r.message(r.sentOnce(id))
	if m.Subject != "plain" || m.Body.ContentType != "text" || strings.TrimSpace(m.Body.Content) != "Hello" ||
		m.Importance != "high" || m.InternetMessageID != "<plain@client.test>" || len(m.Headers) != 1 || m.Headers[0].Name != "X-Tag" {
		t.Errorf("got %+v", m)
	}
	if m.From == nil || m.From.Address != anna || m.From.Name != "Anna" {
		t.Errorf("from %+v", m.From)
	}
	rec := r.get(id)
	if graphmail.StepsOf(rec.Progress).Path != "draft" || rec.Attempts != 1 || rec.Reason != "" {
		t.Errorf("record %+v", rec)
	}
	r.noDrafts()
}

func TestAttachments(t *testing.T) {
	files := []attached{
		{"logo.png", "image/png", "logo@x", true, random(5000)},
		{"empty.txt", "text/plain", "", false, nil},
		{"2.9.bin", "application/pdf", "", false, random(2_900_000)},
		{"under.bin", "application/zip", "", false, random(2_999_999)},
		{"3.0.bin", "application/zip", "part@x", false, random(3_000_000)},
		{"3.2.bin", "application/zip", "", false, random(3_200_000)},
		{"12 MB ümlaut.bin", "application/octet-stream", "", false, random(12_000_000)},
		{"last.txt", "text/plain", "", false, []byte("last")},
	}
	r := newRig(t, simulator.Options{Ranges: simulator.RangeAlternate})
	defer r.start(nil)()
	id := r.submit(compose(header("files"), `<p>See <img src="cid:logo@x"></p>`, files...), r.to(anna, "bob@example.org"))
	m := r.message(r.sentOnce(id))
	sameFiles(t, m.Attachments, files)
	if m.Body.ContentType != "html" || !strings.Contains(m.Body.Content, "cid:logo@x") {
		t.Errorf("body %+v", m.Body)
	}
	for i, a := range m.Attachments {
		if bySession := len(files[i].data) >= 3_000_000; a.BySession != bySession {
			t.Errorf("%s: by session %v", a.Name, a.BySession)
		}
	}
	if n := r.sim.Stats().MaxConcurrency[anna]; n > 1 {
		t.Errorf("%d requests at a time for one message", n)
	}
	r.noDrafts()
}

// The size from which an upload session is needed is not documented: what one way refuses
// for its size takes the other.
func TestLineBetweenPostAndSession(t *testing.T) {
	files := []attached{
		{"a.bin", "application/zip", "", false, random(2_100_000)},
		{"b.bin", "application/zip", "", false, random(3_050_000)},
	}
	binary := simulator.BinaryLimits()
	low := simulator.DecimalLimits()
	low.Attachment, low.SessionMin = 2_000_000, 2_000_000
	for name, limits := range map[string]simulator.Limits{"binary": binary, "low": low} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, simulator.Options{Limits: limits})
			defer r.start(nil)()
			id := r.submit(compose(header("line"), "text", files...), r.to(anna, "bob@example.org"))
			sameFiles(t, r.message(r.sentOnce(id)).Attachments, files)
			r.noDrafts()
		})
	}
}

// A request that is too large is not always refused with 413. If a session refuses the file
// too, the message fails with the first reason.
func TestAttachmentRefusedWith400(t *testing.T) {
	limits := simulator.DecimalLimits()
	limits.SessionMin = 20_000
	r := newRig(t, simulator.Options{Limits: limits})
	r.fault(simulator.Fault{Operation: simulator.OpAttachment, Status: 400, Code: "BadRequest", Message: "Maximum request length exceeded."})
	files := []attached{{"a.bin", "application/zip", "", false, random(20_000)}}
	taken := r.submit(compose(header("large"), "text", files...), r.to(anna, "bob@example.org"))
	refused := r.submit(compose(header("small"), "text", attached{"b.bin", "application/zip", "", false, random(10_000)}), r.to(anna, "bob@example.org"))
	defer r.start(nil)()
	sameFiles(t, r.message(r.sentOnce(taken)).Attachments, files)
	if rec := r.await(refused, queue.Failed); !strings.Contains(rec.Detail, "Maximum request length exceeded.") {
		t.Errorf("%s: %s", rec.Reason, rec.Detail)
	}
	r.noDrafts()
}

// A body that does not fit into Graph's request goes as a file.
func TestLargeBody(t *testing.T) {
	r := newRig(t, simulator.Options{})
	defer r.start(nil)()
	text := strings.Repeat(strings.Repeat("\"", 58)+"\r\n", 36_000) // 2.1 MB, more than 4 MB as JSON
	id := r.submit(compose(header("body"), text), r.to(anna, "bob@example.org"))
	m := r.message(r.sentOnce(id))
	if len(m.Attachments) != 1 || m.Attachments[0].Name != "message.txt" || m.Attachments[0].Size < 2_000_000 ||
		!strings.Contains(m.Body.Content, "message.txt") {
		t.Errorf("body %.100q, attachments %+v", m.Body.Content, m.Attachments)
	}
	small := r.submit(compose(header("html"), "<p>"+strings.Repeat("<b>x</b>\r\n", 110_000)), r.to(anna, "bob@example.org"))
	if m := r.message(r.sentOnce(small)); len(m.Attachments) != 0 || len(m.Body.Content) < 1_000_000 {
		t.Errorf("%d bytes of body, attachments %+v", len(m.Body.Content), m.Attachments)
	}
	if n := r.get(small).Attempts; n != 1 {
		t.Errorf("%d attempts", n)
	}
}

// Graph takes five X- headers at most, and refuses every other name.
func TestHeadersThatGraphTakes(t *testing.T) {
	r := newRig(t, simulator.Options{})
	defer r.start(nil)()
	var b strings.Builder
	for i := range 9 {
		fmt.Fprintf(&b, "X-N%d: %d\n", i, i)
	}
	long := "X-Long: " + strings.Repeat("v", 2000) + "\n"
	id := r.submit(compose(header("headers")+"X-Priority: 1\nX-Empty:\nList-Id: <l>\n"+long+"X-MS-Exchange-Foo: 1\n"+b.String(), "text"),
		r.to(anna, "bob@example.org"))
	m := r.message(r.sentOnce(id))
	if len(m.Headers) != 5 || m.Headers[0].Name != "X-N0" || m.Headers[4].Name != "X-N4" {
		t.Errorf("headers %+v", m.Headers)
	}
}

// A message without Message-ID gets one, and keeps it over retries.
func TestMessageIDIsGiven(t *testing.T) {
	r := newRig(t, simulator.Options{})
	var ids []string
	for _, op := range []simulator.Operation{"", simulator.OpCreate} {
		mailbox := "box" + string(op) + "@contoso.test"
		if op != "" {
			r.fault(simulator.Fault{Operation: op, Mailbox: mailbox, Nth: 1, Status: 500})
		}
		ids = append(ids, r.submit("Subject: no id\r\n\r\ntext\r\n", r.to(mailbox, "bob@example.org")))
	}
	defer r.start(nil)()
	for _, id := range ids {
		if got := r.sentOnce(id).InternetMessageID; got != "<"+id+"@relay.test>" {
			t.Errorf("%s has %s", id, got)
		}
	}
}

// A rule decides From and Reply-To; a message without From gets one.
func TestSenderRule(t *testing.T) {
	r := newRig(t, simulator.Options{})
	defer r.start(nil)()
	for _, tt := range []struct {
		name, header  string
		from, replyTo string // of the rule
		envelope      string
		wantName      string
		want          string
		wantReplyTo   []string
	}{
		{"own address", "From: Anna <anna@contoso.test>", anna, "", anna, "Anna", anna, nil},
		{"other case", "From: Anna <Anna@Contoso.Test>", anna, "", anna, "Anna", "Anna@Contoso.Test", nil},
		{"rule", "From: App <app@internal.lan>", anna, "app@internal.lan", "app@internal.lan", "App", anna, []string{"app@internal.lan"}},
		{"rule, own Reply-To", "From: App <app@internal.lan>\nReply-To: h@x.org, i@x.org", anna, "app@internal.lan", "", "App", anna, []string{"h@x.org", "i@x.org"}},
		{"no From", "X-A: 1", anna, "", anna, "", anna, nil},
		{"no From, null envelope", "X-A: 1", anna, "", "", "", anna, nil},
		{"two authors", "From: A <a@contoso.test>, B <b@contoso.test>", "a@contoso.test", "", "a@contoso.test", "A", "a@contoso.test", nil},
		{"Sender differs", "From: Anna <anna@contoso.test>\nSender: List <list@other.example>", anna, "", anna, "Anna", anna, nil},
	} {
		e := r.to(anna, "bob@example.org")
		e.From, e.ReplyTo, e.Envelope.From = tt.from, tt.replyTo, tt.envelope
		id := r.submit(compose(tt.header+"\nTo: bob@example.org\nSubject: s", "text"), e)
		m := r.message(r.sentOnce(id))
		if m.From == nil || m.From.Address != tt.want || m.From.Name != tt.wantName {
			t.Errorf("%s: from %+v", tt.name, m.From)
		}
		var replyTo []string
		for _, a := range m.ReplyTo {
			replyTo = append(replyTo, a.Address)
		}
		if fmt.Sprint(replyTo) != fmt.Sprint(tt.wantReplyTo) {
			t.Errorf("%s: reply to %v", tt.name, replyTo)
		}
	}
}

// A Sender that the mailbox may not use does not cost the message.
func TestSenderThatMayNotBeNamed(t *testing.T) {
	r := newRig(t, simulator.Options{SendAs: map[string][]string{}})
	defer r.start(nil)()
	id := r.submit(compose(header("s")+"Sender: boss@contoso.test\n", "text"), r.to(anna, "bob@example.org"))
	r.sentOnce(id)
	r.noDrafts()
}

// A subject that is too long for Exchange is cut, but only if Graph refuses it.
func TestLongSubject(t *testing.T) {
	r := newRig(t, simulator.Options{})
	r.fault(simulator.Fault{Operation: simulator.OpCreate, Mailbox: "strict@contoso.test", Nth: 1, Status: 400, Code: "ErrorInvalidRequest"})
	long := strings.Repeat("ä", 300)
	lengths := map[string]int{
		r.submit(compose(header(long), "text"), r.to("strict@contoso.test", "bob@example.org")): 255,
		r.submit(compose(header(long), "text"), r.to(anna, "bob@example.org")):                  300,
	}
	defer r.start(nil)()
	for id, length := range lengths {
		if got := r.message(r.sentOnce(id)).Subject; got != strings.Repeat("ä", length) {
			t.Errorf("the subject is %q, want %d characters", got, length)
		}
	}
}
