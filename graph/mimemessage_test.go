package graph_test

import (
	"context"
	"encoding/base64"
	"io"
	"strings"
	"testing"

	"graphrelay/graph"
	"graphrelay/graph/simulator"
)

func mimeOf(text string) graph.MIME {
	return graph.MIME{Size: int64(len(text)), Open: func() io.Reader { return strings.NewReader(text) }}
}

const mimeText = "From: anna@contoso.test\r\nTo: b@example.test\r\nBcc: c@example.test\r\nMessage-ID: <o'clock@contoso.test>\r\nSubject: signed\r\n\r\nbody\r\n"

func TestMIMEDraft(t *testing.T) {
	sim, rec, c := simulated(t, simulator.Options{SendDelay: -1})
	ctx := context.Background()
	id, _, err := c.Mailbox(mailbox).CreateMIMEDraft(ctx, mimeOf(mimeText))
	if err != nil {
		t.Fatal(err)
	}
	found, _, err := c.Mailbox(mailbox).FindByMessageID(ctx, "<o'clock@contoso.test>")
	if err != nil || len(found.Items) != 1 || found.Items[0].ID != id || !found.Items[0].IsDraft || found.Unreliable {
		t.Fatalf("found %+v, %v", found, err)
	}
	if _, err := c.Mailbox(mailbox).Send(ctx, id, nil); err != nil {
		t.Fatal(err)
	}
	sent := sim.Sent()
	if len(sent) != 1 || sent[0].MIME == nil || len(sent[0].Bcc) != 1 {
		t.Fatalf("sent %+v", sent)
	}
	got := rec.of("POST", "/messages")[0]
	if got.Header.Get("Content-Type") != "text/plain" || got.Chunked || string(got.Body) != base64.StdEncoding.EncodeToString([]byte(mimeText)) {
		t.Errorf("the request was %s with %d bytes", got.Header.Get("Content-Type"), len(got.Body))
	}
}

func TestMIMEFits(t *testing.T) {
	for size, want := range map[int64]bool{0: true, 2_999_997: true, 3_000_000: false, 150 << 20: false} {
		if got := (graph.MIME{Size: size}).Fits(); got != want {
			t.Errorf("%d bytes fit: %v", size, got)
		}
	}
}

func TestSendMail(t *testing.T) {
	sim, _, c := simulated(t, simulator.Options{SendDelay: -1})
	files := []graph.Attachment{
		{Name: `a"contentBytes":"".txt`, ContentType: "text/plain", Size: 3, Open: func() io.Reader { return strings.NewReader("one") }},
		{Name: "empty", Open: func() io.Reader { return strings.NewReader("") }},
		{Name: "b.png", ContentType: "image/png", ContentID: "b@x", Inline: true, Size: 50000, Open: func() io.Reader { return strings.NewReader(strings.Repeat("x", 50000)) }},
	}
	m := &graph.Message{Subject: `"contentBytes":""`, Body: graph.Body{ContentType: "text", Content: `{"contentBytes":""}`},
		ToRecipients: []graph.Recipient{{EmailAddress: graph.EmailAddress{Address: "b@example.test"}}}, Properties: []graph.Property{{ID: graph.PropertyQueueID, Value: "q1"}}}
	if _, err := c.Mailbox(mailbox).SendMail(t.Context(), graph.Mail{Message: m, Attachments: files, KeepCopy: true}, nil); err != nil {
		t.Fatal(err)
	}
	got := sim.Sent()
	if len(got) != 1 || got[0].Subject != m.Subject || got[0].Body.Content != m.Body.Content || len(got[0].Attachments) != 3 {
		t.Fatalf("sent %+v", got)
	}
	for i, f := range files {
		a := got[0].Attachments[i]
		content, _ := sim.Content(a.ID)
		want, _ := io.ReadAll(f.Open())
		if a.Name != f.Name || a.IsInline != f.Inline || string(content) != string(want) {
			t.Errorf("attachment %d is %+v", i, a)
		}
	}
	if _, err := c.Mailbox(mailbox).SendMail(t.Context(), graph.Mail{Message: m}, nil); err != nil {
		t.Fatal(err)
	}
	if n, kept := len(sim.Ledger()), len(sim.Sent()); n != 2 || kept != 1 {
		t.Errorf("%d sent, %d kept; want 2 and 1", n, kept)
	}
}

func TestSendMIME(t *testing.T) {
	sim, _, c := simulated(t, simulator.Options{SendDelay: -1})
	if _, err := c.Mailbox(mailbox).SendMIME(t.Context(), mimeOf(mimeText), nil); err != nil {
		t.Fatal(err)
	}
	if got := sim.Ledger(); len(got) != 1 || got[0].Path != simulator.PathSendMail {
		t.Fatalf("the ledger holds %+v", got)
	}
}

func TestMailFits(t *testing.T) {
	m := &graph.Message{Subject: "x"}
	fits := func(size int64) bool {
		return graph.Mail{Message: m, Attachments: []graph.Attachment{{Name: "f", Size: size}}}.Fits()
	}
	if !fits(2_990_000) || fits(3_000_000) {
		t.Error("the line is not at 4,000,000 bytes of request")
	}
}
