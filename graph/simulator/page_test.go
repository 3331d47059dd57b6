package simulator_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"graphrelay/graph/simulator"
)

// hostile are texts that would do something if a page took them for anything but text.
var hostile = []string{
	`"><script>alert(1)</script><img src=x onerror=alert(2)>`,
	`' onmouseover='alert(3)`,
	`</title></textarea></style></noscript><svg/onload=alert(4)>`,
	`javascript:alert(5)`,
	`{{.}}${alert(6)}<%= 7 %>`,
	"<!--><script>alert(8)</script>-->",
	"\u202egnp.exe\u0000\x1b[31m",
}

// TestPagesInert sends each hostile text in every place that a page shows, and reads all pages as
// a browser does.
func TestPagesInert(t *testing.T) {
	for _, text := range hostile {
		c := start(t, simulator.Options{SendDelay: -1})
		message := plain(text)
		message["body"] = object{"contentType": "HTML", "content": "<p>" + text + "</p>"}
		message["toRecipients"] = []object{{"emailAddress": object{"name": text, "address": "ben@fabrikam.test"}}}
		message["ccRecipients"] = to(`"<script>alert(9)</script>"@fabrikam.test`)
		message["replyTo"] = []object{{"emailAddress": object{"name": text, "address": "r@fabrikam.test"}}}
		message["categories"] = []string{text}
		message["internetMessageHeaders"] = []object{{"name": "X-A", "value": text}}
		logo := file(text, []byte("png"))
		logo["contentType"], logo["isInline"], logo["contentId"] = text, true, text
		message["attachments"] = []object{logo}
		id := c.draft(message)
		c.want(c.send(id), 202, "")
		c.get("/messages/" + url.PathEscape(text)) // for the list of requests

		for _, page := range c.pagesOf(id) {
			for _, fault := range active(page.body, "/") {
				t.Errorf("%q, %s: %s", text, page.path, fault)
			}
			if policy := page.header.Get("Content-Security-Policy"); strings.Contains(policy, "unsafe") || !strings.Contains(policy, "default-src 'none'") {
				t.Errorf("%s: policy %q", page.path, policy)
			}
		}
	}
}

// shownPage is a page as it was served.
type shownPage struct {
	path   string
	header http.Header
	body   []byte
}

// pagesOf returns every page that shows the message, which Anna sent to Ben.
func (c *client) pagesOf(id string) (list []shownPage) {
	c.t.Helper()
	paths := []string{"/", "/?q=%3Cscript%3E", "/?in=" + mailbox, "/?in=" + mailbox + "&folder=Sent+Items", "/?in=ben@fabrikam.test", "/requests"}
	for _, in := range []string{"", mailbox, "ben@fabrikam.test"} {
		folder := map[string]string{mailbox: simulator.SentItems, "ben@fabrikam.test": simulator.Inbox}[in]
		for _, view := range []string{"HTML", "Text", "Headers", "Source", "Requests"} {
			paths = append(paths, "/message?"+url.Values{"in": {in}, "folder": {folder}, "id": {id}, "view": {view}}.Encode())
		}
	}
	for _, path := range paths {
		r := c.plainCall("GET", c.base+path)
		if r.status != 200 {
			c.t.Errorf("%s: %d %s", path, r.status, r.body)
		}
		list = append(list, shownPage{path, r.header, r.body})
	}
	return list
}

// active returns what a browser would run or load of a page, other than from paths with the
// prefix.
func active(page []byte, prefix string) (faults []string) {
	node, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		return []string{err.Error()}
	}
	for n := range node.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if n.Data == "script" && n.FirstChild != nil || slices.Contains([]string{"style", "svg", "object", "embed", "base", "img"}, n.Data) {
			faults = append(faults, "element "+n.Data)
		}
		for _, a := range n.Attr {
			switch {
			case strings.HasPrefix(a.Key, "on"), a.Key == "style", a.Key == "srcdoc":
				faults = append(faults, n.Data+" with "+a.Key)
			case slices.Contains([]string{"href", "src", "action", "formaction", "hx-get"}, a.Key) && !strings.HasPrefix(a.Val, prefix) && a.Val != "#main":
				faults = append(faults, n.Data+" leads to "+a.Val)
			}
		}
	}
	return faults
}

