package graph_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"graphrelay/graph"
	"graphrelay/graph/simulator"
)

// content returns size bytes without repetition.
func content(size int) []byte {
	b := make([]byte, size)
	r := rand.NewChaCha8([32]byte{byte(size)})
	_, _ = r.Read(b)
	return b
}

// The content is encoded while it is sent. For every size the result must equal that of
// encoding/base64, and have the announced Content-Length.
func TestPostAttachmentEncodes(t *testing.T) {
	_, rec, c := simulated(t, simulator.Options{})
	id := draft(t, c)
	const buffer = 3 << 12
	for _, size := range []int{0, 1, 2, 3, 4, buffer - 1, buffer, buffer + 1, buffer + 2, 2 * buffer, 2*buffer + 1, 2_999_999} {
		want := content(size)
		a := graph.Attachment{Name: "ü \"contentBytes\":\"<&>.bin", ContentType: "text/x", ContentID: "c@x", Inline: true, Size: int64(size),
			Open: func() io.Reader { return iotest.HalfReader(bytes.NewReader(want)) }}
		if _, err := c.Mailbox(mailbox).PostAttachment(t.Context(), id, a); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		all := rec.of("POST", "/attachments")
		r := all[len(all)-1]
		if r.Length != int64(len(r.Body)) {
			t.Errorf("%d bytes: announced %d, sent %d", size, r.Length, len(r.Body))
		}
		var got struct {
			Type         string `json:"@odata.type"`
			Name         string
			ContentType  string
			ContentID    string
			IsInline     bool
			ContentBytes string
		}
		if err := json.Unmarshal(r.Body, &got); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		raw, err := base64.StdEncoding.DecodeString(got.ContentBytes)
		if err != nil || !bytes.Equal(raw, want) {
			t.Errorf("%d bytes: the content differs (%v)", size, err)
		}
		if got.Type != "#microsoft.graph.fileAttachment" || got.Name != a.Name || got.ContentType != "text/x" ||
			got.ContentID != "c@x" || !got.IsInline {
			t.Errorf("%d bytes: %s %q %s %s %v", size, got.Type, got.Name, got.ContentType, got.ContentID, got.IsInline)
		}
	}
}

// A file that is shorter than its Size, or cannot be read, must not arrive truncated.
func TestPostAttachmentOfABrokenFile(t *testing.T) {
	sim, _, c := simulated(t, simulator.Options{})
	id := draft(t, c)
	for name, r := range map[string]io.Reader{
		"short":      bytes.NewReader(content(50_000)),
		"long":       bytes.NewReader(content(150_000)),
		"unreadable": io.MultiReader(bytes.NewReader(content(50_000)), iotest.ErrReader(io.ErrClosedPipe)),
	} {
		a := graph.Attachment{Name: name, Size: 100_000, Open: func() io.Reader { return r }}
		if _, err := c.Mailbox(mailbox).PostAttachment(t.Context(), id, a); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if got := sim.Drafts()[0].Attachments; len(got) != 0 {
		t.Errorf("%d attachments arrived", len(got))
	}
}

// The list of attachments may have pages.
func TestCountAttachmentsTurnsPages(t *testing.T) {
	sim, _, c := simulated(t, simulator.Options{World: simulator.World{AttachmentsPage: 2}})
	id := draft(t, c)
	for n := range 6 {
		a := graph.Attachment{Name: "a", Size: 3, Open: func() io.Reader { return bytes.NewReader(content(3)) }}
		if _, err := c.Mailbox(mailbox).PostAttachment(t.Context(), id, a); err != nil {
			t.Fatal(err)
		}
		if got, _, err := c.Mailbox(mailbox).CountAttachments(t.Context(), id); got != n+1 || err != nil {
			t.Errorf("%d attachments, want %d (%v)", got, n+1, err)
		}
	}
	if n := sim.Stats().Calls[simulator.OpListAttachments]; n != 1+1+2+2+3+3 {
		t.Errorf("%d requests", n)
	}
}
