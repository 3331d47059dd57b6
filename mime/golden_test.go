package mime

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// described is a message as the golden files show it.
type described struct {
	From            []Address             `json:"from,omitempty"`
	Sender          *Address              `json:"sender,omitempty"`
	ReplyTo         []Address             `json:"replyTo,omitempty"`
	To              []Address             `json:"to,omitempty"`
	Cc              []Address             `json:"cc,omitempty"`
	Bcc             []Address             `json:"bcc,omitempty"`
	Subject         string                `json:"subject"`
	Date            string                `json:"date,omitempty"`
	MessageID       string                `json:"messageId,omitempty"`
	InReplyTo       string                `json:"inReplyTo,omitempty"`
	References      string                `json:"references,omitempty"`
	Importance      Importance            `json:"importance,omitempty"`
	Sensitivity     string                `json:"sensitivity,omitempty"`
	ReadReceipt     []Address             `json:"readReceipt,omitempty"`
	DeliveryReceipt []Address             `json:"deliveryReceipt,omitempty"`
	ListUnsubscribe string                `json:"listUnsubscribe,omitempty"`
	Kind            Kind                  `json:"kind"`
	Body            describedBody         `json:"body"`
	Text            string                `json:"text,omitempty"`
	HTML            string                `json:"html,omitempty"`
	Attachments     []describedAttachment `json:"attachments,omitempty"`
	Notes           []Note                `json:"notes,omitempty"`
}

type describedBody struct {
	HTML    bool   `json:"html"`
	Content string `json:"content"`
}

type describedAttachment struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	ID      string `json:"id,omitempty"`
	Inline  bool   `json:"inline,omitempty"`
	Size    int64  `json:"size"`
	Content any    `json:"content"` // text, or bytes in base64 as {"base64": ...}
}

func describe(t *testing.T, m *Message) described {
	d := described{
		From: m.From, Sender: m.Sender, ReplyTo: m.ReplyTo, To: m.To, Cc: m.Cc, Bcc: m.Bcc,
		Subject: m.Subject, MessageID: m.MessageID, InReplyTo: m.InReplyTo, References: m.References,
		Sensitivity: m.Sensitivity, ReadReceipt: m.ReadReceipt, DeliveryReceipt: m.DeliveryReceipt,
		ListUnsubscribe: m.ListUnsubscribe, Kind: m.Kind, Body: describedBody(m.Body), Notes: m.Report.Notes,
	}
	if m.Importance != ImportanceNormal {
		d.Importance = m.Importance
	}
	if !m.Date.IsZero() {
		d.Date = m.Date.Format(time.RFC3339)
	}
	if m.Body.HTML {
		d.Text = m.Text
	}
	if m.HTML != m.Body.Content {
		d.HTML = m.HTML
	}
	for _, a := range m.Attachments {
		d.Attachments = append(d.Attachments, describeAttachment(t, a))
	}
	return d
}

func describeAttachment(t *testing.T, a *Attachment) describedAttachment {
	data := readAttachment(t, a)
	d := describedAttachment{Name: a.Name, Type: a.ContentType, ID: a.ContentID, Inline: a.Inline, Size: a.Size}
	if utf8.Valid(data) && bytes.IndexByte(data, 0) < 0 {
		d.Content = string(data)
	} else {
		d.Content = map[string][]byte{"base64": data}
	}
	return d
}

// readAttachment opens an attachment twice and checks what Open promises.
func readAttachment(t testing.TB, a *Attachment) []byte {
	t.Helper()
	data, err := io.ReadAll(a.Open())
	if err != nil {
		t.Fatalf("%s: %v", a.Name, err)
	}
	again, err := io.ReadAll(a.Open())
	if err != nil || !bytes.Equal(data, again) {
		t.Errorf("%s: opened twice, got %d bytes and then %d (%v)", a.Name, len(data), len(again), err)
	}
	if int64(len(data)) != a.Size {
		t.Errorf("%s: size %d, content has %d bytes", a.Name, a.Size, len(data))
	}
	return data
}

// TestGolden reads testdata/golden/*.eml, LF turned into CRLF except in *.raw.eml,
// and compares with the description beside it.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*.eml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden messages: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".eml"), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(file, ".raw.eml") {
				raw = withCRLF(raw)
			}
			compareGolden(t, strings.TrimSuffix(file, ".eml")+".json", raw)
		})
	}
}

func compareGolden(t *testing.T, file string, raw []byte) {
	m, err := Parse(bytes.NewReader(raw), int64(len(raw)), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	enc := json.NewEncoder(&got)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(describe(t, m)); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%s differs; got\n%s", file, got.Bytes())
	}
}
