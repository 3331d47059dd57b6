package console

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"graphrelay/mime"
	"graphrelay/relay/operations"
	"graphrelay/relay/operators"
	"graphrelay/relay/queue"
	"graphrelay/relay/queue/sqlite"
)

// mailRelay is a relay with a queue.
type mailRelay struct {
	testRelay
	store *queue.Queue
}

func (r mailRelay) Describe(ctx context.Context, id string) (operations.Description, error) {
	return operations.Describe(ctx, r.store, id, mime.DefaultLimits())
}

// mailConsole is a console with a queue of its own.
type mailConsole struct {
	testing.TB
	store *queue.Queue
	mux   *http.ServeMux
	shows bool // the content of messages
}

func newMailConsole(t testing.TB) *mailConsole {
	t.Helper()
	q, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), Exclusive: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	m := &mailConsole{TB: t, store: q, mux: http.NewServeMux(), shows: true}
	ops := operations.Local{Store: q, Connections: func() []string { return []string{"contoso"} }}
	c := New(Config{Ops: ops, Live: mailRelay{store: q}, Hostname: func() string { return "relay.contoso.test" }, Version: "1.0", ShowContent: func() bool { return m.shows },
		BaseURL: func() string { return "http://localhost" }, Log: func() *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }})
	if _, ok := t.(*testing.T); ok { // a benchmark has the time that users have
		c.searchTime = time.Minute
	}
	c.Register(m.mux)
	return m
}

func (m *mailConsole) put(e queue.Entry, content string) string {
	m.Helper()
	if e.Lane.Connection == "" {
		e.Lane = queue.ParseLane("contoso/crm@contoso.test")
	}
	if e.Envelope.From == "" {
		e.Envelope = queue.Envelope{From: "crm@contoso.test", To: []string{"anna@example.test"}}
	}
	w, err := m.store.Create(m.Context())
	if err == nil {
		_, err = w.Write([]byte(content))
	}
	if err == nil {
		err = w.Commit(m.Context(), e)
	}
	if err != nil {
		m.Fatal(err)
	}
	return w.ID()
}

// do makes a request as a person with a role.
func (m *mailConsole) do(role operators.Role, method, path string, form url.Values) *httptest.ResponseRecorder {
	m.Helper()
	return as(m.mux, role, method, path, form)
}

func (m *mailConsole) page(path string) string {
	m.Helper()
	w := m.do(operators.Operator, http.MethodGet, path, nil)
	if w.Code != http.StatusOK {
		m.Errorf("%s answers %d: %s", path, w.Code, w.Body)
	}
	return w.Body.String()
}

func (m *mailConsole) state(id string) queue.State {
	m.Helper()
	r, _, err := m.store.Get(m.Context(), id)
	if err != nil {
		m.Fatal(err)
	}
	return r.State
}

// listedIDs returns the messages that a page lists.
func listedIDs(page string) (ids []string) {
	for _, match := range regexp.MustCompile(`<tr id="m-([0-9a-z]+)">`).FindAllStringSubmatch(page, -1) {
		ids = append(ids, match[1])
	}
	return ids
}

func TestSearch(t *testing.T) {
	m := newMailConsole(t)
	a := m.put(queue.Entry{Subject: "Invoice 17", MessageID: "<17@shop>", User: "crm", Client: "192.0.2.1"}, "x")
	b := m.put(queue.Entry{Subject: "Ärzte & Co", Client: "2001:db8::7", Envelope: queue.Envelope{From: "scan@contoso.test", To: []string{"bert@example.test", "c@x.test"}}}, "x")
	if err := m.store.Apply(t.Context(), b, queue.Hold, "anna"); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{
		"": b + " " + a, "q=INVOICE": a, "q=" + strings.ToUpper(a): a, "q=%3C17@shop%3E": a, "q=17@shop": a, "q=nothing": "", "q=%C3%A4rzte": b,
		"state=held": b, "state=held&state=queued": b + " " + a, "reason=operator": b, "from=scan": b, "to=BERT": b, "subject=17": a,
		"user=CRM": a, "client=2001:DB8": b, "lane=contoso": b + " " + a, "lane=contoso/other": "", "since=1h": b + " " + a, "before=1h": "",
		"since=2020-01-01&before=2999-01-01+12:00": b + " " + a, "state=nonsense": b + " " + a,
	} {
		if got := strings.Join(listedIDs(m.page("/console/messages?"+query)), " "); got != want {
			t.Errorf("%s lists %q, want %q", query, got, want)
		}
	}
	if w := m.do(operators.Viewer, http.MethodGet, "/console/messages?since=yesterday", nil); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "such as 2h or 7d") {
		t.Errorf("a bad time: %d %s", w.Code, w.Body)
	}
}

