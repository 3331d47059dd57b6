package clients

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"graphrelay/graph"
	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

// The attachments of the samples in testdata/conversion.
var (
	samplePDF = []byte("%PDF-1.4\r\n%\xe2\xe3\xcf\xd3\r\nAngebot\r\n%%EOF\r\n")
	sampleJPG = []byte("\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xff\xd9")
)

// arrival is the message that a mailbox must hold in the end.
type arrival struct {
	from        simulator.Address
	subject     string
	to, cc, bcc []simulator.Address
	body        simulator.Body
	files       []simulator.Attachment // name, type, content id, isInline and SHA256
	path        string
	report      []string // what the operator is told
	more        func(t *testing.T, sim *harness.Sim, got simulator.Message)
}

func (a arrival) check(t *testing.T, sim *harness.Sim, relay *harness.Relay, got simulator.Message) {
	t.Helper()
	var from simulator.Address
	if got.From != nil {
		from = *got.From
	}
	var files []simulator.Attachment
	for _, f := range got.Attachments {
		files = append(files, simulator.Attachment{Name: f.Name, ContentType: f.ContentType, ContentID: f.ContentID, IsInline: f.IsInline, SHA256: f.SHA256})
	}
	got.Body.Content, a.body.Content = harness.Lines(got.Body.Content), harness.Lines(a.body.Content)
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"subject", got.Subject, a.subject}, {"from", from, a.from}, {"to", got.To, a.to}, {"cc", got.Cc, a.cc}, {"bcc", got.Bcc, a.bcc},
		{"body", got.Body, a.body}, {"attachments", files, a.files},
	} {
		if g, w := fmt.Sprintf("%+q", c.got), fmt.Sprintf("%+q", c.want); g != w {
			t.Errorf("%s:\n got %s\nwant %s", c.what, harness.Tail(g), harness.Tail(w))
		}
	}
	a.checkReport(t, relay)
	if a.more != nil {
		a.more(t, sim, got)
	}
}

// record is the part of graphrelay queue show --json that the tests read.
type record struct {
	ID      string `json:"id"`
	Subject string `json:"subject"`
	Path    string `json:"path"`
	Events  []struct {
		What   string `json:"what"`
		Detail string `json:"detail"`
	} `json:"events"`
}

// sentRecord waits until the message with this subject is sent, and returns its record.
func sentRecord(t *testing.T, r *harness.Relay, subject string) record {
	t.Helper()
	var found record
	harness.WaitFor(t, fmt.Sprintf("the record of %q", subject), func() bool {
		for line := range strings.Lines(r.QueueCommand(t, "list", "--json", "--state", "sent").Stdout) {
			if err := json.Unmarshal([]byte(line), &found); err != nil {
				t.Fatal(err)
			}
			if found.Subject == subject {
				return true
			}
		}
		return false
	})
	shown := r.QueueCommand(t, "show", "--json", found.ID)
	if err := json.Unmarshal([]byte(shown.Stdout), &found); err != nil {
		t.Fatalf("queue show: %v in %q %q", err, shown.Stdout, shown.Stderr)
	}
	return found
}

func (a arrival) checkReport(t *testing.T, relay *harness.Relay) {
	t.Helper()
	r := sentRecord(t, relay, a.subject)
	if r.Path != a.path {
		t.Errorf("it went by the path %q, want %q", r.Path, a.path)
	}
	events := fmt.Sprintf("%+v", r.Events)
	for _, want := range a.report {
		if !strings.Contains(events, want) {
			t.Errorf("the report does not say %q: %s", want, events)
		}
	}
}

// TestConversion sends messages of further clients, and checks all that arrives.
func TestConversion(t *testing.T) {
	t.Parallel()
	sim := harness.StartSim(t)
	relay := harness.StartRelay(t, sim)
	msmtp, own := sendmail(throughMsmtp), sendmail(throughGraphrelay)
	for _, c := range []struct {
		name string
		send func(t *testing.T, relay *harness.Relay, from string) arrival
	}{
		{"nodemailer", sendInvitation}, {"python", sendEmailMessage}, {"mutt", sendMutt},
		{"thunderbird-flowed", sendFlowed}, {"thunderbird-related", sendRelated},
		{"outlook", sendOutlook}, {"outlook-tnef", sendTNEF},
		{"cron", msmtp.with(sendCron)}, {"cronie", msmtp.with(sendCronie)}, {"php", msmtp.with(sendPHP)}, {"powershell", sendPowerShell},
		{"sendmail-cron", own.with(sendCron)}, {"sendmail-cronie", own.with(sendCronie)}, {"sendmail-php", own.with(sendPHP)},
		{"sendmail-mutt", own.with(sendMuttBySendmail)}, {"sendmail-mdadm", own.with(sendMdadm)}, {"sendmail-python", own.with(sendPython)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			mailbox := c.name + "@contoso.test"
			want := c.send(t, relay, mailbox)
			want.check(t, sim, relay, sim.Sent(t, mailbox, want.subject))
		})
	}
}

