package edge

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"unicode"

	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

// payloads are texts that could break out of a header field, a log line or a terminal,
// each between two letters. The tests would notice {"injected" and Injected:.
var payloads = []string{
	"a\rb", "a\x00b", "a\x1b[2Jb", "a\x07\x08\x7fb", "a\u009b2Jb", "a\u202eb", "a\u2066\u200fb", "a\u2028b", "a\ufeffb", "a\xffb",
	"a\rInjected: b", "a\r Injected: b", "a\rBcc: victim@example.org", "a\x00\r\x0bInjected: b", "a\r{\"injected\":1}b", "a\"},{\"injected\":\"b",
	"a\\r\\nInjected: b", "a%0d%0aInjected: b", "a?=\rInjected: b", "a\u560a\u560dInjected: b", "a\u0085Injected: b",
}

// encodedWord and encodedParameter hide a payload. There it can contain line ends too.
func encodedWord(p string) string {
	return "=?utf-8?b?" + base64.StdEncoding.EncodeToString([]byte(strings.ReplaceAll(p, "\r", "\r\n"))) + "?="
}

func encodedParameter(p string) string {
	return "utf-8''" + url.PathEscape(strings.ReplaceAll(p, "\r", "\r\n"))
}

// hostileFields returns a message with the payload in every header field that the relay
// passes on, and in the parts.
func hostileFields(p, parameter, kind string) string {
	return "From: " + p + " <crm@contoso.test>\r\nTo: \"" + p + "\" <anna@example.com>\r\nReply-To: " + p + " <desk@example.com>\r\n" +
		"Subject: " + p + "\r\nMessage-ID: <" + p + "@contoso.test>\r\nIn-Reply-To: <" + p + "@example.com>\r\nReferences: <" + p + "@example.com>\r\n" +
		"X-Hostile: " + p + "\r\nX-" + p + ": name\r\nX-Priority: " + p + "\r\nImportance: " + p + "\r\nList-Unsubscribe: <mailto:" + p + ">\r\n" +
		"Disposition-Notification-To: " + p + " <crm@contoso.test>\r\nDate: " + p + "\r\nComments: " + p + "\r\nMIME-Version: 1.0 (" + p + ")\r\n" +
		"Content-Type: multipart/" + kind + "; boundary=S; protocol=\"application/pgp-signature\"; x=\"" + p + "\"\r\n\r\n" +
		"--S\r\nContent-Type: text/html; charset=\"" + p + "\"\r\n\r\n<img src=\"cid:" + p + "\">text\r\n" +
		"--S\r\nContent-Type: application/" + p + "; name=\"" + p + "\"\r\nContent-ID: <" + p + ">\r\nContent-Description: " + p + "\r\n" +
		"Content-Disposition: attachment; filename*=" + parameter + "\r\n\r\nfile\r\n" +
		"--S\r\nContent-Type: application/pgp-signature; name*=" + parameter + "\r\nContent-Disposition: inline; filename=\"" + p + "\"\r\n\r\nsignature\r\n--S--\r\n"
}

// TestInjection puts the payloads into everything that a client can send. The relay may
// refuse or clean them, but must not pass them on as they are.
func TestInjection(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	relay := harness.StartRelay(t, sim)
	for _, p := range payloads {
		sayHostile(t, relay, p)
		for _, kind := range []string{"mixed", "signed"} {
			sendHostile(t, relay, "HELO", "MAIL FROM:<crm@contoso.test>", "RCPT TO:<anna@example.com>", hostileFields(p, encodedParameter(p), kind))
			sendHostile(t, relay, "EHLO", "MAIL FROM:<crm@contoso.test>", "RCPT TO:<anna@example.com>", hostileFields(encodedWord(p), encodedParameter(p), kind))
		}
	}
	relay.Settled(t)
	checkHostileGraph(t, sim)
	ids := checkPlain(t, "queue list", relay.QueueCommand(t, "list", "--state", "all").Stdout)
	if ids < 4*len(payloads) {
		t.Errorf("%d messages were taken: less than half of what was sent shows nothing", ids)
	}
	checkPlain(t, "queue list --json", relay.QueueCommand(t, "list", "--json", "--state", "all").Stdout)
	checkPlain(t, "queue lanes", relay.QueueCommand(t, "lanes").Stdout)
	show := []string{"show"}
	for line := range strings.Lines(relay.QueueCommand(t, "list", "--json", "--state", "all").Stdout) {
		var q harness.Queued
		if err := json.Unmarshal([]byte(line), &q); err != nil {
			t.Fatal(err)
		}
		show = append(show, q.ID)
	}
	checkPlain(t, "queue show", relay.QueueCommand(t, show...).Stdout)
	checkPlain(t, "queue show --json", relay.QueueCommand(t, append(show, "--json")...).Stdout)
	relay.Stop(t)
	checkPlain(t, "the log", relay.Log.String())
	for line := range strings.Lines(relay.Log.String()) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry["injected"] != nil {
			t.Errorf("the log has the line %q: %v", line, err)
		}
	}
}