// Pages lead to the older messages and back, and each message is on one of them.
func TestPaging(t *testing.T) {
	m := newMailConsole(t)
	var want []string
	for range 2*listed + 7 {
		want = append(want, m.put(queue.Entry{Subject: "one of many"}, "x"))
	}
	slices.SortFunc(want, func(a, b string) int { return strings.Compare(b, a) })
	follow := func(page, rel string) string {
		match := regexp.MustCompile(`rel="` + rel + `" href="([^"]+)"`).FindStringSubmatch(page)
		if match == nil {
			return ""
		}
		return strings.ReplaceAll(match[1], "&amp;", "&")
	}
	var got []string
	next, last := "/console/messages?q=many", ""
	for next != "" {
		last = m.page(next)
		got = append(got, listedIDs(last)...)
		next = follow(last, "next")
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%d messages on the pages, want %d", len(got), len(want))
	}
	back := m.page(follow(last, "prev"))
	if ids := listedIDs(back); strings.Join(ids, " ") != strings.Join(want[listed:2*listed], " ") {
		t.Errorf("the page before lists %d messages", len(ids))
	}
	first := m.page(follow(back, "prev"))
	if ids := listedIDs(first); strings.Join(ids, " ") != strings.Join(want[:listed], " ") || follow(first, "prev") != "" {
		t.Errorf("the first page lists %d messages", len(ids))
	}
	if strings.Contains(first, "every 5s") || !strings.Contains(m.page("/console/messages?q=many"), "every 5s") {
		t.Error("not the newest messages alone are live")
	}
}

func TestActions(t *testing.T) {
	m := newMailConsole(t)
	var ids []string
	for i := range 4 {
		ids = append(ids, m.put(queue.Entry{Subject: fmt.Sprint("number ", i)}, "x"))
	}
	act := func(form url.Values) (next string) {
		t.Helper()
		w := m.do(operators.Operator, http.MethodPost, "/console/messages/act", form)
		if w.Code != http.StatusSeeOther {
			t.Fatalf("%v: %d %s", form, w.Code, w.Body)
		}
		return w.Header().Get("Location")
	}
	states := func(want ...queue.State) {
		t.Helper()
		for i, id := range ids {
			if got := m.state(id); got != want[i] {
				t.Errorf("message %d is %s, want %s", i, got, want[i])
			}
		}
	}
	if next := act(url.Values{"action": {"hold"}, "id": ids[:2], "back": {"/console/messages?q=number"}}); next != "/console/messages?q=number" {
		t.Errorf("it goes on at %s", next)
	}
	states(queue.Held, queue.Held, queue.Queued, queue.Queued)
	act(url.Values{"action": {"release"}, "id": ids[:1], "back": {"https://evil.test/"}})
	states(queue.Queued, queue.Held, queue.Queued, queue.Queued)

	confirm := act(url.Values{"action": {"hold"}, "scope": {"all"}, "q": {"number"}})
	states(queue.Queued, queue.Held, queue.Queued, queue.Queued)
	if page := m.page(confirm); !strings.Contains(page, "Hold 3 messages?") {
		t.Errorf("before all: %s", page)
	}
	act(url.Values{"action": {"hold"}, "scope": {"all"}, "q": {"number"}, "confirmed": {"1"}})
	states(queue.Held, queue.Held, queue.Held, queue.Held)

	confirm = act(url.Values{"action": {"delete"}, "id": ids[1:3]})
	states(queue.Held, queue.Held, queue.Held, queue.Held)
	if page := m.page(confirm); !strings.Contains(page, "Delete 2 messages?") || !strings.Contains(page, ids[1]) {
		t.Errorf("before a deletion: %s", page)
	}
	act(url.Values{"action": {"delete"}, "id": ids[1:3], "confirmed": {"1"}})
	states(queue.Held, queue.Deleted, queue.Deleted, queue.Held)
	act(url.Values{"action": {"retry"}, "id": ids})
	states(queue.Queued, queue.Deleted, queue.Deleted, queue.Queued)

	list, err := m.store.Audits(t.Context(), 100)
	if err != nil || len(list) != 5 || list[0].By != "anna (console)" || list[2].On != "--state all --text number" || list[2].Changed != 3 {
		t.Errorf("on record are %+v, %v", list, err)
	}
	for _, form := range []url.Values{{"action": {"hold"}}, {"action": {"burn"}, "id": ids}} {
		act(form) // says what is wrong
	}
}

