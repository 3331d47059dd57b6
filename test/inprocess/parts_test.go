package inprocess

import (
	"encoding/base64"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
)

var partsMessages = flag.Int("parts.messages", 60, "messages that TestPartsArrive sends")

// Data that are no text arrive byte for byte as attachments, whatever the header of their
// part says. FuzzParts and TestParts in mime try many more messages without a relay.
func TestPartsArrive(t *testing.T) {
	seed := *roundTripSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-roundtrip.seed=%d", seed)
	p := startPaths(t, simulator.Options{SendDelay: -1}, nil)
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 1))}
	type sent struct {
		id, raw string
		sums    []string
	}
	var all []sent
	for i := range *partsMessages {
		raw, sums := g.hiddenFiles(i)
		all = append(all, sent{p.submit("a@contoso.test", []string{"b@example.test"}, []byte(raw)), raw, sums})
	}
	for _, s := range all {
		p.wantSent(s.id, "draft")
	}
	arrived := map[string][]string{} // by subject
	for _, m := range p.sim.Sent() {
		for _, a := range m.Attachments {
			arrived[m.Subject] = append(arrived[m.Subject], a.SHA256)
		}
		if text := m.Body.Content; !strings.Contains(text, "hello "+m.Subject) || strings.Contains(text, "%PDF") {
			t.Errorf("%s: body %q", m.Subject, shorten(text))
		}
	}
	for i, s := range all {
		got := arrived[fmt.Sprint("parts ", i)]
		if len(got) != len(s.sums) {
			t.Errorf("message %d: %d attachments, want %d\n%s", i, len(got), len(s.sums), s.raw)
		}
		for _, want := range s.sums {
			if !slices.Contains(got, want) {
				t.Errorf("message %d: the file %s did not arrive\n%s", i, want, s.raw)
			}
		}
	}
}

// hiddenFiles returns message n with a text and files that nothing or little calls files.
func (g *generator) hiddenFiles(n int) (raw string, sums []string) {
	subject := fmt.Sprint("parts ", n)
	parts := []string{"Content-Type: text/plain\r\n\r\nhello " + subject}
	for range 1 + g.IntN(4) {
		content := append([]byte(pick(g, "%PDF-1.4\n", "PK\x03\x04", "\x89PNG\r\n\x1a\n", "\xff\xd8\xff\xe0", "GIF89a", "")), g.bytes(100+g.IntN(2000))...)
		head := ""
		if g.oneIn(2) {
			head += "Content-Disposition: " + pick(g, "attachment", "inline", "(null)", "", "=?utf-8?q?attachment=3B_filename=3D=22=C3=A4=2Epdf=22?=") + "\r\n"
		}
		if !g.oneIn(6) {
			head += "Content-Type: " + pick(g, "text/plain", "text/html; charset=utf-8", "text/plain; charset=iso-8859-1; name=x", "pdf", "(null)", "application", "",
				"=?utf-8?q?application/pdf=3B_name=3D=22=C3=A4=2Epdf=22?=", "multipart/mixed", "text/x-amp-html", "application/pdf; name=a.pdf") + "\r\n"
		}
		head += "Content-Transfer-Encoding: " + pick(g, "base64", `"base64"`, "=?us-ascii?q?base64?=") + "\r\n\r\n"
		parts = append(parts, head+g.cut(base64.StdEncoding.EncodeToString(content), 76))
		sums = append(sums, sum(content))
	}
	return "From: a@contoso.test\r\nSubject: " + subject + "\r\nMIME-Version: 1.0\r\n" + g.multipart("mixed", "", parts...), sums
}
