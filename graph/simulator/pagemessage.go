package simulator

import (
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// shownSource is how many bytes of a message's source its page shows.
const shownSource = 128 << 10

// messageView is the page of one message.
type messageView struct {
	Message
	In         string // the address whose message it is; "" is that of the sender, in the list of all
	Back       string
	BackName   string
	FolderName string
	When       string // what Time is the time of
	Time       time.Time
	InFlight   bool
	Copies     []string // who has a copy
	CanDelete  bool

	Views      []viewTab
	View       string
	Frame      string // path of the document with the HTML
	Text       string
	TextMade   bool // of HTML
	Fields     []Header
	Source     string
	SourceCut  bool
	SourcePath string
	Calls      []Call
}

type viewTab struct {
	Name, Path string
	Current    bool
}

// shown is a message as one address has it, with its source.
type shown struct {
	Message
	at     time.Time
	copies []string
	source source
}

// find returns the message that the query of a page's URL names: "in" is the address and
// "folder" the folder in which it is, "id" its immutable id.
func (p *pages) find(q url.Values) (shown, bool) {
	in, id := strings.ToLower(q.Get("in")), q.Get("id")
	p.mu.Lock()
	defer p.mu.Unlock()
	if in == "" || q.Get("folder") == Inbox {
		for _, a := range p.arrived(in) {
			if a.item.ID != id {
				continue
			}
			if in == "" {
				return shown{a.item.Message, a.item.sentOrCreated(), slices.Clone(a.to), p.storedSource(a.item)}, true
			}
			return shown{Message: a.asReceived(in), at: a.at, source: p.sentSource(a.item)}, true
		}
	}
	box, ok := p.mailboxes[in]
	if !ok {
		return shown{}, false
	}
	i, ok := box.byImmutable[id]
	if !ok {
		return shown{}, false
	}
	return shown{Message: i.Message, at: i.sentOrCreated(), source: p.storedSource(i)}, true
}

// message serves the page of a message.
func (p *pages) message(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	m, ok := p.find(q)
	if !ok {
		http.Error(w, "There is no such message, or it was deleted.", http.StatusNotFound)
		return
	}
	v := messageView{
		Message: m.Message, In: strings.ToLower(q.Get("in")), FolderName: m.Folder, Time: m.at, InFlight: m.inFlight(), Copies: m.copies,
		When: "Created", CanDelete: onLoopback(r), Frame: "/body?" + q.Encode(), SourcePath: "/source?" + q.Encode(),
	}
	v.Back, v.BackName = listPath(v.In, q.Get("folder")), "All mail"
	if v.In != "" {
		v.BackName = v.In
	}
	switch {
	case m.Folder == Inbox || m.Folder == JunkEmail:
		v.When = "Received"
	case m.Submitted:
		v.When = "Sent"
	}
	v.chooseView(q)
	switch v.View {
	case "Text":
		v.Text, v.TextMade = m.Body.Content, m.Body.ContentType == "html"
		if v.TextMade {
			v.Text = htmlText(m.Body.Content)
		}
	case "Headers":
		v.Fields = decodedFields(m.source.fields)
	case "Source":
		text, whole := m.source.writeUpTo(shownSource)
		v.Source, v.SourceCut = strings.ToValidUTF8(string(text), "\uFFFD"), !whole
	case "Requests":
		v.Calls = p.lastCalls(func(c *Call) bool { return c.MessageID == m.ID })
		slices.Reverse(v.Calls) // as they were made
	}
	title := m.Subject
	if title == "" {
		title = "(no subject)"
	}
	p.show(w, r, "message", frame{Title: title, AtMail: true, View: v})
}

// chooseView lists the views of the message, and chooses the one of the URL, or the first.
func (v *messageView) chooseView(q url.Values) {
	names := []string{"Text", "Headers", "Source"}
	if v.Body.ContentType == "html" {
		names = append([]string{"HTML"}, names...)
	}
	if v.In == "" || v.Folder != Inbox { // recipients made no requests
		names = append(names, "Requests")
	}
	v.View = names[0]
	if wanted := q.Get("view"); slices.Contains(names, wanted) {
		v.View = wanted
	}
	for _, name := range names {
		to := url.Values{}
		for _, key := range []string{"in", "folder", "id"} {
			to.Set(key, q.Get(key))
		}
		to.Set("view", name)
		v.Views = append(v.Views, viewTab{name, "/message?" + to.Encode(), name == v.View})
	}
}

// decodedFields returns the fields of a header as people read them.
func decodedFields(fields []string) (list []Header) {
	decoder := new(mime.WordDecoder)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ":")
		value = strings.TrimSpace(strings.NewReplacer("\r\n", "").Replace(value))
		if decoded, err := decoder.DecodeHeader(value); err == nil {
			value = decoded
		}
		list = append(list, Header{Name: name, Value: value})
	}
	return list
}

// body serves the document with the HTML of a message.
func (p *pages) body(w http.ResponseWriter, r *http.Request) {
	m, ok := p.find(r.URL.Query())
	if !ok || m.Body.ContentType != "html" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Security-Policy", framePolicy)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte(htmlDocument(&m.Message)))
}

// source serves the source of a message as a file.
func (p *pages) source(w http.ResponseWriter, r *http.Request) {
	m, ok := p.find(r.URL.Query())
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "message/rfc822")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; sandbox")
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": emlName(m.Subject)}))
	_ = m.source.writeTo(w)
}
