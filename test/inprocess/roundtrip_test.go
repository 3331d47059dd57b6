package inprocess

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-message"
	"github.com/emersion/go-message/charset"

	"graphrelay/graph/simulator"
	"graphrelay/mime"
)

var roundTripSeed = flag.Uint64("roundtrip.seed", 0, "seed of TestRoundTrip; 0 is a new one each time")

// reading is the content of a message as one reader finds it.
type reading struct {
	html  bool
	text  string
	files []string // sha256
}

// Random messages arrive as their author intended and as two parsers read them, ours and
// another one.
func TestRoundTrip(t *testing.T) {
	const messages, withLarge = 250, 100
	seed := *roundTripSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-roundtrip.seed=%d", seed)
	keepCharsets(t)
	p := startPaths(t, simulator.Options{SendDelay: -1}, nil)
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0))}
	list := make([]*generated, messages)
	ids := make([]string, messages)
	for i := range list {
		list[i] = g.message(i, i%withLarge == withLarge-1)
		ids[i] = p.submit("a@contoso.test", []string{"b@example.test"}, list[i].raw)
	}
	for _, id := range ids {
		p.wantSent(id, "draft")
	}
	sent := map[string]simulator.Message{}
	for _, m := range p.sim.Sent() {
		sent[m.InternetMessageID] = m
	}
	read := 0
	for i, m := range list {
		r, _, err := p.relay.Store.Get(t.Context(), ids[i])
		if err != nil {
			t.Fatal(err)
		}
		if p.checkRoundTrip(m, sent[r.MessageID]) {
			read++
		}
		if t.Failed() {
			t.Fatalf("message %d:\n%s", i, shorten(string(m.raw)))
		}
	}
	t.Logf("go-message read %d of %d", read, messages)
	if read < messages*4/5 {
		t.Errorf("go-message read only %d of %d messages", read, messages)
	}
}

// checkRoundTrip compares the message that arrived with the author's intent and with two
// readings. It reports whether go-message could read the message.
func (p *rig) checkRoundTrip(want *generated, got simulator.Message) bool {
	p.Helper()
	if got.Subject != want.subject {
		p.Errorf("subject %q, want %q", got.Subject, want.subject)
	}
	arrived := reading{html: got.Body.ContentType == "html", text: got.Body.Content}
	for i, a := range got.Attachments {
		arrived.files = append(arrived.files, a.SHA256)
		if i < len(want.files) {
			p.checkFile(a, want.files[i])
		}
	}
	meant := reading{html: want.html, text: want.text}
	for _, f := range want.files {
		meant.files = append(meant.files, sum(f.content))
	}
	p.compare("the author", arrived, meant)
	p.compare("mime.Parse", arrived, p.parse(want.raw))
	other, err := walk(want.raw)
	if err != nil {
		return false
	}
	p.compare("go-message", arrived, other)
	return true
}

func (p *rig) checkFile(got simulator.Attachment, want generatedFile) {
	p.Helper()
	if want.name != "" && got.Name != want.name || got.Name == "" {
		p.Errorf("attachment's name %q, want %q", got.Name, want.name)
	}
	if got.ContentID != want.cid || got.IsInline != want.inline {
		p.Errorf("attachment %s: content id %q, inline %v; want %q, %v", got.Name, got.ContentID, got.IsInline, want.cid, want.inline)
	}
	if got.Size != int64(len(want.content)) {
		p.Errorf("attachment %s has %d bytes, want %d", got.Name, got.Size, len(want.content))
	}
}

func (p *rig) compare(reader string, arrived, read reading) {
	p.Helper()
	if arrived.html != read.html && read.text != "" || sameLines(arrived.text) != sameLines(read.text) {
		p.Errorf("the body is (html %v)\n%q\n%s reads (html %v)\n%q", arrived.html, shorten(arrived.text), reader, read.html, shorten(read.text))
	}
	if !slices.Equal(arrived.files, read.files) {
		p.Errorf("the attachments are %q, %s reads %q", arrived.files, reader, read.files)
	}
}

// parse returns our own parser's reading of the message as it was submitted.
func (p *rig) parse(raw []byte) reading {
	p.Helper()
	m, err := mime.Parse(bytes.NewReader(raw), int64(len(raw)), mime.DefaultLimits())
	if err != nil {
		p.Fatal(err)
	}
	r := reading{html: m.Body.HTML, text: m.Body.Content}
	for _, a := range m.Attachments {
		content, err := io.ReadAll(a.Open())
		if err != nil || int64(len(content)) != a.Size {
			p.Errorf("attachment %s: read %d bytes of %d, %v", a.Name, len(content), a.Size, err)
		}
		r.files = append(r.files, sum(content))
	}
	return r
}

// keepCharsets stops go-message from converting charsets: the bytes of a text file must
// not change.
func keepCharsets(t *testing.T) {
	t.Helper()
	old := message.CharsetReader
	message.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	t.Cleanup(func() { message.CharsetReader = old })
}

// walk returns go-message's reading. The body is the last HTML part, or else the first
// text part; every other part that is named a file or is no text is a file.
func walk(raw []byte) (r reading, err error) {
	e, err := message.Read(bytes.NewReader(raw))
	if err != nil {
		return r, err
	}
	found := false
	err = e.Walk(func(_ []int, part *message.Entity, err error) error {
		if err != nil {
			return err
		}
		kind, parameters, err := part.Header.ContentType()
		if err != nil || strings.HasPrefix(kind, "multipart/") {
			return err
		}
		content, err := io.ReadAll(part.Body)
		if err != nil {
			return err
		}
		disposition, _, err := part.Header.ContentDisposition()
		if err != nil && part.Header.Has("Content-Disposition") {
			return err
		}
		if disposition == "attachment" || kind != "text/plain" && kind != "text/html" {
			r.files = append(r.files, sum(content))
			return nil
		}
		if kind == "text/plain" && found {
			return nil
		}
		found = true
		r.html = kind == "text/html"
		r.text, err = decode(parameters["charset"], content)
		return err
	})
	return r, err
}

func decode(name string, content []byte) (string, error) {
	if name == "" {
		return string(content), nil
	}
	r, err := charset.Reader(name, bytes.NewReader(content))
	if err != nil {
		return "", fmt.Errorf("charset %s: %w", name, err)
	}
	b, err := io.ReadAll(r)
	return string(b), err
}

// sameLines returns a text with LF as line ends and none at the end, where a delimiter or
// SMTP adds one.
func sameLines(s string) string {
	return strings.TrimRight(strings.ReplaceAll(strings.TrimPrefix(s, "\ufeff"), "\r\n", "\n"), "\n")
}

func shorten(s string) string {
	if len(s) > 8000 {
		return s[:8000] + "..."
	}
	return s
}

func sum(content []byte) string {
	h := sha256.Sum256(content)
	return hex.EncodeToString(h[:])
}
