package inprocess

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/config"
)

// route is one way into Graph, and what makes a message take it.
type route struct {
	name   string
	change func(*config.Config)
	delay  time.Duration // until a sent item moves
	body   string        // with the MIME fields of the top header
	path   string
	gone   bool // no copy remains to be looked at
	large  bool // one message takes long
}

// routes are all the paths. Where a sent item would go at once, it is looked at
// before it does.
func routes() []route {
	large := "Content-Type: application/x-large\r\nContent-Disposition: attachment\r\n\r\n" + strings.Repeat("0123456789abcdef\r\n", 170_000)
	return []route{
		{"draft", nil, -1, "\r\ntext\r\n", "draft", false, false},
		{"mime", nil, -1, signedBody, "mime", false, false},
		{"sendmail", sendOnly, -1, "\r\ntext\r\n", "sendmail", false, false},
		{"sendmail of MIME", sendOnly, -1, signedBody, "sendmail", false, false},
		{"sendmail without a copy", dropCopies, time.Hour, "\r\ntext\r\n", "sendmail", false, false},
		{"draft without a copy", dropCopies, -1, large, "draft", true, true},
	}
}

// envelopeTest is a header with an envelope, and the fields where the recipients must be.
// Every address that the envelope does not name contains "ghost".
type envelopeTest struct {
	name     string
	head     string
	envelope string
	to, cc   string
	bcc      string
}

const hidden = "hidden@example.test"

var envelopeTests = []envelopeTest{
	{"header names more", "To: B <b@example.test>, ghost1@example.test\r\nCc: ghost2@example.test\r\n",
		"b@example.test", "b@example.test", "", ""},
	{"envelope names more", "To: b@example.test\r\n",
		"b@example.test hidden@example.test other@example.test", "b@example.test", "", "hidden@example.test other@example.test"},
	{"neither holds the other", "To: ghost@example.test, b@example.test\r\nCc: c@example.test, ghost@example.org\r\n",
		hidden + " c@example.test b@example.test", "b@example.test", "c@example.test", hidden},
	{"Bcc only", "Bcc: hidden@example.test, b@example.test\r\n",
		"b@example.test hidden@example.test", "", "", "b@example.test hidden@example.test"},
	{"Bcc of somebody else", "To: b@example.test\r\nBcc: ghost@example.test, hidden@example.test\r\n",
		"b@example.test hidden@example.test", "b@example.test", "", hidden},
	{"undisclosed", "To: undisclosed-recipients:;\r\n",
		"b@example.test hidden@example.test", "", "", "b@example.test hidden@example.test"},
	{"undisclosed in Cc too", "To: Undisclosed recipients: ;\r\nCc: Nobody:;\r\n", hidden + " b@example.test", "", "", hidden + " b@example.test"},
	{"duplicates", "To: B@Example.TEST, b@example.test\r\nCc: B <b@EXAMPLE.test>\r\nCc: c@example.test\r\n",
		"b@example.test B@EXAMPLE.TEST c@example.test C@example.test", "b@example.test", "c@example.test", ""},
	{"another case", "To: B <B@Example.TEST>\r\nCc: C@example.test\r\n", "b@example.test c@EXAMPLE.test", "b@example.test", "c@example.test", ""},
	{"groups", "To: Team: b@example.test, \"Chen, D\" <c@example.test>, ghost@example.test;, d@example.test\r\nCc: Empty:;, Others: e@example.test;\r\n",
		"b@example.test c@example.test d@example.test e@example.test", "b@example.test c@example.test d@example.test", "e@example.test", ""},
	{"no To", "Cc: c@example.test\r\n", "c@example.test hidden@example.test", "", "c@example.test", hidden},
	{"no recipient field", "", "b@example.test hidden@example.test", "", "", "b@example.test hidden@example.test"},
	{"the same in To and Cc", "To: b@example.test\r\nCc: b@example.test, c@example.test\r\n",
		"b@example.test c@example.test", "b@example.test", "c@example.test", ""},
	{"the same in To and Bcc", "To: b@example.test\r\nBcc: b@example.test\r\n", "b@example.test", "b@example.test", "", ""},
	{"resent and return path", "Return-Path: <ghost3@example.test>\r\nResent-From: a@contoso.test\r\nResent-To: hidden@example.test\r\n" +
		"Resent-Cc: ghost1@example.test\r\nResent-Bcc: ghost2@example.test, hidden@example.test\r\nTo: b@example.test\r\n",
		"b@example.test hidden@example.test", "b@example.test", "", hidden},
	{"blank before the colon", "To: b@example.test\r\nbcc : hidden@example.test\r\n", "b@example.test " + hidden, "b@example.test", "", hidden},
	{"tab before the colon", "To: b@example.test\r\nBcc\t: hidden@example.test\r\n", "b@example.test " + hidden, "b@example.test", "", hidden},
	{"capitals", "To: b@example.test\r\nBCC:hidden@example.test\r\n", "b@example.test " + hidden, "b@example.test", "", hidden},
	{"folded", "To: b@example.test\r\nbCC:\r\n\t=?utf-8?q?H?=\r\n <hidden@example.test>,\r\n ghost@example.test\r\n",
		"b@example.test " + hidden, "b@example.test", "", hidden},
	{"folded name", "To: b@example.test\r\nX-Before: 1\r\n Bcc: 2\r\nBcc:\r\n hidden@example.test\r\n", "b@example.test " + hidden, "b@example.test", "", hidden},
	{"twice", "Bcc: hidden@example.test\r\nTo: b@example.test\r\nBcc: ghost@example.test\r\n", "b@example.test " + hidden, "b@example.test", "", hidden},
	{"lost indentation", "To: b@example.test\r\nBcc: ghost@example.test,\r\nhidden@example.test\r\nX-After: 1\r\n",
		"b@example.test " + hidden, "b@example.test", "", hidden},
}

