package delivery_test

import (
	"context"
	"strings"
	"testing"

	"graphrelay/graph"
	"graphrelay/graph/simulator"
	"graphrelay/relay/queue"
	"graphrelay/relay/signature"
)

// signedRig has the signature "sales" and this owner of Anna's mailbox.
func signedRig(t *testing.T, owner graph.User, later bool) *rig {
	t.Helper()
	r := newRig(t, simulator.Options{})
	r.out.Owner = func(context.Context, queue.Lane) (graph.User, bool) { return owner, later }
	var s signature.Template
	if err := s.ParseHTML(`<p>{{.DisplayName}}{{if .JobTitle}}, {{.JobTitle}}{{end}}<br>{{.Phone}} {{.Mail}}</p>`); err != nil {
		t.Fatal(err)
	}
	if err := s.ParseText("{{.DisplayName}}{{if .JobTitle}}, {{.JobTitle}}{{end}}\n{{.Phone}} {{.Mail}}"); err != nil {
		t.Fatal(err)
	}
	r.out.Signatures = map[string]*signature.Template{"sales": &s}
	return r
}

func (r *rig) signed(raw, name string) string {
	r.t.Helper()
	e := r.to(anna, "bob@example.org")
	e.Signature = name
	return r.submit(raw, e)
}

// holds reports whether the text has the parts in this order.
func holds(text string, parts ...string) bool {
	for _, p := range parts {
		_, rest, ok := strings.Cut(text, p)
		if !ok {
			return false
		}
		text = rest
	}
	return true
}

var annaInDirectory = graph.User{ID: anna, DisplayName: "Anna <b>Berg</b>", JobTitle: "Head of R&D", BusinessPhones: []string{"+49 30 123"}, Mail: anna}

const (
	htmlReply = `<p>Yes.</p><div class="gmail_quote">Bob wrote:<blockquote>When?</blockquote></div>`
	textReply = "Yes.\r\n\r\nOn 3 Nov 2026 at 10:12 Bob wrote:\r\n> When?\r\n"
)

// The signature of the mailbox's owner is before the quote, in HTML and in text, and the
// directory's data is escaped.
func TestSignature(t *testing.T) {
	r := signedRig(t, annaInDirectory, false)
	inHTML, inText := r.signed(compose(header("html"), htmlReply), "sales"), r.signed(compose(header("text"), textReply), "sales")
	plain := r.submit(compose(header("plain"), textReply), r.to(anna, "bob@example.org"))
	defer r.start(nil)()
	if b := r.message(r.sentOnce(inHTML)).Body.Content; !holds(b, "Yes.", "Anna &lt;b&gt;Berg&lt;/b&gt;, Head of R&amp;D<br>", "49 30 123 "+anna, "gmail_quote", "When?") {
		t.Errorf("HTML: %s\n%s", b, r.history(inHTML))
	}
	if b := r.message(r.sentOnce(inText)).Body.Content; !holds(b, "Yes.\r\n\r\n-- \r\nAnna <b>Berg</b>, Head of R&D\r\n+49 30 123 "+anna+"\r\n\r\nOn 3 Nov", "> When?") {
		t.Errorf("text: %q", b)
	}
	if b := r.message(r.sentOnce(plain)).Body.Content; strings.Contains(b, "Berg") {
		t.Errorf("without a rule: %q", b)
	}
	if h := r.history(inHTML); !strings.Contains(h, "signature added: sales\n") {
		t.Error(h)
	}
}

// If the directory cannot be read, From is used instead, and the history shows why.
func TestSignatureWithoutDirectory(t *testing.T) {
	for want, later := range map[string]bool{"grant the application User.Read.All": false, "it cannot be asked now": true} {
		t.Run(want, func(t *testing.T) {
			r := signedRig(t, graph.User{}, later)
			id := r.signed(compose(header("text"), "Hello\r\n"), "sales")
			defer r.start(nil)()
			if b := r.message(r.sentOnce(id)).Body.Content; !holds(b, "Hello", "-- \r\nAnna\r\n "+anna+"\r\n") {
				t.Errorf("%q", b)
			}
			if h := r.history(id); !strings.Contains(h, want) {
				t.Error(h)
			}
		})
	}
}

