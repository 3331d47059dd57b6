package clients

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

const calendar = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Contoso//Test//EN\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:1@contoso.test\r\n" +
	"DTSTAMP:20261102T100000Z\r\nDTSTART:20261103T100000Z\r\nDTEND:20261103T110000Z\r\nSUMMARY:Übergabe – 本日\r\n" +
	"ORGANIZER:mailto:nodemailer@contoso.test\r\nATTENDEE:mailto:anna@example.com\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"

func named(addresses ...string) []simulator.Address {
	list := make([]simulator.Address, len(addresses))
	for i, a := range addresses {
		list[i].Address = a
	}
	return list
}

// spec writes the content that a client's script sends, as JSON, and returns the path.
func spec(t *testing.T, content map[string]any) string {
	t.Helper()
	b, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	return harness.SaveText(t, string(b))
}

// sendInvitation has Nodemailer compose alternatives, a picture and an invitation. A
// draft could not carry the invitation.
func sendInvitation(t *testing.T, relay *harness.Relay, from string) arrival {
	node := harness.NeedTool(t, "node")
	if _, err := os.Stat("testdata/nodemailer/node_modules/nodemailer"); err != nil {
		harness.SkipUnlessCI(t, "Nodemailer is not installed; .ci/install installs it")
	}
	image := harness.NewFile(t, "logo.png", "image/png", harness.Picture())
	image.ContentID = "logo@contoso.test"
	html := "<p>Übergabe <img src=\"cid:logo@contoso.test\"></p>"
	harness.Tool(t, "", node, "testdata/nodemailer/invitation.js", spec(t, map[string]any{
		"from": from, "to": []string{"anna@example.com"}, "cc": []string{"chie@example.net"}, "bcc": []string{"archive@example.com"},
		"subject": "Einladung: Übergabe", "text": "Übergabe\n", "html": html, "calendar": calendar, "files": []harness.File{image},
	}), relay.Port(t, "devices"))
	return arrival{
		from: simulator.Address{Address: from}, subject: "Einladung: Übergabe",
		to: named("anna@example.com"), cc: named("chie@example.net"), bcc: named("archive@example.com"),
		body: simulator.Body{ContentType: "html", Content: html},
		files: []simulator.Attachment{
			{Name: "logo.png", ContentType: "image/png", ContentID: image.ContentID, IsInline: true, SHA256: harness.SHA256Hex(harness.Picture())},
			{Name: "", ContentType: "text/calendar", SHA256: harness.SHA256Hex([]byte(calendar))},
			{Name: "invitation.ics", ContentType: "application/ics", SHA256: harness.SHA256Hex([]byte(calendar))},
		},
		path: "mime",
		more: checkInvitation,
	}
}

// checkInvitation looks for the part for which mail programs show their buttons (RFC 6047
// section 2.4).
func checkInvitation(t *testing.T, sim *harness.Sim, got simulator.Message) {
	found := 0
	for _, p := range leaves(t, string(sim.StoredMIME(t, got))) {
		if p.kind == "text/calendar" && p.parameters["method"] == "REQUEST" {
			found++
			if string(p.content) != calendar {
				t.Errorf("the invitation is %q", p.content)
			}
		}
	}
	if found != 1 {
		t.Errorf("%d parts are an invitation", found)
	}
}

// sendEmailMessage has Python's email.message compose every kind of part that it
// supports.
func sendEmailMessage(t *testing.T, relay *harness.Relay, from string) arrival {
	python := harness.NeedTool(t, "python3")
	image := harness.NewFile(t, "Größe.png", "image/png", harness.Picture())
	image.ContentID = "size@contoso.test"
	files := []harness.File{image, harness.NewFile(t, "Prüfung 本日 – «1».pdf", "application/pdf", harness.Noise("email", 100_000)),
		harness.NewFile(t, "a \"quoted\" name; with, signs.txt", "application/octet-stream", []byte("x")),
		harness.NewFile(t, strings.Repeat("長い名前", 12)+".zip", "application/zip", nil)}
	html := "<p>Größe <img src=\"cid:size@contoso.test\"> 10 €</p>\n"
	subject := "Größe – 本日 " + strings.Repeat("a long subject ", 12) + "end"
	sum := harness.Tool(t, "", python, "testdata/clients/email_client.py", spec(t, map[string]any{
		"from": from, "to": []string{"anna@example.com", "bernd@example.org"}, "cc": []string{"chie@example.net"}, "bcc": []string{"archive@example.com"},
		"subject": subject, "text": "Größe 10 €\n", "html": html, "files": files,
	}), relay.Port(t, "devices"))
	want := arrival{
		from: simulator.Address{Name: "Jörg Test", Address: from}, subject: subject,
		to: named("anna@example.com", "bernd@example.org"), cc: named("chie@example.net"), bcc: named("archive@example.com"),
		body: simulator.Body{ContentType: "html", Content: html},
		path: "draft", report: []string{"not carried: ", "Date"},
		more: func(t *testing.T, _ *harness.Sim, got simulator.Message) {
			if headers := fmt.Sprint(got.Headers); headers != "[{X-Job Größe 42}]" {
				t.Errorf("the headers are %s", headers)
			}
		},
	}
	for _, f := range files {
		want.files = append(want.files, simulator.Attachment{Name: f.Name, ContentType: f.Type, ContentID: f.ContentID, IsInline: f.ContentID != "", SHA256: harness.SHA256Hex(f.Content)})
	}
	want.files = append(want.files, simulator.Attachment{Name: "見積書.eml", ContentType: "message/rfc822", SHA256: strings.TrimSpace(sum)})
	return want
}