// sayHostile puts the payload into commands.
func sayHostile(t *testing.T, r *harness.Relay, p string) {
	t.Helper()
	mail, rcpt := "MAIL FROM:<crm@contoso.test>", "RCPT TO:<anna@example.com>"
	const fields = "From: crm@contoso.test\r\n\r\ntext\r\n"
	sendHostile(t, r, "EHLO "+p, mail, rcpt, fields)
	sendHostile(t, r, "EHLO", "MAIL FROM:<"+p+"@contoso.test> SMTPUTF8", rcpt, "Subject: no author\r\n\r\ntext\r\n")
	sendHostile(t, r, "EHLO", "MAIL FROM:<crm@"+p+".contoso.test> SMTPUTF8", rcpt, fields)
	sendHostile(t, r, "EHLO", "MAIL FROM:<"+p+"@printers.local> SMTPUTF8", rcpt, "Subject: by a rule\r\n\r\ntext\r\n")
	sendHostile(t, r, "EHLO", mail+" SMTPUTF8", "RCPT TO:<"+p+"@example.com>", fields)
	sendHostile(t, r, "EHLO", mail+" SMTPUTF8", "RCPT TO:<anna@"+p+".example.com>", fields)
	sendHostile(t, r, "EHLO", mail+" SMTPUTF8 RET=FULL ENVID="+xtext(p), rcpt+" NOTIFY=SUCCESS,FAILURE ORCPT=utf-8;"+p+"@example.com", fields)
	for _, author := range []string{p, "\"" + p + "\"", encodedWord(p)} {
		sendHostile(t, r, "EHLO", mail, rcpt, "From: <"+author+"@contoso.test>\r\nSender: <"+author+"@contoso.test>\r\n\r\ntext\r\n")
		sendHostile(t, r, "EHLO", mail, rcpt, "From: <"+author+"@printers.local>\r\nReply-To: <"+author+"@example.com>\r\n\r\ntext\r\n")
	}
	d, err := r.DialOnly("submission")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if answer := d.Answer("AUTH PLAIN %s", harness.PlainResponse("crm"+p, harness.CRMPassword)); strings.HasPrefix(answer, "2") {
		t.Errorf("AUTH: %q", answer)
	}
	d.Answer("%s", p)
	d.Answer("VRFY %s", p)
}

func xtext(p string) string {
	var b strings.Builder
	for _, c := range []byte(p) {
		fmt.Fprintf(&b, "+%02X", c)
	}
	return b.String()
}

// sendHostile sends a message as far as the relay accepts it.
func sendHostile(t *testing.T, r *harness.Relay, hello, mail, rcpt, message string) {
	t.Helper()
	d, err := r.DialOnly("devices")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if hello == "HELO" || hello == "EHLO" {
		hello += " client.test"
	}
	for _, command := range []string{hello, mail, rcpt, "DATA"} {
		if answer := d.Answer("%s", command); answer[0] != '2' && answer[0] != '3' {
			return
		}
	}
	if answer := d.Answer("%s.", message); answer[0] != '2' && answer[0] != '5' {
		t.Errorf("%q gave %s", message, answer)
	}
}

// checkHostileGraph checks the recipients, the JSON that Graph was given, without the
// bodies, and the headers of its MIME.
func checkHostileGraph(t *testing.T, sim *harness.Sim) {
	t.Helper()
	for _, d := range sim.Ledger(t) {
		for _, to := range d.Recipients() {
			if !strings.HasSuffix(to, "@example.com") && !strings.HasSuffix(to, ".example.com") && !strings.HasSuffix(to, "@contoso.test") {
				t.Errorf("sent to %q", to)
			}
		}
	}
	for _, m := range sim.Messages(t, "") {
		m.Body = simulator.Body{}
		if m.MIME == nil {
			text := fmt.Sprintf("%v %v %v %v %+v", *m.From, m.Sender, m.To, m.ReplyTo, m)
			if strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }) {
				t.Errorf("Graph was given %q", text)
			}
			continue
		}
		head, _, _ := bytes.Cut(sim.StoredMIME(t, m), []byte("\r\n\r\n"))
		for line := range bytes.SplitSeq(head, []byte("\r\n")) {
			if bytes.ContainsAny(line, "\r\n\x00\x1b\x0b\x7f") || bytes.HasPrefix(line, []byte("Injected")) {
				t.Errorf("Graph was given the header line %q", line)
			}
		}
	}
}

// checkPlain fails the test unless the text is printable, and returns the number of
// lines.
func checkPlain(t *testing.T, what, text string) (lines int) {
	t.Helper()
	for line := range strings.Lines(text) {
		lines++
		i := strings.IndexFunc(line, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) })
		if i >= 0 {
			t.Errorf("%s holds %q in %q", what, line[i:min(len(line), i+3)], line)
		}
	}
	return lines
}
