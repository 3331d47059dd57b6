package simulator_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
)

// subjects returns the subjects of messages.
func subjects(list []simulator.Message) (found []string) {
	for _, m := range list {
		found = append(found, m.Subject)
	}
	return found
}

// blind matches a field Bcc, and not an ID that happens to have these letters.
var blind = regexp.MustCompile(`(?i)\bBcc(Recipients)?\s*[:<"]`)

// A message comes to each of its recipients, whoever they are, and none sees who else got it as
// Bcc. The copies stay when the sender's is deleted.
func TestReceived(t *testing.T) {
	c := start(t, simulator.Options{SendDelay: -1, World: simulator.World{Returns: map[string]string{"full@fabrikam.test": "5.2.2"}}})
	id := c.draft(with(with(plain("hello"), "bccRecipients", to("Carl@outside.example")), "toRecipients", to("ben@fabrikam.test", "BEN@fabrikam.test", "full@fabrikam.test")))
	c.want(c.send(id), 202, "")
	c.want(c.json("POST", "/sendMail", object{"message": plain("not saved"), "saveToSentItems": false}), 202, "")
	c.want(c.do(c.request("DELETE", "/messages/"+id, "", nil)), 204, "")

	for _, to := range []string{"ben@fabrikam.test", "carl@outside.example"} {
		list := c.sim.Received(to, "")
		if len(list) == 0 || list[0].Subject != "hello" || len(list[0].Bcc) != 0 || list[0].Mailbox != to || list[0].Folder != simulator.Inbox || list[0].Body.Content != "Hello" {
			t.Errorf("%s got %+v", to, list)
		}
		for _, view := range []string{"Text", "Headers", "Source"} {
			r := c.plainCall("GET", c.base+"/message?"+url.Values{"in": {to}, "folder": {"Inbox"}, "id": {id}, "view": {view}}.Encode())
			if page := string(r.body); r.status != 200 || blind.MatchString(page) || to != "carl@outside.example" && strings.Contains(strings.ToLower(page), "carl@") {
				t.Errorf("%s sees %d %s", to, r.status, page)
			}
		}
	}
	if got := subjects(c.sim.Received("ben@fabrikam.test", "")); !slices.Equal(got, []string{"hello", "not saved"}) {
		t.Errorf("Ben got %v", got)
	}
	if got := c.sim.Received("full@fabrikam.test", ""); len(got) != 0 {
		t.Errorf("whose mail is returned got %v", subjects(got))
	}
	if page := string(c.plainCall("GET", c.base+"/message?"+url.Values{"id": {id}}.Encode()).body); !strings.Contains(page, "Carl@outside.example") || !blind.MatchString(page) {
		t.Errorf("the sender does not see Bcc: %s", page)
	}
	var list []simulator.Message
	if r := c.plainCall("GET", c.base+"/_simulator/received?address=Ben@fabrikam.test&q=subject:saved"); json.Unmarshal(r.body, &list) != nil || len(list) != 1 || list[0].Subject != "not saved" {
		t.Errorf("over HTTP: %s", r.body)
	}
}

func TestArrivalsAreBounded(t *testing.T) {
	c := start(t, simulator.Options{SendDelay: -1, Arrivals: 2})
	for _, subject := range []string{"1", "2", "3"} {
		id := c.draft(plain(subject))
		c.want(c.send(id), 202, "")
		c.want(c.do(c.request("POST", "/messages/"+id+"/permanentDelete", "", nil)), 204, "")
	}
	if got := subjects(c.sim.Received("ben@fabrikam.test", "")); !slices.Equal(got, []string{"2", "3"}) {
		t.Errorf("got %v", got)
	}
	if used := c.sim.Stats().ContentBytes; used != int64(2*len("Hello")) {
		t.Errorf("%d bytes of content are kept", used)
	}
}