// sendMutt sends with mutt's own SMTP, as scripts do.
func sendMutt(t *testing.T, relay *harness.Relay, from string) arrival {
	return sendMuttWith(t, from, nil, `set smtp_url="smtp://127.0.0.1:`+relay.Port(t, "devices")+`/"`)
}

func sendMuttBySendmail(t *testing.T, s sendmail, relay *harness.Relay, from string) arrival {
	sendmail, env := s(t, relay, from)
	return sendMuttWith(t, from, env, `set sendmail="`+sendmail+` -oem -oi"`)
}

// sendMuttWith has mutt send in the way that a setting names.
func sendMuttWith(t *testing.T, from string, env []string, way string) arrival {
	mutt := harness.NeedTool(t, "mutt")
	dir := t.TempDir()
	files := map[string][]byte{"Zähler 本日.csv": []byte("a;b\r\n1;2\r\n"), "data.bin": harness.Noise("mutt", 5000)}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rc := []string{way, "set ssl_starttls=no", "set ssl_force_tls=no",
		`set from="` + from + `"`, `set realname="Jörg Test"`, "set use_envelope_from=yes", "set hostname=client.test", "set copy=no",
		"set charset=utf-8", `set send_charset="us-ascii:iso-8859-15:utf-8"`}
	harness.ToolEnv(t, append([]string{"HOME=" + dir, "LC_ALL=C.UTF-8", "TERM=dumb"}, env...), "Zählerstände: 10 €\nFrom the meter\n.\n",
		mutt, "-n", "-F", harness.SaveText(t, strings.Join(rc, "\n")+"\n"), "-s", "Zählerstände – ½ €", "-c", "chie@example.net",
		"-b", "archive@example.com", "-a", filepath.Join(dir, "Zähler 本日.csv"), filepath.Join(dir, "data.bin"), "--", "Anna Weber <anna@example.com>")
	return arrival{
		from: simulator.Address{Name: "Jörg Test", Address: from}, subject: "Zählerstände – ½ €",
		to: []simulator.Address{{Name: "Anna Weber", Address: "anna@example.com"}}, cc: named("chie@example.net"), bcc: named("archive@example.com"),
		body: simulator.Body{ContentType: "text", Content: "Zählerstände: 10 €\nFrom the meter\n.\n"},
		files: []simulator.Attachment{
			{Name: "Zähler 本日.csv", ContentType: "text/csv", SHA256: harness.SHA256Hex(files["Zähler 本日.csv"])},
			{Name: "data.bin", ContentType: "application/octet-stream", SHA256: harness.SHA256Hex(files["data.bin"])},
		},
		path: "draft", report: []string{"not carried: ", "Date"},
	}
}

// leaf is a part without parts of its own.
type leaf struct {
	kind       string
	parameters map[string]string
	content    []byte
}

// leaves reads a message with the standard library.
func leaves(t *testing.T, raw string) []leaf {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return readLeaves(t, textproto.MIMEHeader(m.Header), m.Body)
}

func readLeaves(t *testing.T, header textproto.MIMEHeader, body io.Reader) (list []leaf) {
	t.Helper()
	kind, parameters, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(kind, "multipart/") {
		content, err := io.ReadAll(decoded(header.Get("Content-Transfer-Encoding"), body))
		if err != nil {
			t.Fatal(err)
		}
		return []leaf{{kind, parameters, content}}
	}
	r := multipart.NewReader(body, parameters["boundary"])
	for {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, readLeaves(t, p.Header, p)...)
	}
}

// decoded is the content of a part without its transfer encoding.
func decoded(transfer string, body io.Reader) io.Reader {
	switch strings.ToLower(transfer) {
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		return quotedprintable.NewReader(body)
	}
	return body
}
