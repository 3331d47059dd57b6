package simulator_test

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"net/mail"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
)

// inbox returns the messages in the Inbox of a mailbox, each with its content.
func (c *client) inbox(mailbox string) (list []simulator.Message, contents []*mail.Message) {
	c.t.Helper()
	for _, m := range c.sim.Messages(mailbox) {
		if m.Folder != simulator.Inbox {
			continue
		}
		raw, _ := c.sim.Content(m.MIME.ID)
		content, err := mail.ReadMessage(bytes.NewReader(raw))
		if err != nil {
			c.t.Fatalf("%v in %s", err, raw)
		}
		list, contents = append(list, m), append(contents, content)
	}
	return list, contents
}

// delivering starts a simulator that puts mail into Inboxes.
func delivering(t *testing.T, w simulator.World) *client {
	t.Helper()
	return start(t, simulator.Options{SendDelay: -1, Deliver: true, World: w, Mailboxes: []string{"contoso.test"},
		Users: []simulator.User{{Address: "ben@contoso.test", Aliases: []string{"b@contoso.test"}}}})
}

// A message comes once to each recipient who has a mailbox, whatever addresses name him, with
// its fields and files and without its Bcc.
func TestDeliver(t *testing.T) {
	c := delivering(t, simulator.World{Returns: map[string]string{"full@contoso.test": "5.2.2"}})
	id := c.draft(object{"subject": "hello", "body": object{"contentType": "html", "content": "<p>text</p>"},
		"toRecipients": to("ben@contoso.test", "b@contoso.test", "full@contoso.test", "out@example.com"), "bccRecipients": to("carl@contoso.test"),
		"internetMessageId": "<1@x>", "internetMessageHeaders": []object{{"name": "X-Test", "value": "1"}},
		"singleValueExtendedProperties": []object{{"id": "String 0x1039", "value": "<0@x>"}},
		"attachments":                   []object{file("a.txt", []byte("content"))}})
	c.want(c.send(id), 202, "")
	for _, mailbox := range []string{"ben@contoso.test", "carl@contoso.test"} {
		list, contents := c.inbox(mailbox)
		if len(list) != 1 {
			t.Fatalf("%s has %d messages", mailbox, len(list))
		}
		h := contents[0].Header
		if h.Get("Message-ID") != "<1@x>" || h.Get("X-Test") != "1" || h.Get("References") != "<0@x>" || h.Get("Bcc") != "" || h.Get("Subject") != "hello" {
			t.Errorf("%s got %v", mailbox, h)
		}
		if !list[0].Unread || len(list[0].Attachments) != 1 || list[0].Attachments[0].Size != 7 || !strings.Contains(list[0].Body.Content, "<p>text</p>") {
			t.Errorf("%s got %+v", mailbox, list[0])
		}
	}
	if list, _ := c.inbox("full@contoso.test"); len(list) != 0 {
		t.Error("a recipient whose mail is returned got it")
	}
}

// A message in MIME comes as it was, without its Bcc field.
func TestDeliverMIME(t *testing.T) {
	const raw = "From: anna@contoso.test\r\nBcc: ben@contoso.test\r\nSubject: meet\r\nMessage-ID: <2@x>\r\nX-Folded: a\r\n b\r\nContent-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR\r\n"
	for _, test := range []struct {
		name  string
		world simulator.World
		check func(h mail.Header, body string) bool
	}{
		{"as it was", simulator.World{}, func(h mail.Header, body string) bool {
			return h.Get("Bcc") == "" && h.Get("X-Folded") == "a b" && h.Get("Content-Type") == "text/calendar; method=REQUEST" && body == "BEGIN:VCALENDAR\r\n"
		}},
		{"mimeKeepsBcc", simulator.World{MIMEKeepsBcc: true}, func(h mail.Header, _ string) bool { return h.Get("Bcc") == "ben@contoso.test" }},
		{"copyLoses", simulator.World{CopyLoses: []string{"x-folded"}}, func(h mail.Header, _ string) bool { return h.Get("X-Folded") == "" && h.Get("Subject") == "meet" }},
		{"copyTnef", simulator.World{CopyTNEF: true}, func(_ mail.Header, body string) bool { return strings.Contains(body, "winmail.dat") }},
	} {
		c := delivering(t, test.world)
		created := c.do(c.request("POST", "/messages", "text/plain", []byte(base64.StdEncoding.EncodeToString([]byte(raw)))))
		c.want(created, 201, "")
		c.want(c.send(created.field("id")), 202, "")
		_, contents := c.inbox("ben@contoso.test")
		if len(contents) != 1 {
			t.Fatalf("%s: %d messages", test.name, len(contents))
		}
		body, err := io.ReadAll(contents[0].Body)
		if err != nil || !test.check(contents[0].Header, string(body)) {
			t.Errorf("%s: got %v\n%s", test.name, contents[0].Header, body)
		}
	}
}

// Without the option, nothing comes to an Inbox. saveToSentItems is obeyed, unless the world says
// otherwise.
func TestDeliverSendMail(t *testing.T) {
	for _, always := range []bool{false, true} {
		c := delivering(t, simulator.World{SavesAlways: always})
		c.want(c.json("POST", "/sendMail", object{"saveToSentItems": false,
			"message": object{"subject": "x", "toRecipients": to("ben@contoso.test")}}), 202, "")
		if list, _ := c.inbox("ben@contoso.test"); len(list) != 1 || (len(c.sim.Sent()) == 1) != always {
			t.Errorf("%d came, %d are in Sent Items, saves always: %v", len(list), len(c.sim.Sent()), always)
		}
	}
	c := in(t, simulator.World{})
	c.want(c.send(c.draft(plain("x"))), 202, "")
	c.settled(1)
	if list, _ := c.inbox("ben@contoso.test"); len(list) != 0 {
		t.Error("mail came although it is not to be delivered")
	}
}

func TestUploadStateRefused(t *testing.T) {
	c := in(t, simulator.World{UploadStateStatus: 405})
	session := c.session(c.draft(plain("x")), object{"attachmentType": "file", "name": "a", "size": 3_100_000})
	request, err := http.NewRequest("GET", session.field("uploadUrl"), nil)
	if err != nil {
		t.Fatal(err)
	}
	c.want(c.do(request), 405, "ErrorInvalidRequest")
}
