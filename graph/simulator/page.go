package simulator

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

//go:embed page.html
var pageSource string

// How many messages of a folder, and how many calls, the page shows.
const (
	pageMessages = 200
	pageCalls    = 50
)

// pagePolicy allows the page its style and images from the simulator, and nothing else. The
// frame with a message's body inherits it, so that a message can neither run scripts nor
// load anything.
const pagePolicy = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; frame-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

type pageData struct {
	Title   string
	Mailbox string
	Boxes   []pageBox
	Folders []pageFolder
	Message *Message
	Calls   []Call
}

type pageBox struct {
	Address string
	Drafts  int
	Sent    int
}

type pageFolder struct {
	Name     string
	Total    int
	Messages []Message
}

func pageTemplate() *template.Template {
	return template.Must(template.New("page").Funcs(template.FuncMap{
		"clock":  func(t time.Time) string { return t.Format("2006-01-02 15:04:05") },
		"inline": inlineImages,
	}).Parse(pageSource))
}

// servePage serves the page: of all mailboxes, of one mailbox, or of one message.
func (s *Simulator) servePage(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.Error(w, "GET only", http.StatusMethodNotAllowed)
		return
	}
	data, ok := s.pageData(r.URL.Query())
	if !ok {
		http.NotFound(w, r)
		return
	}
	var page bytes.Buffer
	if err := s.page.Execute(&page, data); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", pagePolicy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	w.Write(page.Bytes())
}

func (s *Simulator) pageData(query url.Values) (pageData, bool) {
	mailbox := strings.ToLower(query.Get("mailbox"))
	data := pageData{Title: "Microsoft Graph simulator", Mailbox: mailbox}
	if id := query.Get("id"); id != "" {
		message, ok := s.message(mailbox, id)
		data.Message = &message
		data.Title = message.Subject
		return data, ok
	}
	data.Calls = s.lastCalls(mailbox)
	if mailbox == "" {
		data.Boxes = s.boxes()
		return data, true
	}
	messages := s.Messages(mailbox)
	slices.Reverse(messages)
	for _, name := range []string{SentItems, Drafts, Inbox, DeletedItems, RecoverableItems, Purges} {
		inFolder := slices.DeleteFunc(slices.Clone(messages), func(m Message) bool { return m.Folder != name })
		if len(inFolder) > 0 || name == SentItems || name == Drafts {
			data.Folders = append(data.Folders, pageFolder{name, len(inFolder), inFolder[:min(len(inFolder), pageMessages)]})
		}
	}
	return data, true
}

func (s *Simulator) message(mailbox, id string) (Message, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	box, ok := s.mailboxes[mailbox]
	if !ok {
		return Message{}, false
	}
	i, ok := box.byImmutable[id]
	if !ok {
		return Message{}, false
	}
	return i.clone(), true
}

// lastCalls returns the last calls to a mailbox, or to all of them, newest first.
func (s *Simulator) lastCalls(mailbox string) []Call {
	calls := s.Journal()
	slices.Reverse(calls)
	if mailbox != "" {
		calls = slices.DeleteFunc(calls, func(c Call) bool { return c.Mailbox != mailbox })
	}
	return calls[:min(len(calls), pageCalls)]
}

func (s *Simulator) boxes() []pageBox {
	s.mu.Lock()
	defer s.mu.Unlock()
	var boxes []pageBox
	for address, box := range s.mailboxes {
		shown := pageBox{Address: address}
		for _, i := range box.byImmutable {
			switch i.Folder {
			case Drafts:
				shown.Drafts++
			case SentItems:
				shown.Sent++
			}
		}
		boxes = append(boxes, shown)
	}
	slices.SortFunc(boxes, func(a, b pageBox) int { return strings.Compare(a.Address, b.Address) })
	return boxes
}

var cidURL = regexp.MustCompile(`(?i)cid:[^"'\s<>()]+`)

// inlineImages returns the HTML body with the path of the attachment in place of each cid:
// URL.
func inlineImages(m *Message) string {
	return cidURL.ReplaceAllStringFunc(m.Body.Content, func(found string) string {
		contentID, err := url.PathUnescape(found[len("cid:"):])
		if err != nil {
			return found
		}
		for _, a := range m.Attachments {
			if a.Kept && strings.Trim(a.ContentID, "<>") == contentID {
				return "/_simulator/attachments/" + url.PathEscape(a.ID) + "?inline"
			}
		}
		return found
	})
}