// firstTests are first fields of a message that are hard to read.
var firstTests = []envelopeTest{
	{"after a byte order mark", "\xef\xbb\xbfBcc: hidden@example.test\r\nTo: b@example.test\r\n", "b@example.test " + hidden, "b@example.test", "", hidden},
	{"after a blank", " Bcc: hidden@example.test\r\nTo: b@example.test\r\n", "b@example.test " + hidden, "b@example.test", "", hidden},
	{"after an mbox line", "From a@contoso.test Mon Nov  2 10:00:00 2026\r\nBcc: hidden@example.test\r\nTo: b@example.test\r\n",
		"b@example.test " + hidden, "b@example.test", "", hidden},
}

// Exactly the envelope's recipients get the mail, and none of them sees another recipient
// whom To and Cc do not name.
func TestEnvelopeIsLaw(t *testing.T) {
	const usual = "From: a@contoso.test\r\nSubject: s\r\nMIME-Version: 1.0\r\n"
	for _, way := range routes() {
		t.Run(way.name, func(t *testing.T) {
			p := startPaths(t, simulator.Options{SendDelay: way.delay}, way.change)
			sends := 0
			run := func(tt envelopeTest, head string) {
				t.Run(tt.name, func(t *testing.T) {
					p := p.on(t)
					id := p.submit("a@contoso.test", strings.Fields(tt.envelope), []byte(head+way.body))
					p.wantSent(id, way.path)
					sends++
					p.checkEnvelope(tt, sends, way.gone)
				})
			}
			for i, tt := range envelopeTests {
				if !way.large || i%4 == 0 {
					run(tt, usual+tt.head)
				}
			}
			for _, tt := range firstTests {
				run(tt, tt.head+usual)
			}
		})
	}
}

func (p *rig) checkEnvelope(tt envelopeTest, sends int, gone bool) {
	p.Helper()
	d, item, found := p.lastSend(sends)
	for _, list := range []struct {
		name string
		got  []string
		want string
	}{{"To", d.To, tt.to}, {"Cc", d.Cc, tt.cc}, {"Bcc", d.Bcc, tt.bcc}, {"all", d.Recipients(), tt.envelope}} {
		want := strings.Fields(strings.ToLower(list.want))
		slices.Sort(want)
		want = slices.Compact(want)
		got := strings.Fields(strings.ToLower(strings.Join(list.got, " ")))
		slices.Sort(got)
		if !slices.Equal(got, want) {
			p.Errorf("%s: got %q, want %q", list.name, got, want)
		}
	}
	if found == gone {
		p.Fatalf("is there a copy: %v", found)
	}
	if found {
		p.checkVisible(item, strings.Fields(tt.bcc))
	}
}

// checkVisible looks for Bcc recipients, and for those that only a header named, in
// all that a recipient can see.
func (p *rig) checkVisible(item simulator.Message, bcc []string) {
	p.Helper()
	raw := ""
	if item.MIME != nil {
		content, kept := p.sim.Content(item.MIME.ID)
		if !kept {
			p.Fatal("the MIME was not kept")
		}
		raw = withoutField(string(content), "Bcc")
	}
	item.Bcc = nil
	seen, err := json.Marshal(item)
	if err != nil {
		p.Fatal(err)
	}
	for _, address := range append(bcc, "ghost") {
		if strings.Contains(string(seen), address) {
			p.Errorf("recipients see %s: %s", address, seen)
		}
		if strings.Contains(raw, address) {
			p.Errorf("recipients see %s in the MIME:\n%s", address, raw)
		}
	}
}

