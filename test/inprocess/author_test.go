package inprocess

import (
	"bytes"
	"net/mail"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
)

// No message shows an author or a sender that the policy has not checked, on any path and
// in any form of the header.
func TestAuthors(t *testing.T) {
	for _, way := range routes()[:4] {
		t.Run(way.name, func(t *testing.T) {
			p := startPaths(t, simulator.Options{SendDelay: way.delay}, way.change)
			for n, authors := range []string{
				"From: Anna <a@contoso.test>\r\nFrom: The chief <A@Contoso.test>\r\n",
				"From: Anna <a@contoso.test>\r\nFrom: chief\r\n",
				"From: Anna <a@contoso.test>\r\n" + strings.Repeat("X-Fill: x\r\n", 2000) + "From: chief@contoso.test\r\n",
				"From: Anna <a@contoso.test>, Chief <chief@contoso.test>\r\n",
				"From: Anna <a@contoso.test>\r\nSender: chief@contoso.test\r\n",
				"From: Anna <a@contoso.test>,\r\nchief@contoso.test\r\n",
				"From: Anna <a@contoso.test>\r\nfrom : a@contoso.test\r\nSender : chief@contoso.test\r\n",
			} {
				head := authors + "To: b@example.test\r\nSubject: s\r\nMIME-Version: 1.0\r\n"
				p.wantSent(p.submit("a@contoso.test", []string{"b@example.test"}, []byte(head+way.body)), way.path)
				_, item, _ := p.lastSend(n + 1)
				if want := (simulator.Address{Name: "Anna", Address: "a@contoso.test"}); *item.From != want {
					t.Errorf("%q: From is %+v", authors, *item.From)
				}
				if item.MIME == nil {
					continue
				}
				if raw, _ := p.sim.Content(item.MIME.ID); strings.Contains(string(raw), "chief") {
					t.Errorf("%q: the MIME still names the chief:\n%s", authors, raw)
				}
			}
		})
	}
}

// A signed message whose From readers could read in several ways goes with the author that
// was checked.
func TestDoubtfulAuthors(t *testing.T) {
	p := startPaths(t, simulator.Options{SendDelay: -1}, nil)
	for _, from := range []string{
		"chief@contoso.test (Anna <a@contoso.test>", "Anna <a@contoso.test> (", "(Anna <a@contoso.test>", `"Anna <a@contoso.test>`, "Anna <a@contoso.test",
	} {
		p.wantSent(p.submit("a@contoso.test", []string{"b@example.test"}, []byte("From: "+from+"\r\nTo: b@example.test\r\nSubject: s\r\nMIME-Version: 1.0\r\n"+signedBody)), "mime")
		sent := p.sim.Sent()
		raw, _ := p.sim.Content(sent[len(sent)-1].MIME.ID)
		m, err := mail.ReadMessage(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		list, err := m.Header.AddressList("From")
		if err != nil || len(m.Header["From"]) != 1 || len(list) != 1 || list[0].Address != "a@contoso.test" {
			t.Errorf("%s: From arrives as %q", from, m.Header["From"])
		}
	}
}

// S/MIME whose media type a gateway has lost is recognized by its file name (RFC 8551
// section 3.10), and arrives unchanged.
func TestSMIMEByName(t *testing.T) {
	p := startPaths(t, simulator.Options{SendDelay: -1}, nil)
	const head = "From: a@contoso.test\r\nTo: b@example.test\r\nSubject: s\r\nMIME-Version: 1.0\r\n"
	p.wantSent(p.submit("a@contoso.test", []string{"b@example.test"}, []byte(head+
		"Content-Type: application/octet-stream; name=\"smime.p7m\"\r\nContent-Disposition: attachment; filename=\"smime.p7m\"\r\n"+
		"Content-Transfer-Encoding: base64\r\n\r\nMIIB\r\n")), "mime")
}