// The page of a message says how it came, also when its content is gone.
func TestReception(t *testing.T) {
	m := newMailConsole(t)
	id := m.put(queue.Entry{Client: "192.0.2.1", Reception: queue.Reception{HELO: "pc.test", TLS: "TLS 1.3", Cipher: "TLS_AES_128_GCM_SHA256", Took: time.Second}}, "x")
	if err := m.store.Apply(t.Context(), id, queue.Delete, "anna"); err != nil {
		t.Fatal(err)
	}
	if page := m.page("/console/messages/" + id); !strings.Contains(page, "HELO pc.test, TLS 1.3") || !strings.Contains(page, "TLS_AES_128_GCM_SHA256") {
		t.Errorf("the page is\n%s", page)
	}
	if page := m.page("/console/messages/" + m.put(queue.Entry{}, "x")); strings.Contains(page, "HELO") {
		t.Error("of a message of which nothing was recorded, the page says how it came")
	}
}

func TestResend(t *testing.T) {
	m := newMailConsole(t)
	id := m.put(queue.Entry{Subject: "again"}, "Subject: again\r\n\r\ntext\r\n")
	if page := m.page("/console/messages/" + id); !strings.Contains(page, "hold it first, then send it again") || strings.Contains(page, "<textarea") {
		t.Error("a queued message may be sent again")
	}
	if err := m.store.Apply(t.Context(), id, queue.Hold, "anna"); err != nil {
		t.Fatal(err)
	}
	if page := m.page("/console/messages/" + id); !strings.Contains(page, ">anna@example.test</textarea>") {
		t.Error("a held message may not be sent again")
	}
	w := m.do(operators.Operator, http.MethodPost, "/console/messages/"+id+"/resend", url.Values{"to": {"bert@example.test\r\nc@x.test"}, "back": {"/console/messages/" + id}})
	again, ok := strings.CutPrefix(w.Header().Get("Location"), "/console/messages/")
	if !ok || again == id || m.state(id) != queue.Deleted || m.state(again) != queue.Queued {
		t.Fatalf("%d %s", w.Code, w.Header().Get("Location"))
	}
	if page := m.page("/console/messages/" + again); !strings.Contains(page, `href="/console/messages/`+id+`"`) || !strings.Contains(page, "bert@example.test<br>c@x.test") {
		t.Error("the other message does not lead to the first")
	}
	w = m.do(operators.Operator, http.MethodPost, "/console/messages/"+again+"/resend", url.Values{"to": {"nobody"}, "back": {"/console/messages/" + again}})
	if w.Header().Get("Location") != "/console/messages/"+again {
		t.Errorf("a bad address: %d %s", w.Code, w.Header().Get("Location"))
	}
}

