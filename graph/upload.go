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

// RangeBytes is the size of one uploaded range: below 4 MB, and a multiple of
// 320 KiB, which mail does not ask for but OneDrive's code behind it may.
const RangeBytes = 11 * 320 << 10

// uploadSession is the answer of createUploadSession and of a range. Its names
// are compared without regard to case (encoding/json does): the documented
// answers to a range say ExpirationDateTime.
type uploadSession struct {
	UploadURL string   `json:"uploadUrl"`
	Expected  []string `json:"nextExpectedRanges"`
}

// next reads the first expected byte from "n", "n-" or "n-m", of several ranges the
// lowest; ok is false when the session expects nothing more.
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

// CreateUploadSession starts the upload of a file of 3 MB or more
// (attachment-createuploadsession). The URL carries a token: it is a secret.
func (m Mailbox) CreateUploadSession(ctx context.Context, draft string, a Attachment) (string, Reply, error) {
	r := &request{op: "create_session", method: http.MethodPost,
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
		return "", reply, err
	}
	if err := m.client.checkUploadURL(s.UploadURL); err != nil {
		return "", reply, &Error{Op: r.op, Status: reply.Status, RequestID: reply.RequestID,
			Class: ClassTemporary, Reason: ReasonUnavailable, err: err}
	}
	return s.UploadURL, reply, nil
}

// checkUploadURL: content goes only where TLS protects it, or where Graph itself
// is configured without.
func (c *Client) checkUploadURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return errors.New("the answer names no usable uploadUrl")
	}
	if u.Scheme != "https" && !strings.HasPrefix(c.cfg.GraphURL, u.Scheme+"://") {
		return fmt.Errorf("the uploadUrl has the scheme %q", clip(u.Scheme))
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

// PutRange sends a part of a file to an upload session (outlook-large-attachments).
func (m Mailbox) PutRange(ctx context.Context, uploadURL string, r UploadRange) (UploadProgress, Reply, error) {
	var s uploadSession
	reply, err := m.callUploadURL(ctx, uploadURL, &request{op: "upload", method: http.MethodPut,
		header: http.Header{"Content-Type": {"application/octet-stream"}, "Content-Range": {r.contentRange()}},
		body:   func() io.Reader { return io.LimitReader(r.Content, r.Length) }, length: r.Length,
		success: []int{http.StatusOK, http.StatusCreated, http.StatusAccepted}}, &s)
	last := r.end() == r.Total
	if reply.Status == http.StatusCreated && last { // the file is there, whatever the answer holds
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

// UploadState asks a session which byte it expects next. Graph documents no such
// call for mail, though Microsoft's own SDKs make it: an error means that nothing
// is known, not that the session is gone.
func (m Mailbox) UploadState(ctx context.Context, uploadURL string) (next int64, reply Reply, err error) {
	var s uploadSession
	reply, err = m.callUploadURL(ctx, uploadURL, &request{op: "upload_state", method: http.MethodGet,
		header: http.Header{"Accept": {"application/json"}}, success: []int{http.StatusOK}}, &s)
	if err != nil {
		return 0, reply, err
	}
	next, more, err := s.next()
	if err == nil && !more {
		err = errors.New("it expects nothing")
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
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout) // of the request, not of the wait for its turn
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.method, uploadURL, r.reader())
	if err != nil {
		return Reply{}, &Error{Op: r.op, Class: ClassTemporary, Reason: ReasonUnavailable, err: scrub(err)}
	}
	req.Header, req.ContentLength = r.header, r.length
	reply, err := c.roundTrip(req, r.op, r.success, out)
	return reply, sessionError(err)
}

// sessionError: what an upload URL refuses, other than the file's size, is the
// session's fault (its end, a wrong range): another one can be made. Its text is
// kept up to a URL that it repeats: the token is in there.
func sessionError(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	if before, _, found := strings.Cut(e.Message, "://"); found {
		e.Message = before + "://..."
	}
	if e.Class == ClassConnection && e.Status == 0 { // the address is the session's
		e.Class = ClassTemporary
	}
	if e.Status >= 400 && e.Status < 500 && e.Reason != ReasonThrottled && e.Reason != ReasonTooLarge {
		e.Class, e.Reason = ClassTemporary, ReasonSession
	}
	return err
}