// withoutField removes a field from the header, as Exchange does with Bcc.
func withoutField(raw, name string) string {
	head, body, _ := strings.Cut(raw, "\r\n\r\n")
	var kept []string
	taken := false
	for line := range strings.SplitSeq(head, "\r\n") {
		if !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "\t") {
			field, _, _ := strings.Cut(line, ":")
			taken = strings.EqualFold(field, name)
		}
		if !taken {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\r\n") + "\r\n\r\n" + body
}

// A sender rule shows another From on each path, and the device's own address stays
// as Reply-To, unless the message has one.
func TestSenderRuleOnEveryPath(t *testing.T) {
	match, err := config.ParsePattern("*@printers.local")
	if err != nil {
		t.Fatal(err)
	}
	for _, way := range routes() {
		t.Run(way.name, func(t *testing.T) {
			p := startPaths(t, simulator.Options{SendDelay: way.delay, SendAs: map[string][]string{}}, func(c *config.Config) {
				c.Senders = []config.Sender{{Match: match, Mailbox: "scanner@contoso.test", ReplyTo: config.ReplyToOriginal}}
				if way.change != nil {
					way.change(c)
				}
			})
			for n, more := range []string{"", "Reply-To: Desk <desk@example.test>\r\n"} {
				head := "From: Floor 3 <floor3@printers.local>\r\nSender: floor3@printers.local\r\nTo: b@example.test\r\nSubject: s\r\nMIME-Version: 1.0\r\n"
				p.wantSent(p.submit("floor3@printers.local", []string{"b@example.test"}, []byte(head+more+way.body)), way.path)
				d, item, found := p.lastSend(n + 1)
				if d.Mailbox != "scanner@contoso.test" || d.From != "scanner@contoso.test" {
					t.Errorf("sent from %s by the mailbox %s", d.From, d.Mailbox)
				}
				want := []simulator.Address{{Address: "floor3@printers.local"}}
				if more != "" {
					want = []simulator.Address{{Name: "Desk", Address: "desk@example.test"}}
				}
				if found && (item.From.Name != "Floor 3" || !slices.Equal(item.ReplyTo, want)) {
					t.Errorf("From is %+v, Reply-To %+v", item.From, item.ReplyTo)
				}
				if item.MIME == nil {
					continue
				}
				// Exchange requires the right to send as the address in Sender if that is
				// not the mailbox.
				if raw, _ := p.sim.Content(item.MIME.ID); strings.Contains(string(raw), "\r\nSender:") {
					t.Errorf("the Sender stays:\n%s", raw)
				}
			}
		})
	}
}

// As many recipients as Graph accepts get the mail, each once. One more is refused at a
// point where the client can still send to the others.
func TestManyRecipients(t *testing.T) {
	const most = 500
	for _, way := range routes()[:4] {
		t.Run(way.name, func(t *testing.T) {
			p := startPaths(t, simulator.Options{SendDelay: way.delay}, way.change)
			c := p.transaction()
			defer c.Close()
			p.ask(c, 250, "MAIL FROM:<a@contoso.test>")
			var shown, all []string
			for i := range most {
				address := fmt.Sprintf("recipient-%03d@example.test", i)
				p.ask(c, 250, "RCPT TO:<%s>", address)
				all = append(all, address)
				if i%2 == 0 {
					shown = append(shown, fmt.Sprintf("\"Recipient, %d\" <%s>", i, strings.ToUpper(address)))
				}
			}
			p.ask(c, 452, "RCPT TO:<one-more@example.test>")
			head := "From: a@contoso.test\r\nTo: " + strings.Join(shown, ",\r\n ") + "\r\nSubject: s\r\nMIME-Version: 1.0\r\n"
			p.wantSent(p.data(c, []byte(head+way.body)), way.path)
			d, _, _ := p.lastSend(1)
			got := strings.Fields(strings.ToLower(strings.Join(d.Recipients(), " ")))
			slices.Sort(got)
			if !slices.Equal(got, all) || len(d.To) != len(shown) || len(d.Bcc) != most-len(shown) {
				t.Errorf("%d recipients: %d To, %d Cc, %d Bcc", len(got), len(d.To), len(d.Cc), len(d.Bcc))
			}
		})
	}
}

// A first field that is hard to read still counts, and a line that is no field does not
// stay in the header.
func TestFirstLine(t *testing.T) {
	for _, way := range routes()[:3] {
		t.Run(way.name, func(t *testing.T) {
			p := startPaths(t, simulator.Options{SendDelay: way.delay}, way.change)
			for n, first := range []string{"\xef\xbb\xbfSubject: first\r\n", " Subject: first\r\n",
				"From a@contoso.test Mon Nov  2 10:00:00 2026\r\nSubject: first\r\n", ">From a@contoso.test Mon Nov\r\nSubject: first\r\n"} {
				head := first + "From: a@contoso.test\r\nTo: b@example.test\r\nMIME-Version: 1.0\r\n"
				p.wantSent(p.submit("a@contoso.test", []string{"b@example.test"}, []byte(head+way.body)), way.path)
				d, item, _ := p.lastSend(n + 1)
				if d.Subject != "first" {
					t.Errorf("%q: the subject is %q", first, d.Subject)
				}
				if item.MIME == nil {
					continue
				}
				raw, _ := p.sim.Content(item.MIME.ID)
				if head, _, _ := strings.Cut(string(raw), "\r\n\r\n"); strings.Contains(head, "From a@") || strings.Contains(head, "\xef\xbb\xbf") {
					t.Errorf("%q: the header is\n%s", first, head)
				}
			}
		})
	}
}