// sendFile sends one of the samples. Its header need not name the recipients.
func sendFile(t *testing.T, relay *harness.Relay, name, from string, to ...string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "conversion", name))
	if err != nil {
		t.Fatal(err)
	}
	raw = bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n")) // as a checkout may have it
	sendRaw(t, relay, bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n")), from, to...)
}

// sendRaw hands over a finished message and returns its queue ID.
func sendRaw(t *testing.T, relay *harness.Relay, raw []byte, from string, to ...string) (id string) {
	t.Helper()
	d, err := relay.Dial("devices")
	if err == nil {
		defer d.Close()
		id, err = d.Submit(from, to, bytes.NewReader(raw))
	}
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func sendFlowed(t *testing.T, relay *harness.Relay, from string) arrival {
	sendFile(t, relay, "thunderbird-flowed.eml", from, "anna@example.com", "bernd@example.org", "quality@example.net", "archive@example.com")
	return arrival{
		from:    simulator.Address{Name: "Jörg Test", Address: from},
		subject: "Re: Prüfbericht – Werk 2",
		to:      []simulator.Address{{Name: "Anna Weber", Address: "anna@example.com"}, {Name: "Bernd Müller", Address: "bernd@example.org"}},
		cc:      []simulator.Address{{Name: "Qualität", Address: "quality@example.net"}},
		bcc:     []simulator.Address{{Address: "archive@example.com"}},
		body: simulator.Body{ContentType: "text", Content: "Am 01.11.2026 um 09:00 schrieb Anna Weber:\n" +
			"> Could you send the report for plant 2, the one from last week? I need it before the meeting.\n" +
			">> Erst später – „bald“.\n" +
			"Here it is. This paragraph is longer than seventy-two characters and was therefore wrapped by the program that wrote it.\n" +
			"From the plant.\n\n-- \nJ. Test\n"},
		files: []simulator.Attachment{
			{Name: "Prüfbericht 2026.pdf", ContentType: "application/pdf", SHA256: harness.SHA256Hex(samplePDF)},
			{Name: "line.log", ContentType: "text/x-log", SHA256: harness.SHA256Hex([]byte("Zeile 1: gr\xf6\xdfer\nZeile 2\n"))},
		},
		path: "draft", report: []string{"not carried: ", "Date", "User-Agent", "Organization", "Content-Language"},
		more: func(t *testing.T, _ *harness.Sim, got simulator.Message) {
			wantProperties(t, got, map[string]string{
				graph.PropertyInReplyTo: "<second@example.com>", graph.PropertyReferences: "<first@example.com> <second@example.com>"})
		},
	}
}

func sendRelated(t *testing.T, relay *harness.Relay, from string) arrival {
	sendFile(t, relay, "thunderbird-related.eml", from, "anna@example.com")
	order := "From: Anna Weber <anna@example.com>\r\nTo: thunderbird-related@contoso.test\r\nSubject: The order\r\nMessage-ID: <order@example.com>\r\n" +
		"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nTen pieces, please.\r\n"
	return arrival{
		from: simulator.Address{Name: "Jorg Test", Address: from}, subject: "Pictures of the line",
		to: []simulator.Address{{Address: "anna@example.com"}},
		body: simulator.Body{ContentType: "html", Content: "<!DOCTYPE html>\n<html><head><meta http-equiv=\"content-type\" content=\"text/html; charset=UTF-8\"></head>\n" +
			"<body><p>Before <i>and</i> after:</p>\n<p><img src=\"cid:part1.QyTzPq1w.8nXrM0Zs@contoso.test\" alt=\"\"></p></body></html>\n"},
		files: []simulator.Attachment{
			{Name: "before.png", ContentType: "image/png", ContentID: "part1.QyTzPq1w.8nXrM0Zs@contoso.test", IsInline: true, SHA256: harness.SHA256Hex(harness.Picture())},
			{Name: "The order.eml", ContentType: "message/rfc822", SHA256: harness.SHA256Hex([]byte(order))},
		},
		path: "draft", report: []string{"not carried: ", "Date"},
		more: func(t *testing.T, _ *harness.Sim, got simulator.Message) {
			if got.Importance != "high" || !got.ReadReceipt {
				t.Errorf("importance %s, read receipt %v", got.Importance, got.ReadReceipt)
			}
		},
	}
}

func sendOutlook(t *testing.T, relay *harness.Relay, from string) arrival {
	sendFile(t, relay, "outlook.eml", from, "anna@example.com", "Bernd@example.org", "purchase@example.net")
	return arrival{
		from: simulator.Address{Name: "Müller, Jörg", Address: from}, subject: "Angebot – 1.200 € für „grün“",
		to: []simulator.Address{{Name: "Weber, Anna", Address: "anna@example.com"}, {Name: "bernd@example.org", Address: "bernd@example.org"}},
		cc: []simulator.Address{{Name: "Einkauf", Address: "purchase@example.net"}},
		body: simulator.Body{ContentType: "html", Content: "<html xmlns:o=\"urn:schemas-microsoft-com:office:office\">\n<head>\n" +
			"<meta http-equiv=\"Content-Type\" content=\"text/html; charset=Windows-1252\">\n</head>\n<body lang=\"DE\">\n" +
			"<p class=\"MsoNormal\">Sehr geehrte Frau Weber,<o:p></o:p></p>\n" +
			"<p class=\"MsoNormal\">das Angebot – „grün“ – kostet 1.200 €.<o:p></o:p></p>\n" +
			"<p class=\"MsoNormal\"><img width=\"1\" height=\"1\" src=\"cid:image001.png@01DB2C6F.5D8F7A10\" alt=\"Logo\"></p>\n</body>\n</html>\n"},
		files: []simulator.Attachment{
			{Name: "image001.png", ContentType: "image/png", ContentID: "image001.png@01DB2C6F.5D8F7A10", IsInline: true, SHA256: harness.SHA256Hex(harness.Picture())},
			{Name: "image002.jpg", ContentType: "image/jpeg", ContentID: "image002.jpg@01DB2C6F.5D8F7A10", SHA256: harness.SHA256Hex(sampleJPG)},
			{Name: "Angebot für Weber €.pdf", ContentType: "application/pdf", SHA256: harness.SHA256Hex(samplePDF)},
		},
		path: "draft", report: []string{"not carried: ", "Date", "Thread-Topic", "Thread-Index", "Accept-Language", "X-MS-Exchange-MessageSentRepresentingType", "X-MS-Has-Attach", "x-originating-ip"},
		more: func(t *testing.T, _ *harness.Sim, got simulator.Message) {
			if got.Importance != "high" {
				t.Errorf("importance %s", got.Importance)
			}
			wantProperties(t, got, map[string]string{graph.PropertyInReplyTo: "<request-1@example.com>",
				graph.PropertyReferences: "<request-1@example.com>", "Integer 0x36": "3"})
			headers := fmt.Sprint(got.Headers)
			for _, want := range []string{"{X-Contoso-Class offer}", "{X-Contoso-Region eu}", "{X-Contoso-Number 4711}"} {
				if !strings.Contains(headers, want) {
					t.Errorf("the headers lack %s: %s", want, headers)
				}
			}
		},
	}
}

func sendTNEF(t *testing.T, relay *harness.Relay, from string) arrival {
	sendFile(t, relay, "outlook-tnef.eml", from, "anna@example.com")
	tnef := []byte("\x78\x9f\x3e\x22\x01\x00\x01\x06\x90\x08\x00\x04\x00\x00\x00\x00\x00\x01\x00\x01\x00\x01\x07\x90\x06\x00\x08\x00\x00\x00\xe4\x04\x00\x00\x00\x00\x00\x00\xe8\x00")
	return arrival{
		from: simulator.Address{Name: "Old Outlook", Address: from}, subject: "Rich text",
		to:    []simulator.Address{{Address: "anna@example.com"}},
		body:  simulator.Body{ContentType: "text", Content: "The text is in the other part, too.\n"},
		files: []simulator.Attachment{{Name: "winmail.dat", ContentType: "application/ms-tnef", SHA256: harness.SHA256Hex(tnef)}},
		path:  "draft", report: []string{"not carried: ", "Date", "Thread-Index"},
	}
}

func wantProperties(t *testing.T, got simulator.Message, want map[string]string) {
	t.Helper()
	for id, value := range want {
		if !slices.ContainsFunc(got.Properties, func(p simulator.Property) bool { return strings.EqualFold(p.ID, id) && p.Value == value }) {
			t.Errorf("the property %s is not %q: %q", id, value, got.Properties)
		}
	}
}
