package graph

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

const opCreateSession = "create_session"

// RangeBytes is the size of an uploaded range. It is below 4 MB
// (outlook-large-attachments), and a multiple of 320 KiB, which OneDrive requires and mail
// is not documented to.
const RangeBytes = 11 * 320 << 10

// uploadSession is the answer to createUploadSession and to a range. Graph writes its names
// with a capital in some answers, which encoding/json accepts.
type uploadSession struct {
	UploadURL string   `json:"uploadUrl"`
	Expected  []string `json:"nextExpectedRanges"`
}

// next returns the first byte that the session expects: ranges have the form "n", "n-" or
// "n-m", and the lowest of several counts. ok is false if it expects nothing more.
func (s uploadSession) next() (n int64, ok bool, err error) {
	for _, r := range s.Expected {
		from, _, _ := strings.Cut(r, "-")
		first, err := strconv.ParseInt(strings.TrimSpace(from), 10, 64)
		if err != nil || first < 0 {
			return 0, false, fmt.Errorf("unreadable nextExpectedRanges %q", clip(r))
		}
		if !ok || first < n {
			n, ok = first, true
		}
	}
	return n, ok, nil
}

// CreateUploadSession begins the upload of a file of 3 MB or more and returns its URL
// (attachment-createuploadsession). The URL has a token in it and is a secret.
func (m Mailbox) CreateUploadSession(ctx context.Context, draft string, a Attachment) (string, Reply, error) {
	r := &request{op: opCreateSession, method: http.MethodPost,
		path:    "/messages/" + url.PathEscape(draft) + "/attachments/createUploadSession",
		success: []int{http.StatusOK, http.StatusCreated, http.StatusAccepted}}
	err := r.json(map[string]any{"AttachmentItem": attachmentItem{Type: "file", Name: a.Name, Size: a.Size,
		ContentType: a.ContentType, IsInline: a.Inline, ContentID: a.ContentID}})
	if err != nil {
		return "", Reply{}, err
	}
	var s uploadSession
	reply, err := m.call(ctx, r, &s)
	if err != nil {
		return "", reply, uploadError(err)
	}
	if err := m.client.checkUploadURL(s.UploadURL); err != nil {
		return "", reply, &Error{Op: r.op, Status: reply.Status, RequestID: reply.RequestID,
			Class: ClassTemporary, Reason: ReasonUnavailable, err: err}
	}
	return s.UploadURL, reply, nil
}

// uploadError adapts an error of createUploadSession. If Graph refuses the request itself, for
// nothing that is known of the file, the draft or the mailbox, it may have no upload sessions
// here: some clouds lack the action, and an owner gets 403 in another one's mailbox
// (known-issues). That concerns messages with large files only.
func uploadError(err error) error {
	var e *Error
	if errors.As(err, &e) && ActionRefused(e) && !TooSmallForSession(e) && e.Code != codeItemNotFound {
		e.Class, e.Reason, e.Unexplained = ClassMessage, ReasonLargeFile, true
	}
	return err
}

// checkUploadURL returns an error unless the URL is absolute and uses TLS, or the scheme
// that is configured for Graph.
func (c *Client) checkUploadURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return errors.New("the answer has no valid uploadUrl")
	}
	if u.Scheme != "https" && !strings.HasPrefix(c.cfg.GraphURL, u.Scheme+"://") {
		return fmt.Errorf("the uploadUrl has the unexpected scheme %q", clip(u.Scheme))
	}
	return nil
}

// UploadRange is a part of a file, to be sent to an upload session.
type UploadRange struct {
	Content io.Reader // starts at Offset in the file
	Offset  int64
	Length  int64
	Total   int64 // bytes of the whole file
}

func (r UploadRange) end() int64 { return r.Offset + r.Length }

func (r UploadRange) contentRange() string {
	return fmt.Sprintf("bytes %d-%d/%d", r.Offset, r.end()-1, r.Total)
}

// UploadProgress is how far an upload session has come.
type UploadProgress struct {
	Next int64 // the next byte that the session expects
	Done bool  // the attachment is on the draft
}

// PutRange sends a part of a file to an upload session, and returns how far the session
// has come (outlook-large-attachments).
func (m Mailbox) PutRange(ctx context.Context, uploadURL string, r UploadRange) (UploadProgress, Reply, error) {
	var s uploadSession
	reply, err := m.callUploadURL(ctx, uploadURL, &request{op: "upload", method: http.MethodPut,
		header: http.Header{"Content-Type": {"application/octet-stream"}, "Content-Range": {r.contentRange()}},
		body:   func() io.Reader { return io.LimitReader(r.Content, r.Length) }, length: r.Length,
		success: []int{http.StatusOK, http.StatusCreated, http.StatusAccepted}}, &s)
	last := r.end() == r.Total
	if reply.Status == http.StatusCreated && last { // the upload is complete, whatever the body says
		return UploadProgress{r.Total, true}, reply, nil
	}
	if err != nil {
		return UploadProgress{}, reply, err
	}
	next, more, err := s.next()
	if err != nil {
		return UploadProgress{}, reply, unreadable("upload", reply, err)
	}
	if !more {
		return UploadProgress{r.end(), last}, reply, nil
	}
	return UploadProgress{next, false}, reply, nil
}

// UploadState returns the byte that an upload session expects next. Microsoft documents no
// such request for mail, but its SDKs make it. An error does not mean that the session has
// ended.
func (m Mailbox) UploadState(ctx context.Context, uploadURL string) (next int64, reply Reply, err error) {
	var s uploadSession
	reply, err = m.callUploadURL(ctx, uploadURL, &request{op: "upload_state", method: http.MethodGet,
		header: http.Header{"Accept": {"application/json"}}, success: []int{http.StatusOK}}, &s)
	if err != nil {
		return 0, reply, err
	}
	next, more, err := s.next()
	if err == nil && !more {
		err = errors.New("it expects no range")
	}
	if err != nil {
		err = unreadable("upload_state", reply, err)
	}
	return next, reply, err
}

// callUploadURL makes a request to an upload URL and decodes the answer into out. The
// URL carries its own token: Graph refuses the request if it has an Authorization header.
func (m Mailbox) callUploadURL(ctx context.Context, uploadURL string, r *request, out *uploadSession) (Reply, error) {
	c := m.client
	release, err := c.gate.acquire(ctx, r.op, m.key, r.cost())
	if err != nil {
		return Reply{}, err
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout) // not of the wait for a slot
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.method, uploadURL, r.reader())
	if err != nil {
		return Reply{}, &Error{Op: r.op, Class: ClassTemporary, Reason: ReasonUnavailable, err: scrub(err)}
	}
	req.Header, req.ContentLength = r.header, r.length
	reply, err := c.roundTrip(req, r.op, r.success, out)
	return reply, sessionError(err)
}

// sessionError adapts an error of a request to an upload URL. A refusal for anything but
// the file's size concerns the session, such as its end or a wrong range, and another one
// can be created. The message is cut before a URL, which could repeat the token.
func sessionError(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	if before, _, found := strings.Cut(e.Message, "://"); found {
		e.Message = before + "://..."
	}
	if e.Class == ClassConnection && e.Status == 0 { // other sessions may have another host
		e.Class = ClassTemporary
	}
	if e.Status >= 400 && e.Status < 500 && e.Reason != ReasonThrottled && e.Reason != ReasonTooLarge {
		e.Class, e.Reason = ClassTemporary, ReasonSession
	}
	return err
}