func TestSearch(t *testing.T) {
	c := start(t, simulator.Options{SendDelay: -1})
	first := plain("Year end report")
	first["attachments"] = []object{file("Figures.xlsx", []byte("x"))}
	first["ccRecipients"] = to("carl@contoso.test")
	second := plain("Lunch")
	second["body"] = object{"contentType": "text", "content": "Shall we eat at the end of the street?"}
	for _, m := range []object{first, second} {
		c.want(c.send(c.draft(m)), 202, "")
	}
	for query, want := range map[string][]string{
		"":                               {"Year end report", "Lunch"},
		"END":                            {"Year end report", "Lunch"},
		`"year end"`:                     {"Year end report"},
		"end year":                       {"Year end report"},
		"subject:end":                    {"Year end report"},
		`subject:"end report"`:           {"Year end report"},
		"street":                         {"Lunch"},
		"-report":                        {"Lunch"},
		"end -subject:year":              {"Lunch"},
		"from:anna to:ben cc:carl":       {"Year end report"},
		"cc:ben":                         nil,
		"carl":                           {"Year end report"},
		"has:attachment":                 {"Year end report"},
		"-has:attachments":               {"Lunch"},
		"file:figures":                   {"Year end report"},
		"figures.xlsx":                   {"Year end report"},
		"unknown:end":                    nil,
		`"`:                              {"Year end report", "Lunch"},
		`subject:`:                       {"Year end report", "Lunch"},
		"-":                              nil,
		"message-id:<" + "nothing-such>": nil,
	} {
		if got := subjects(c.sim.Received("ben@fabrikam.test", query)); !slices.Equal(got, want) {
			t.Errorf("%q finds %q, want %q", query, got, want)
		}
	}
	page := string(c.plainCall("GET", c.base+"/?q=street").body)
	if !strings.Contains(page, "1 message found") || !strings.Contains(page, "Lunch") || strings.Contains(page, "Year end") {
		t.Errorf("page %s", page)
	}
}

// press posts the form of a page's button.
func (c *client) press(form url.Values, header http.Header) reply {
	c.t.Helper()
	req, err := http.NewRequest("POST", c.base+"/delete", strings.NewReader(form.Encode()))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header = header.Clone()
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.do(req)
}

func TestDeleteOnPages(t *testing.T) {
	c := start(t, simulator.Options{SendDelay: -1})
	one, two := c.draft(plain("one")), c.draft(plain("two"))
	c.draft(plain("draft"))
	c.want(c.send(one), 202, "")
	c.want(c.send(two), 202, "")
	ben := func() []string { return subjects(c.sim.Received("ben@fabrikam.test", "")) }

	for _, header := range []http.Header{{"Sec-Fetch-Site": {"cross-site"}}, {"Origin": {"http://evil.test"}}} {
		if r := c.press(url.Values{}, header); r.status != 403 || len(ben()) != 2 {
			t.Errorf("another site: %d", r.status)
		}
	}
	same := http.Header{"Sec-Fetch-Site": {"same-origin"}}
	if r := c.press(url.Values{"in": {"ben@fabrikam.test"}, "folder": {"Inbox"}, "id": {one}}, same); r.status != 200 || !slices.Equal(ben(), []string{"two"}) || len(c.sim.Sent()) != 2 {
		t.Errorf("one copy: %d, Ben has %v, %d sent", r.status, ben(), len(c.sim.Sent()))
	}
	if r := c.press(url.Values{"in": {mailbox}, "folder": {"Sent Items"}}, same); r.status != 200 || !slices.Equal(ben(), []string{"two"}) || len(c.sim.Sent()) != 0 {
		t.Errorf("Sent Items: %d, Ben has %v, %d sent", r.status, ben(), len(c.sim.Sent()))
	}
	if r := c.press(url.Values{}, same); r.status != 200 || len(ben()) != 0 || len(c.sim.Drafts()) != 1 {
		t.Errorf("all: %d, Ben has %v, %d drafts", r.status, ben(), len(c.sim.Drafts()))
	}
	if used := c.sim.Stats().ContentBytes; used != int64(len("Hello")) {
		t.Errorf("%d bytes of content are kept", used)
	}
	outside := httptest.NewRequest("POST", "/delete", nil) // it comes to no loopback address
	w := httptest.NewRecorder()
	if c.sim.ServeHTTP(w, outside); w.Code != 403 || len(c.sim.Drafts()) != 1 {
		t.Errorf("from another machine: %d", w.Code)
	}
}

