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
func (c *Client) CreateUploadSession(ctx context.Context, mailbox, draft string, a Attachment) (string, Reply, error) {
	r := &request{op: "create_session", method: http.MethodPost, mailbox: mailbox,
		path:    "/messages/" + url.PathEscape(draft) + "/attachments/createUploadSession",
		success: []int{http.StatusOK, http.StatusCreated, http.StatusAccepted}}
	err := r.json(map[string]any{"AttachmentItem": attachmentItem{Type: "file", Name: a.Name, Size: a.Size,
		ContentType: a.ContentType, IsInline: a.Inline, ContentID: a.ContentID}})
	if err != nil {
		return "", Reply{}, err
	}
	var s uploadSession
	reply, err := c.call(ctx, r, &s)
	if err != nil {
		return "", reply, err
	}
	if err := c.checkUploadURL(s.UploadURL); err != nil {
		return "", reply, &Error{Op: r.op, Status: reply.Status, RequestID: reply.RequestID,
			Class: ClassPassing, Reason: ReasonUnavailable, err: err}
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

// PutRange sends bytes offset to offset+n of total, read from content, and
// returns the next byte that the session expects; done says that the attachment
// is there (outlook-large-attachments).
func (c *Client) PutRange(ctx context.Context, mailbox, uploadURL string, content io.Reader, offset, n, total int64) (next int64, done bool, reply Reply, err error) {
	header := http.Header{
		"Content-Type":  {"application/octet-stream"},
		"Content-Range": {fmt.Sprintf("bytes %d-%d/%d", offset, offset+n-1, total)},
	}
	var s uploadSession
	reply, err = c.upload(ctx, mailbox, "upload", http.MethodPut, uploadURL, header, io.LimitReader(content, n), n,
		[]int{http.StatusOK, http.StatusCreated, http.StatusAccepted}, &s)
	if reply.Status == http.StatusCreated && offset+n == total { // the file is there, whatever the answer holds
		return total, true, reply, nil
	}
	if err != nil {
		return 0, false, reply, err
	}
	next, more, err := s.next()
	if err != nil {
		return 0, false, reply, unreadable("upload", reply, err)
	}
	if !more {
		return offset + n, offset+n == total, reply, nil
	}
	return next, false, reply, nil
}

// UploadState asks a session which byte it expects next. Graph documents no such
// call for mail, though Microsoft's own SDKs make it: an error means that nothing
// is known, not that the session is gone.
func (c *Client) UploadState(ctx context.Context, mailbox, uploadURL string) (next int64, reply Reply, err error) {
	var s uploadSession
	reply, err = c.upload(ctx, mailbox, "upload_state", http.MethodGet, uploadURL, http.Header{"Accept": {"application/json"}},
		http.NoBody, 0, []int{http.StatusOK}, &s)
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

// upload makes a request to an upload URL, which carries its own token: with an
// Authorization header it is refused.
func (c *Client) upload(ctx context.Context, mailbox, op, method, target string, h http.Header, body io.Reader, length int64, success []int, out *uploadSession) (Reply, error) {
	release, err := c.gate.enter(ctx, op, mailbox, cost{upload: length})
	if err != nil {
		return Reply{}, err
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout) // of the request, not of the wait for its turn
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return Reply{}, &Error{Op: op, Class: ClassPassing, Reason: ReasonUnavailable, err: scrub(err)}
	}
	req.Header, req.ContentLength = h, length
	var answer any // none is wanted unless out is
	if out != nil {
		answer = out
	}
	reply, err := c.roundTrip(req, op, success, answer)
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
		e.Class = ClassPassing
	}
	if e.Status >= 400 && e.Status < 500 && e.Reason != ReasonThrottled && e.Reason != ReasonTooLarge {
		e.Class, e.Reason = ClassPassing, ReasonSession
	}
	return err
}