// A signature must not break a signed message, nor one that is not ordinary.
func TestNoSignature(t *testing.T) {
	multipart := func(kind, part string) string {
		return strings.ReplaceAll(header("s")+"MIME-Version: 1.0\nContent-Type: multipart/"+kind+"; boundary=b\n\n--b\nContent-Type: text/plain\n\nHello\n--b\n"+part+"\n--b--\n", "\n", "\r\n")
	}
	for name, tt := range map[string]struct{ raw, why string }{
		"signed":        {multipart("signed; protocol=\"application/pgp-signature\"", "Content-Type: application/pgp-signature\n\nx"), "signed"},
		"encrypted":     {multipart("encrypted; protocol=\"application/pgp-encrypted\"", "Content-Type: application/octet-stream\n\nx"), "encrypted"},
		"S/MIME":        {strings.ReplaceAll(header("s")+"Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\nContent-Transfer-Encoding: base64\n\nAAAA\n", "\n", "\r\n"), "encrypted"},
		"wrapped":       {multipart("mixed", "Content-Type: multipart/signed; boundary=c\n\n--c\nContent-Type: text/plain\n\nx\n--c\nContent-Type: application/pkcs7-signature; name=smime.p7s\n\nx\n--c--"), "a part of the message is signed or encrypted"},
		"inline PGP":    {compose(header("s"), "-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA256\r\n\r\nHello\r\n"), "a part of the message is signed or encrypted"},
		"invitation":    {multipart("alternative", "Content-Type: text/calendar; method=REQUEST\n\nBEGIN:VCALENDAR\nEND:VCALENDAR"), "calendar"},
		"report":        {multipart("report; report-type=delivery-status", "Content-Type: message/delivery-status\n\nReporting-MTA: dns; x"), "report"},
		"gone":          {compose(header("s"), "Hello"), "has no signature gone any more"},
		"there already": {compose(header("s"), "Hello\r\n\r\nAnna <b>Berg</b>, Head of R&D\r\n+49 30 123 "+anna+"\r\n"), "has it already"},
	} {
		t.Run(name, func(t *testing.T) {
			r := signedRig(t, annaInDirectory, false)
			rule := "sales"
			if name == "gone" {
				rule = "gone"
			}
			id := r.signed(tt.raw, rule)
			defer r.start(nil)()
			m := r.message(r.sentOnce(id))
			if strings.Count(m.Body.Content, "Head of R") > strings.Count(tt.raw, "Head of R") {
				t.Errorf("body %q", m.Body.Content)
			}
			if h := r.history(id); !strings.Contains(h, "signature left out: ") || !strings.Contains(h, tt.why) {
				t.Error(h)
			}
		})
	}
}

// A body that becomes too large with the signature goes as a file, with the signature.
func TestSignatureAndLargeBody(t *testing.T) {
	r := signedRig(t, annaInDirectory, false)
	var s signature.Template
	if err := s.ParseText("S" + strings.Repeat("\"", 60_000)); err != nil {
		t.Fatal(err)
	}
	r.out.Signatures["large"] = &s
	text := strings.Repeat(strings.Repeat("\"", 58)+"\r\n", 33_000)
	with, without := r.signed(compose(header("with"), text), "large"), r.signed(compose(header("without"), text), "")
	defer r.start(nil)()
	m, plain := r.message(r.sentOnce(with)), r.message(r.sentOnce(without))
	if len(plain.Attachments) != 0 {
		t.Fatalf("it is too large without a signature: %d bytes", len(text))
	}
	if len(m.Attachments) != 1 || m.Attachments[0].Size < int64(len(text))+60_000 {
		t.Errorf("attachments %+v", m.Attachments)
	}
}

// The name is kept with the message, and a deferred one gets its signature at the next attempt.
func TestSignatureAfterRetry(t *testing.T) {
	r := signedRig(t, annaInDirectory, false)
	r.fault(simulator.Fault{Operation: simulator.OpCreate, Nth: 1, Status: 500})
	id := r.signed(compose(header("retry"), "Hello"), "sales")
	defer r.start(nil)()
	b := r.message(r.sentOnce(id)).Body.Content
	if strings.Count(b, "Head of R&D") != 1 || r.get(id).Attempts != 2 || r.get(id).State != queue.Sent {
		t.Errorf("after %d tries: %q", r.get(id).Attempts, b)
	}
}