// The page of a message that was sent proposes to send it again to those who do not have it.
func TestResendToThoseWhoMissed(t *testing.T) {
	m := newMailConsole(t)
	e := queue.Entry{Lane: queue.ParseLane("contoso/crm@contoso.test"), Envelope: queue.Envelope{From: "crm@contoso.test", To: []string{"a@x.test", "b@x.test", "c@x.test"}}}
	send := func(o queue.Outcome) string {
		id := m.put(e, "Subject: sent\r\n\r\ntext\r\n")
		tasks, _, err := m.store.Claim(t.Context(), queue.Claim{Node: "n", Max: 1, PerLane: 1})
		if err != nil || len(tasks) != 1 {
			t.Fatal(tasks, err)
		}
		o.State = queue.Sent
		if err := m.store.Finish(t.Context(), tasks[0].Ref, o); err != nil {
			t.Fatal(err)
		}
		return id
	}
	refused := queue.Progress{Document: json.RawMessage(`{"path":"draft","refused":[{"address":"b@x.test","why":"<b>no</b>"}]}`)}
	id := send(queue.Outcome{Keep: true, Progress: refused})
	if page := m.page("/console/messages/" + id); !strings.Contains(page, ">b@x.test</textarea>") || !strings.Contains(page, "<li>b@x.test</li>") {
		t.Errorf("of a message that was refused for one recipient, the page is\n%s", page)
	}
	if err := m.store.MarkReturned(t.Context(), id, queue.Bounced{Returns: []queue.Return{{Recipient: "c@x.test"}}}); err != nil {
		t.Fatal(err)
	}
	if page := m.page("/console/messages/" + id); !strings.Contains(page, ">b@x.test\nc@x.test</textarea>") {
		t.Errorf("of a message that came back from another, the page is\n%s", page)
	}
	if page := m.page("/console/messages/" + send(queue.Outcome{Keep: true})); !strings.Contains(page, "required></textarea>") {
		t.Error("a message that all have names recipients")
	}
	if page := m.page("/console/messages/" + send(queue.Outcome{})); strings.Contains(page, "<textarea") || !strings.Contains(page, "is not kept any longer; forward it from Sent Items of crm@contoso.test") {
		t.Error("a message without its content may be sent again")
	}
}

const attached = "Received: from pc ([192.0.2.1])\r\n\tby relay (graphrelay) with ESMTPS id 1\r\n\t(TLS 1.3 TLS_AES_128_GCM_SHA256); now\r\n" +
	"From: CRM <crm@contoso.test>\r\nTo: anna@example.test, other@example.test\r\nSubject: files\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
	"--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nYWJj\r\n--b--\r\n"

func attachedEntry() queue.Entry {
	return queue.Entry{Subject: "files", Envelope: queue.Envelope{From: "crm@contoso.test", To: []string{"anna@example.test", "bcc@example.test"}}, Trace: int64(strings.Index(attached, "From:"))}
}

func TestContent(t *testing.T) {
	m := newMailConsole(t)
	id := m.put(attachedEntry(), attached)
	page := m.page("/console/messages/" + id + "/content")
	for _, want := range []string{"a.pdf", "application/pdf", "3 bytes", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"<b>bcc@example.test</b>", "<b>other@example.test</b>", "TLS 1.3", "by relay"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page of the content lacks %s", want)
		}
	}
	if page := m.page("/console/messages/" + id + "/source"); !strings.Contains(page, "From: CRM &lt;crm@contoso.test&gt;\nTo:") || strings.Contains(page, "Received: from pc") {
		t.Errorf("the source is %s", page)
	}
	large := m.put(queue.Entry{Subject: "large"}, "Subject: large\r\n\r\n"+strings.Repeat("0123456789abcdef", maxSource/16))
	if page := m.page("/console/messages/" + large + "/source"); !strings.Contains(page, "This is the beginning of 262 kB") || len(page) > maxSource+10_000 {
		t.Errorf("the source of a large message has %d bytes", len(page))
	}
}

func TestExport(t *testing.T) {
	m := newMailConsole(t)
	id, other := m.put(attachedEntry(), attached), m.put(queue.Entry{Subject: "gone"}, "x")
	if err := m.store.Apply(t.Context(), other, queue.Delete, "anna"); err != nil {
		t.Fatal(err)
	}
	want := attached[strings.Index(attached, "From:"):]
	w := m.do(operators.Operator, http.MethodGet, "/console/messages/"+id+"/export", nil)
	if w.Body.String() != want || w.Header().Get("Content-Disposition") != `attachment; filename="`+id+`.eml"` {
		t.Errorf("%v %q", w.Header(), w.Body)
	}
	if w := m.do(operators.Operator, http.MethodGet, "/console/messages/"+other+"/export", nil); w.Code != http.StatusGone {
		t.Errorf("of a deleted message: %d", w.Code)
	}
	w = m.do(operators.Operator, http.MethodPost, "/console/messages/act", url.Values{"action": {"export"}, "id": {id, other, "<x>"}})
	for path, files := range map[string]int{w.Header().Get("Location"): 2, "/console/messages/export.zip?scope=all&q=files": 1} {
		w := m.do(operators.Operator, http.MethodGet, path, nil)
		z, err := zip.NewReader(bytes.NewReader(w.Body.Bytes()), int64(w.Body.Len()))
		if err != nil || len(z.File) != files || z.File[0].Name != id+".eml" {
			t.Fatalf("%s: %v, %d %s", path, err, w.Code, w.Body)
		}
		f, _ := z.File[0].Open()
		got, err := io.ReadAll(f)
		if err != nil || string(got) != want {
			t.Errorf("%q, %v", got, err)
		}
	}
}

