package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"graphrelay/graph"
)

// fileName is the name of the file that step 8 adds to the draft.
const fileName = "graphrelay-probe.bin"

// postFile adds a file of n bytes to a draft in one request.
func (p *Probe) postFile(ctx context.Context, id, name string, n int) answer {
	return p.post(ctx, "attachment", itemPath(id)+"/attachments", map[string]any{"@odata.type": "#microsoft.graph.fileAttachment",
		"name": name, "contentType": "application/octet-stream", "contentBytes": make([]byte, n)})
}

// The sizes of step 8, in bytes: of files below and above 3 MB and just below 3 MiB, and of
// requests of 4 MB and of 4 MiB.
const (
	belowMB, atMB, belowMiB = 2_999_999, 3_000_000, 3<<20 - 1
	requestMB, requestMiB   = 4_000_000, 4 << 20
)

// postFiles is step 8.
func (p *Probe) postFiles(ctx context.Context, r *Result) {
	a := p.postFile(ctx, p.draft, fileName, 1024)
	r.by(a)
	r.saw("1,024 bytes: %s", a)
	if !a.is(http.StatusCreated) {
		r.fault(p.remedy(a.err))
		return
	}
	p.posted = true
	if !p.o.Large {
		r.saw("larger ones not tried without --large")
		return
	}
	id, ok := p.ready(ctx, r, "8", nil)
	if !ok {
		return
	}
	defer p.discard(ctx, id)
	largest := 1024
	for _, n := range []int{belowMB, atMB, belowMiB} {
		a := p.postFile(ctx, id, fmt.Sprintf("%d.bin", n), n)
		r.saw("%s bytes: %s", number(n), a)
		if a.is(http.StatusCreated) {
			largest = n
			continue
		}
		r.by(a)
		if n == belowMB {
			r.differs("files near 3 MB go by upload session, after one refusal; where there are none (uploads: off), they fail as large_file")
		}
		if !sizeRefused(a) {
			r.differs(p.remedy(a.err))
		}
	}
	p.facts.set(factPostLargest, largest)
	p.postRequests(ctx, r)
}

// sizeRefused reports whether an answer may refuse the size.
func sizeRefused(a answer) bool {
	return a.is(http.StatusRequestEntityTooLarge, http.StatusBadRequest)
}

// postRequests tries how large a request may be.
func (p *Probe) postRequests(ctx context.Context, r *Result) {
	largest := 0
	for _, n := range []int{requestMB, requestMiB} {
		m := p.marked(p.subject("8-request"))
		m.Body = graph.Body{ContentType: "text"}
		m.Body.Content = strings.Repeat("x", n-len(marshal(m)))
		id, a := p.create(ctx, m, m.Subject)
		r.saw("a request of %s bytes: %s", number(n), a)
		if a.is(http.StatusCreated) {
			largest = n
			p.appears(ctx, id)
			p.discard(ctx, id)
			continue
		}
		if n == requestMB {
			r.differs("a request takes less than 4,000,000 bytes: a message with a text of that size fails as too_large; no setting changes that")
		}
	}
	p.facts.set(factRequestLargest, largest)
}