// TestBody checks the document with the HTML of a message: what is in it, and that a browser
// gives it a sandbox of its own.
func TestBody(t *testing.T) {
	for _, test := range []struct{ name, body, want string }{
		{"plain", `<p title="a'b">Hi &amp; bye</p>`, `<p title="a&#39;b">Hi &amp; bye</p>`},
		{"image", `<img src="cid:logo%40x"><img src='CID:none'>`, `<img src="{logo}"><img src="CID:none">`},
		{"script", `a<script>alert("</p>")</script>b<SCRIPT src=//evil></SCRIPT>c`, "abc"},
		{"unclosed script", `a<script>alert(1)`, "a"},
		{"frames", `a<iframe src="http://evil"><p>x</p></iframe>b<object data=x><object></object>x</object>c<embed src=x>d`, "abcd"},
		{"ahead of time", `<head><link rel=preconnect href=http://evil><meta http-equiv=refresh content="0;url=http://evil"><base href=http://evil></head>a`, "a"},
		{"style", `<style>p { color: red } /* <b> */</style><p style="color: blue">a</p>`, `<style>p { color: red } /* <b> */</style><p style="color: blue">a</p>`},
		{"link", `<a href="http://fabrikam.test" target=_top ping=http://evil>a</a>`, `<a href="http://fabrikam.test" target="_blank" rel="noopener noreferrer">a</a>`},
		{"document", "<!DOCTYPE html><html onload=x><head><title>t</title></head><body>a</body></html>", "<body>a</body>"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := start(t, simulator.Options{SendDelay: -1})
			message := plain("s")
			message["body"] = object{"contentType": "HTML", "content": test.body}
			logo := file("logo.png", []byte("png"))
			logo["contentType"], logo["isInline"], logo["contentId"] = "image/png", true, "<logo@x>"
			message["attachments"] = []object{logo}
			id := c.draft(message)
			c.want(c.send(id), 202, "")
			r := c.plainCall("GET", c.base+"/body?"+url.Values{"id": {id}}.Encode())
			_, got, _ := strings.Cut(string(r.body), "</head>\n")
			path := "/_simulator/attachments/" + c.sim.Sent()[0].Attachments[0].ID + "?inline"
			if want := strings.ReplaceAll(test.want, "{logo}", path); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			policy := r.header.Get("Content-Security-Policy")
			if !strings.Contains(policy, "sandbox allow-popups allow-popups-to-escape-sandbox") || strings.Contains(policy, "script") || !strings.Contains(policy, "default-src 'none'") {
				t.Errorf("policy %q", policy)
			}
		})
	}
}

// TestPageOfNothing checks what is answered to paths of nothing.
func TestPageOfNothing(t *testing.T) {
	c := start(t, simulator.Options{})
	for path, status := range map[string]int{
		"/message?in=" + mailbox + "&id=x": 404, "/message?id=x": 404, "/body?id=x": 404, "/source?in=x&id=x": 404, "/favicon.ico": 404,
		"/?in=nobody@contoso.test": 200, "/?page=99": 200, "/?page=x": 200,
	} {
		if r := c.plainCall("GET", c.base+path); r.status != status {
			t.Errorf("%s: %d", path, r.status)
		}
	}
}

// TestLivePart checks that htmx gets the part of a page that changes.
func TestLivePart(t *testing.T) {
	c := start(t, simulator.Options{})
	for _, path := range []string{"/", "/requests"} {
		req, _ := http.NewRequest("GET", c.base+path, nil)
		req.Header.Set("HX-Request", "true")
		r := c.do(req)
		if body := strings.TrimSpace(string(r.body)); !strings.HasPrefix(body, `<div id="live"`) || !strings.HasSuffix(body, "</div>") || strings.Contains(body, "<html") {
			t.Errorf("%s: %s", path, r.body)
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