// A site that brings its own name to this machine gets no page.
func TestRebinding(t *testing.T) {
	c := start(t, simulator.Options{})
	for host, status := range map[string]int{"evil.test": 421, "evil.test:8100": 421, "localhost:1": 200, "mail.localhost": 200, "[::1]:1": 200, "127.0.0.1": 200} {
		for _, path := range []string{"/", "/requests"} {
			req, _ := http.NewRequest("GET", c.base+path, nil)
			req.Host = host
			if r := c.do(req); r.status != status {
				t.Errorf("%s as %s: %d", path, host, r.status)
			}
		}
	}
}

// The page of a message shows the calls that made it, with the beginning of their bodies and
// without secrets.
func TestCallsOnPage(t *testing.T) {
	c := start(t, simulator.Options{SendDelay: -1})
	id := c.draft(plain("s"))
	r := c.session(id, object{"attachmentType": "file", "name": "f.bin", "size": 4_000_000})
	c.want(r, 201, "")
	upload, _ := url.Parse(r.field("uploadUrl"))
	c.want(c.send(id), 202, "")
	page := string(c.plainCall("GET", c.base+"/message?"+url.Values{"id": {id}, "view": {"Requests"}}.Encode()).body)
	for _, want := range []string{"create_session", "f.bin", "authtoken=(hidden)", "/messages/{id}/send", "toRecipients"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s:\n%s", want, page)
		}
	}
	for _, path := range []string{"/requests", "/message?" + url.Values{"id": {id}, "view": {"Requests"}}.Encode()} {
		body := string(c.plainCall("GET", c.base+path).body)
		for _, secret := range append(c.sim.Secrets(), upload.Query().Get("authtoken"), "client_secret") {
			if strings.Contains(body, secret) {
				t.Errorf("%s shows the secret %s", path, secret)
			}
		}
	}
	for range 1100 {
		c.get("/messages/" + id)
	}
	kept := 0
	for _, call := range c.sim.Journal() {
		if call.Answer != "" || call.Request != "" {
			kept++
		}
	}
	if kept > 1000 || kept < 990 {
		t.Errorf("the bodies of %d calls are kept", kept)
	}
}

// The source of a message from JSON has all of it.
func TestSource(t *testing.T) {
	c := start(t, simulator.Options{SendDelay: -1})
	message := plain("Grüße")
	message["body"] = object{"contentType": "html", "content": "<p>Hi <img src=cid:logo@x></p>"}
	logo := file("logo.png", []byte("png"))
	logo["contentType"], logo["isInline"], logo["contentId"] = "image/png", true, "logo@x"
	message["attachments"] = []object{logo, file("année 1.txt", []byte(strings.Repeat("long ", 100)))}
	message["bccRecipients"] = to("carl@outside.example")
	id := c.draft(message)
	c.want(c.send(id), 202, "")
	stored := c.get("/messages/" + id + "/$value")
	c.want(stored, 200, "")
	download := c.plainCall("GET", c.base+"/source?"+url.Values{"id": {id}}.Encode())
	if string(download.body) != string(stored.body) || !strings.HasPrefix(download.header.Get("Content-Disposition"), "attachment; filename*=utf-8''Gr%C3%BC%C3%9Fe.eml") {
		t.Errorf("download %v\n%s\nstored\n%s", download.header, download.body, stored.body)
	}
	if !strings.Contains(string(stored.body), "\r\nBcc: <carl@outside.example>\r\n") {
		t.Errorf("stored %s", stored.body)
	}
	sim := simulator.New(simulator.Options{})
	if _, err := sim.Receive("ben@contoso.test", "IPM.Note", stored.body); err != nil {
		t.Fatal(err)
	}
	got := sim.Messages("ben@contoso.test")[0]
	if got.Subject != "Grüße" || !strings.Contains(got.Body.Content, "<p>Hi <img src=cid:logo@x></p>") || len(got.Attachments) != 2 ||
		!got.Attachments[0].IsInline || got.Attachments[0].ContentID != "logo@x" || got.Attachments[1].Name != "année 1.txt" || got.Attachments[1].Size != 500 {
		t.Errorf("it reads as %+v", got)
	}
}