// number returns n with commas.
func number(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// session is what an upload session answers. Names differ in case between answers, which
// encoding/json accepts.
type session struct {
	URL      string   `json:"uploadUrl"`
	Expected []string `json:"nextExpectedRanges"`
}

// createSession begins an upload.
func (p *Probe) createSession(ctx context.Context, id, name string, size int64, inline bool) (session, answer) {
	file := map[string]any{"attachmentType": "file", "name": name, "size": size, "contentType": "image/png"}
	if inline {
		file["isInline"], file["contentId"] = true, p.marker
	}
	var s session
	a := p.post(ctx, "create_session", itemPath(id)+"/attachments/createUploadSession", map[string]any{"AttachmentItem": file})
	if a.err == nil && !a.decode(&s) {
		a.err = fmt.Errorf("%d, but its answer has no uploadUrl", a.Status)
	}
	if s.URL != "" {
		p.made.uploads = append(p.made.uploads, s.URL)
	}
	return s, a
}

// put sends a range of a file.
func (p *Probe) put(ctx context.Context, url string, content func() io.Reader, offset, length, total int64) answer {
	return p.do(ctx, graph.RawRequest{Op: "upload", Method: http.MethodPut, UploadURL: url, ContentType: "application/octet-stream",
		Header: http.Header{"Content-Range": {fmt.Sprintf("bytes %d-%d/%d", offset, offset+length-1, total)}}, Length: length}, content)
}

// hostOf returns the host of an upload URL, which is all of it that may be shown.
func hostOf(upload string) string {
	u, err := url.Parse(upload)
	if err != nil {
		return "an unreadable URL"
	}
	return u.Host
}

// sessionSize is the size of step 9's file.
const sessionSize = 3_200_000

// uploadFile is step 9.
func (p *Probe) uploadFile(ctx context.Context, r *Result) {
	id, ok := p.ready(ctx, r, "9", nil)
	if !ok {
		return
	}
	defer p.discard(ctx, id)
	s, a := p.createSession(ctx, id, "graphrelay-probe.png", sessionSize, true)
	p.session = a.Status
	r.by(a)
	r.saw("create: %s", a)
	p.facts.set(factSession, a.Status)
	if a.err != nil {
		p.sessionRefused(r, a)
		return
	}
	if !usesUploads(p.o.Connection) {
		r.differs("upload sessions are there, although they are off for this connection or cloud; with uploads: auto and the global cloud, files of 3 MB and more could be sent")
	}
	host := hostOf(s.URL)
	p.facts.set(factUploadHost, knownHost(host))
	r.saw("to %s", host)
	const half = sessionSize / 2
	first := p.put(ctx, s.URL, filler(half), 0, half, sessionSize)
	r.saw("the first half: %s", first)
	if p.uploadFailed(r, first, host, http.StatusOK, http.StatusAccepted) {
		return
	}
	p.nextRange(r, first, half)
	p.sessionState(ctx, r, s.URL)
	last := p.put(ctx, s.URL, filler(half), half, half, sessionSize)
	r.saw("the rest: %s", last)
	if !p.uploadFailed(r, last, host, http.StatusCreated) {
		p.made.uploads = nil
		p.readUpload(ctx, r, id)
	}
}

// sessionRefused judges a refusal of createUploadSession.
func (p *Probe) sessionRefused(r *Result, a answer) {
	switch {
	case a.Status == http.StatusForbidden && p.delegated():
		p.facts.set(factNoSharedSessions, true)
		r.differs("an owner who signed in gets no upload sessions in another one's mailbox: set uploads: off, so that files of 3 MB and more are refused at once, or use a connection with application permissions")
	case a.is(http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented):
		if !usesUploads(p.o.Connection) {
			return // as the configuration says
		}
		r.differs("there are no upload sessions here: set uploads: off for the connection, so that messages with files of 3 MB and more are refused at once")
	default:
		r.fault(p.remedy(a.err))
	}
}

// uploadFailed judges the answer to a range.
func (p *Probe) uploadFailed(r *Result, a answer, host string, want ...int) bool {
	if a.is(want...) && a.err == nil {
		return false
	}
	r.by(a)
	if a.Status == 0 {
		r.fault("files of 3 MB and more are uploaded to " + host + "; let this machine reach it, through the proxy and the firewall, or set uploads: off")
		return true
	}
	r.fault(p.remedy(a.err))
	return true
}

// nextRange judges what a session expects after the first half.
func (p *Probe) nextRange(r *Result, a answer, want int64) {
	var s session
	if !a.decode(&s) || len(s.Expected) != 1 {
		p.facts.set(factRanges, "none")
		r.saw("without one next range")
		r.differs("the relay goes on after what it has sent; " + relayCopes)
		return
	}
	from, to, open := strings.Cut(s.Expected[0], "-")
	form := "bare"
	if open && to == "" {
		form = "open"
	} else if open {
		form = "closed"
	}
	if from != fmt.Sprint(want) {
		form = "other"
		r.saw("it expects %q", s.Expected[0])
		r.differs("the relay begins a new session in such a case; set uploads: off if large files do not arrive")
	}
	p.facts.set(factRanges, form)
}

// sessionState asks a session what it expects, as Microsoft's SDKs do.
func (p *Probe) sessionState(ctx context.Context, r *Result, url string) {
	a := p.do(ctx, graph.RawRequest{Op: "upload_state", Method: http.MethodGet, UploadURL: url}, nil)
	p.facts.set(factSessionState, a.Status)
	r.saw("the state: %s", a)
}

// file is what a draft shows of an attachment.
type file struct {
	Name        string          `json:"name"`
	ContentType string          `json:"contentType"`
	Inline      bool            `json:"isInline"`
	ContentID   json.RawMessage `json:"contentId"`
}

// files returns one page of the list of a draft's files, and whether there are more.
func (p *Probe) files(ctx context.Context, id, fields string) (list []file, more bool, a answer) {
	var page struct {
		Value []file `json:"value"`
		Next  string `json:"@odata.nextLink"`
	}
	a = p.get(ctx, itemPath(id)+"/attachments", url.Values{"$select": {fields}})
	a.decode(&page)
	return page.Value, page.Next != "", a
}

// readUpload reads back what the session has made.
func (p *Probe) readUpload(ctx context.Context, r *Result, id string) {
	const fields = "id,name,contentType,isInline"
	list, _, a := p.files(ctx, id, fields+",microsoft.graph.fileAttachment/contentId")
	if a.is(http.StatusBadRequest) {
		list, _, a = p.files(ctx, id, fields)
	}
	if a.err != nil || len(list) != 1 {
		r.by(a)
		r.saw("read back: %s, %d files", a, len(list))
		r.fault(p.remedy(a.err))
		return
	}
	var lost []string
	f := list[0]
	if f.ContentType != "image/png" {
		lost = append(lost, "contentType")
	}
	if !f.Inline {
		lost = append(lost, "isInline")
	}
	if f.ContentID != nil && !bytes.Equal(f.ContentID, []byte(`"`+p.marker+`"`)) {
		lost = append(lost, "contentId")
	}
	p.facts.set(factSessionLoses, lost)
	if len(lost) == 0 {
		r.saw("all three kept")
		return
	}
	r.saw("lost: %s", strings.Join(lost, ", "))
	if slices.Contains(lost, "contentId") {
		r.advise("inline images of 3 MB and more are shown as files; queue show names them")
	}
	r.differs("large files lose " + strings.Join(lost, ", ") + "; no setting changes that")
}

// listFiles is step 10.
func (p *Probe) listFiles(ctx context.Context, r *Result) {
	id, ok := p.ready(ctx, r, "10", nil)
	if !ok {
		return
	}
	defer p.discard(ctx, id)
	const count = 12
	for n := range count {
		if a := p.postFile(ctx, id, fmt.Sprintf("%d.bin", n), 100); !a.is(http.StatusCreated) {
			r.by(a)
			r.saw("file %d: %s", n+1, a)
			r.fault(p.remedy(a.err))
			return
		}
	}
	list, more, a := p.files(ctx, id, "id,name")
	r.by(a)
	r.saw("%s, %d files", a, len(list))
	switch {
	case a.err != nil:
		r.fault(p.remedy(a.err))
	case more:
		p.facts.set(factFilesPage, len(list))
		r.differs("the list of attachments has pages, which the relay reads; nothing to set")
	case len(list) != count:
		r.differs("the list of attachments is not complete, and the relay counts files in it; send the output of --json to the project")
	}
}