// Viewers see what is known of a message, and neither change it nor read its content; nobody reads it
// where the configuration forbids that.
func TestRefused(t *testing.T) {
	m := newMailConsole(t)
	id := m.put(attachedEntry(), attached)
	refused := func(role operators.Role, method, path, why string) {
		t.Helper()
		form := url.Values{"action": {"hold"}, "id": {id}, "to": {"x@y.test"}}
		if w := m.do(role, method, path, form); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), why) || strings.Contains(w.Body.String(), "a.pdf") {
			t.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
	}
	content := []string{"/console/messages/" + id + "/content", "/console/messages/" + id + "/source", "/console/messages/" + id + "/export", "/console/messages/export.zip?scope=all"}
	for _, path := range content {
		refused(operators.Viewer, http.MethodGet, path, "viewer")
	}
	for _, path := range []string{"/console/messages/act", "/console/messages/" + id + "/resend"} {
		refused(operators.Viewer, http.MethodPost, path, "viewer")
	}
	for _, path := range []string{"/console/messages", "/console/messages/" + id} {
		w := m.do(operators.Viewer, http.MethodGet, path, nil)
		if w.Code != http.StatusOK || strings.Contains(w.Body.String(), `name="action"`) || strings.Contains(w.Body.String(), "/source") {
			t.Errorf("a viewer's %s: %d %s", path, w.Code, w.Body)
		}
	}
	m.shows = false
	for _, path := range content {
		refused(operators.Admin, http.MethodGet, path, "admin.show_content")
	}
	if got := m.state(id); got != queue.Queued {
		t.Errorf("it is %s", got)
	}
}

// hostileTexts are texts that would be more than text in a page that does not escape them.
var hostileTexts = []string{
	`<script>window.ran=1</script>`, `"><img src=x onerror=window.ran=1>`, `'><svg onload=window.ran=1>`, `</textarea><script>window.ran=1</script>`,
	`</title><script>window.ran=1</script>`, `javascript:window.ran=1`, `{{.View}}`, `<iframe srcdoc="<script>parent.ran=1</script>">`, `" onmouseover="window.ran=1" x="`,
	`<a href="javascript:window.ran=1">x</a>`, `<!--`, `]]>`, "\u202e<b>", "\x00<script>", `<style>*{display:none}</style>`, `<base href=//evil.test>`, `<meta http-equiv=refresh content=0;url=//evil.test>`,
	`hx-get="/x" hx-trigger="load"`, `<div hx-get=/console/ hx-trigger=load>`,
}

// hostileMessage puts a message whose texts are all hostile, and returns its ID.
func (m *mailConsole) hostileMessage(evil string) string {
	m.Helper()
	header := strings.Map(func(r rune) rune {
		if r < ' ' {
			return '?'
		}
		return r
	}, evil)
	content := "X-" + strings.ReplaceAll(header, ":", "") + ": x\r\nFrom: \"" + strings.ReplaceAll(header, `"`, `\"`) + "\" <crm@contoso.test>\r\nTo: \"" + strings.ReplaceAll(header, `"`, `\"`) +
		"\" <x@y.test>\r\nSubject: " + header + "\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n" + evil +
		"\r\n--b\r\nContent-Type: application/\"" + header + "\"\r\nContent-Disposition: attachment; filename=\"" + strings.ReplaceAll(header, `"`, `\"`) + "\"\r\n\r\nx\r\n--b--\r\n"
	id := m.put(queue.Entry{Subject: evil, MessageID: evil, User: evil, Client: evil, Listener: evil, From: evil, Lane: queue.Lane{Connection: "contoso", Mailbox: evil},
		Envelope:  queue.Envelope{From: evil, To: []string{evil, evil}},
		Reception: queue.Reception{HELO: evil, TLS: evil, Cipher: evil, Took: time.Second}}, content)
	tasks, _, err := m.store.Claim(m.Context(), queue.Claim{Node: "n", Max: 1, PerLane: 1})
	if err != nil || len(tasks) != 1 {
		m.Fatal(tasks, err)
	}
	events := []queue.Event{{What: evil, Detail: evil, RequestID: evil, Took: time.Second}, {What: "lost", Detail: evil}}
	if err := m.store.Finish(m.Context(), tasks[0].Ref, queue.Outcome{State: queue.Failed, Reason: "invalid_message", Detail: evil, Events: events}); err != nil {
		m.Fatal(err)
	}
	return id
}

