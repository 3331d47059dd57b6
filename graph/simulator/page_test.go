package simulator_test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
)

const hostile = `"><script>alert(1)</script><img src=x onerror=alert(2)>`

func TestPageEscapes(t *testing.T) {
	c := start(t, simulator.Options{SendDelay: -1})
	message := plain(hostile)
	const body = `<p title="a'b">Hi</p><img src="cid:logo%40x"><img src='CID:none'><script>alert(3)</script>`
	message["body"] = object{"contentType": "HTML", "content": body}
	message["toRecipients"] = []object{{"emailAddress": object{"name": hostile, "address": "ben@fabrikam.test"}}}
	message["internetMessageHeaders"] = []object{{"name": "X-" + hostile, "value": hostile}}
	logo := file(hostile, []byte("png"))
	logo["contentType"], logo["isInline"], logo["contentId"] = "image/png", true, "<logo@x>"
	message["attachments"] = []object{logo}
	id := c.draft(message)
	c.want(c.send(id), 202, "")
	attachment := c.sim.Sent()[0].Attachments[0].ID

	for _, path := range []string{"/", "/?mailbox=" + mailbox, "/?mailbox=" + mailbox + "&id=" + url.QueryEscape(id)} {
		r := c.plainCall("GET", c.base+path)
		page := string(r.body)
		if r.status != 200 || strings.Contains(page, "<script") || strings.Contains(page, "<img") {
			t.Errorf("%s: %d, page:\n%s", path, r.status, page)
		}
		if policy := r.header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "script-src") {
			t.Errorf("%s: policy %q", path, policy)
		}
	}
	page := string(c.plainCall("GET", c.base+"/?mailbox="+mailbox+"&id="+url.QueryEscape(id)).body)
	_, rest, ok := strings.Cut(page, `<iframe sandbox="" title="message body" srcdoc="`)
	source, _, _ := strings.Cut(rest, `"`)
	want := strings.Replace(body, "cid:logo%40x", "/_simulator/attachments/"+attachment+"?inline", 1)
	if got := html.UnescapeString(source); !ok || got != want {
		t.Errorf("body in the frame:\n%s\nwant\n%s", got, want)
	}
	for path, status := range map[string]int{"/?mailbox=" + mailbox + "&id=x": 404, "/?mailbox=x&id=x": 404, "/favicon.ico": 404} {
		if r := c.plainCall("GET", c.base+path); r.status != status {
			t.Errorf("%s: %d", path, r.status)
		}
	}
}

func TestContentHeaders(t *testing.T) {
	c := start(t, simulator.Options{})
	message := plain("s")
	page := file("evil\r\n\"name.html", []byte("<script>"))
	page["contentType"] = "text/html"
	picture := file("picture.svg", []byte("<svg/>"))
	picture["contentType"] = "image/svg+xml"
	odd := file("odd", []byte("x"))
	odd["contentType"] = "a\r\nX-Injected: 1"
	png := file("p.png", []byte("png"))
	png["contentType"] = "image/png"
	message["attachments"] = []object{page, picture, odd, png}
	c.draft(message)
	for _, a := range c.sim.Drafts()[0].Attachments {
		r := c.plainCall("GET", c.base+"/_simulator/attachments/"+a.ID+"?inline")
		disposition := "attachment"
		if a.Name == "p.png" {
			disposition = "inline"
		}
		if r.status != 200 || !strings.HasPrefix(r.header.Get("Content-Disposition"), disposition) ||
			r.header.Get("X-Content-Type-Options") != "nosniff" || r.header.Get("X-Injected") != "" {
			t.Errorf("%q: %d %v", a.Name, r.status, r.header)
		}
	}
	if r := c.plainCall("GET", c.base+"/_simulator/attachments/none"); r.status != 404 {
		t.Errorf("unknown content: %d", r.status)
	}
}

func TestStateOverHTTP(t *testing.T) {
	c := start(t, simulator.Options{SendDelay: -1})
	c.want(c.send(c.draft(plain("s"))), 202, "")
	count := func(what string) int {
		var list []any
		r := c.plainCall("GET", c.base+"/_simulator/"+what)
		if err := json.Unmarshal(r.body, &list); err != nil {
			t.Fatalf("%s: %v in %s", what, err, r.body)
		}
		return len(list)
	}
	for what, want := range map[string]int{
		"messages": 1, "messages?mailbox=ANNA@contoso.test": 1, "messages?mailbox=ben@contoso.test": 0,
		"ledger": 1, "journal": 3, "faults": 0,
	} {
		if got := count(what); got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	var stats simulator.Stats
	r := c.plainCall("GET", c.base+"/_simulator/stats")
	if err := json.Unmarshal(r.body, &stats); err != nil || stats.Calls[simulator.OpSend] != 1 || stats.Statuses[202] != 1 || stats.Sent != 1 {
		t.Errorf("stats %s %v", r.body, err)
	}
	if r := c.plainCall("DELETE", c.base+"/_simulator/state"); r.status != 204 {
		t.Errorf("reset: %d", r.status)
	}
	if count("messages")+count("ledger")+count("journal") != 0 {
		t.Error("state after the reset")
	}
	c.want(c.json("POST", "/messages", plain("the token stays valid")), 201, "")
}

func TestJournal(t *testing.T) {
	c := start(t, simulator.Options{JournalSize: 2})
	id := c.draft(plain("s"))
	c.want(c.get("/messages/none"), 404, "ErrorItemNotFound")
	c.want(c.get("/messages/"+id), 200, "")
	calls := c.sim.Journal()
	if len(calls) != 2 || calls[0].Code != "ErrorItemNotFound" || calls[1].MessageID != id || calls[1].Mailbox != mailbox {
		t.Errorf("journal %+v", calls)
	}
	for _, call := range calls {
		if call.Operation != simulator.OpGet || call.Method != http.MethodGet || call.RequestID == "" {
			t.Errorf("call %+v", call)
		}
	}
}

func TestContract(t *testing.T) {
	c := start(t, simulator.Options{RequireContract: true})
	c.header.Set("User-Agent", "graphrelay/1.0")
	c.header.Set("Client-Request-Id", "11111111-2222-3333-4444-555555555555")
	c.draft(with(plain("s"), "singleValueExtendedProperties", []object{{"id": simulator.QueueProperty, "value": "Q1"}}))
	if found := c.sim.Violations(); len(found) != 0 {
		t.Errorf("violations %+v", found)
	}
	c.header = http.Header{}
	c.draft(plain("s"))
	if found := c.sim.Violations(); len(found) != 4 {
		t.Errorf("violations %+v, want 4", found)
	}
}