// TestInert renders hostile texts in every page that shows them. Parsed again, no page has an element,
// an attribute or a link that is not its own.
func TestInert(t *testing.T) {
	m := newMailConsole(t)
	pages := map[string]map[string]int{} // by path, how many of each element and attribute there are
	for _, evil := range append([]string{"harmless"}, hostileTexts...) {
		id := m.hostileMessage(evil)
		for _, path := range []string{"/console/messages?q=" + url.QueryEscape(evil) + "&from=" + url.QueryEscape(evil), "/console/messages/" + id, "/console/messages/" + id + "/content",
			"/console/messages/" + id + "/source", "/console/messages/confirm?action=delete&id=" + url.QueryEscape(evil) + "&back=" + url.QueryEscape(evil), "/console/audit"} {
			counted := elements(t, m.page(path))
			kind := strings.ReplaceAll(strings.SplitN(path, "?", 2)[0], id, "ID")
			if evil == "harmless" {
				pages[kind] = counted
				maps.Copy(pages[kind], elements(t, m.page("/console/messages?from=nobody"))) // a list may be empty
				continue
			}
			for name := range counted {
				if pages[kind][name] == 0 {
					t.Errorf("%s: %s brings %s into the page", kind, evil, name)
				}
			}
		}
	}
}

// elements returns which elements, attributes and kinds of links a page has.
func elements(t *testing.T, page string) map[string]int {
	t.Helper()
	counted := map[string]int{}
	tokens := html.NewTokenizer(strings.NewReader(page))
	for tokens.Next() != html.ErrorToken {
		token := tokens.Token()
		if token.Type == html.CommentToken {
			counted["comment"]++
		}
		if token.Type != html.StartTagToken && token.Type != html.SelfClosingTagToken {
			continue
		}
		counted["<"+token.Data+">"]++
		for _, a := range token.Attr {
			counted[token.Data+" "+a.Key]++
			if u, err := url.Parse(a.Val); (a.Key == "href" || a.Key == "src" || a.Key == "action" || a.Key == "hx-get") && (err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(a.Val, "/") && !strings.HasPrefix(a.Val, "#")) {
				counted["a link to "+a.Val]++
			}
		}
	}
	return counted
}

// A search whose time is over goes on where it was, by itself as long as it has found nothing.
func TestSearchGoesOn(t *testing.T) {
	id := queue.NewID(time.Date(2026, 11, 29, 14, 0, 0, 0, time.UTC))
	for _, c := range []struct {
		query    string
		messages int
		further  bool
	}{{"q=x", 0, true}, {"q=x", 3, false}, {"q=x&round=99", 0, true}, {"q=x&round=100", 0, false}} {
		query, _ := url.ParseQuery(c.query)
		s, err := parseSearch(query, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Sscan(query.Get("round"), &s.Round)
		v := messagesView{search: s, Live: true}
		v.page(operations.Found{Messages: make([]operations.Message, c.messages), Looked: id}, s)
		if want := fmt.Sprintf("/console/messages?after=%s&q=x&round=%d", id, s.Round+1); v.On != want || v.Further != c.further || v.Live != (c.messages > 0) ||
			v.LookedTo.IsZero() || len(v.Messages) != c.messages {
			t.Errorf("%s with %d messages goes on at %s, by itself %v, live %v", c.query, c.messages, v.On, v.Further, v.Live)
		}
	}
}
