package simulator

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// uploadSession is the upload of a large file: "Attach large files to Outlook messages".
type uploadSession struct {
	id      string
	secret  string // authtoken of its URL
	app     string
	mailbox string
	item    *item
	file    attachmentInput
	size    int64
	expires time.Time
	kept    bool // whether the content is kept
	holding bool // whether bytes of the content store are reserved; guarded by the simulator's mutex

	mu       sync.Mutex // held by a PUT
	received int64
	sum      hash.Hash
	content  bytes.Buffer // empty unless kept
	answers  int          // number of answers, for RangeAlternate
}

type sessionInput struct {
	AttachmentItem struct {
		Type        string  `json:"attachmentType"`
		Name        *string `json:"name"`
		Size        *int64  `json:"size"`
		ContentType string  `json:"contentType"`
		IsInline    bool    `json:"isInline"`
		ContentID   string  `json:"contentId"`
	}
}

// createSession serves "attachment: createUploadSession".
func (c *call) createSession() (response, error) {
	if err := c.checkSessions(); err != nil {
		return response{}, err
	}
	var input sessionInput
	if _, err := c.readJSON(c.sim.options.Limits.Request, "createSession", &input); err != nil {
		return response{}, err
	}
	session, err := c.sim.newSession(input)
	if err != nil {
		return response{}, err
	}
	session.app, session.mailbox = c.app, c.mailbox
	err = c.withDraft(func(i *item) error {
		session.item = i
		c.sim.expireSessions()
		session.kept = c.sim.content.reserveFile(session.size)
		session.holding = session.kept
		c.sim.sessions[session.id] = session
		return nil
	})
	if err != nil {
		return response{}, err
	}
	return jsonResponse(http.StatusCreated, map[string]any{
		"@odata.context":     "https://graph.microsoft.com/v1.0/$metadata#microsoft.graph.uploadSession",
		"uploadUrl":          c.uploadURL(session),
		"expirationDateTime": session.expires.UTC().Format(time.RFC3339Nano),
		"nextExpectedRanges": []string{"0-"},
	}), nil
}

// newSession returns a session for the file, if it can be uploaded.
func (s *Simulator) newSession(input sessionInput) (*uploadSession, error) {
	file := input.AttachmentItem
	limits := s.options.Limits
	switch {
	case strings.EqualFold(file.Type, "item") || strings.EqualFold(file.Type, "reference"):
		return nil, refuse(http.StatusMethodNotAllowed, "ErrorAttachmentSessionIsSupportedOnlyForFileAttachments",
			"Unsupported Attachment type specified. Only File attachments can be uploaded using an Upload Session.")
	case !strings.EqualFold(file.Type, "file"):
		return nil, badRequest("RequestBodyRead", "Requested value '%s' was not found for 'attachmentType'.", file.Type)
	case file.Name == nil || *file.Name == "" || file.Size == nil:
		return nil, badRequest("ErrorInvalidArgument", "Required properties 'name' and 'size' of the attachment item are missing or empty.")
	case *file.Size < limits.SessionMin:
		return nil, badRequest("ErrorAttachmentSizeShouldNotBeLessThanMinimumSize",
			"Attachment size must be greater than the minimum size of %d bytes.", limits.SessionMin)
	case *file.Size > limits.SessionMax:
		return nil, badRequest("ErrorAttachmentSizeLimitExceeded", "Attachment size must not exceed %d bytes.", limits.SessionMax)
	}
	session := &uploadSession{
		id: newGUID(), secret: newID("eyJ"), size: *file.Size, sum: sha256.New(), expires: time.Now().Add(s.options.SessionLife),
		file: attachmentInput{Name: *file.Name, ContentType: file.ContentType, IsInline: file.IsInline, ContentID: file.ContentID},
	}
	if s.world().SessionsLoseFields {
		session.file = attachmentInput{Name: *file.Name}
	}
	setDefault(&session.file.ContentType, "application/octet-stream")
	return session, nil
}

// uploadURL returns the session's URL, in the form of Exchange's, with a token of its own.
func (c *call) uploadURL(session *uploadSession) string {
	return fmt.Sprintf("%s://%s/api/v2.0/users('%s@%s')/messages('%s')/AttachmentSessions('%s')?authtoken=%s",
		c.scheme(), c.r.Host, objectID(c.mailbox), "simulated", session.item.ID, session.id, url.QueryEscape(session.secret))
}

// expireSessions closes the expired sessions. The caller holds s.mu.
func (s *Simulator) expireSessions() {
	for _, old := range s.sessions {
		if time.Now().After(old.expires) {
			s.closeSession(old)
		}
	}
}

// closeSession removes a session and its reservation in the content store. The caller holds
// s.mu.
func (s *Simulator) closeSession(old *uploadSession) {
	if old.holding {
		s.content.release(old.size)
		old.holding = false
	}
	delete(s.sessions, old.id)
}

// uploadRoutes serves the requests to upload URLs.
func (s *Simulator) uploadRoutes() http.Handler {
	mux := http.NewServeMux()
	const pattern = " /api/v2.0/{user}/{message}/{session}"
	handle := func(method string, op Operation, run func(*call, *uploadSession) (response, error)) {
		mux.HandleFunc(method+pattern, func(w http.ResponseWriter, r *http.Request) { s.serveUpload(w, r, op, run) })
	}
	handle("PUT", OpUpload, (*call).putRange)
	handle("GET", OpGetUpload, (*call).getUpload)
	handle("DELETE", OpCancelUpload, (*call).cancelUpload)
	return mux
}

func (s *Simulator) serveUpload(w http.ResponseWriter, r *http.Request, op Operation, run func(*call, *uploadSession) (response, error)) {
	c := s.newCall(r, op)
	var session *uploadSession
	admit := func(c *call) (func(), error) {
		var err error
		if session, err = c.findSession(); err != nil {
			return func() {}, err
		}
		c.app, c.mailbox, c.itemID = session.app, session.mailbox, session.item.ID
		return c.acquireSlot()
	}
	s.serve(w, c, admit, func(c *call) (response, error) { return run(c, session) })
}

// findSession returns the session of an upload URL. The token in the URL is the only
// authorization.
func (c *call) findSession() (*uploadSession, error) {
	if c.r.Header.Get("Authorization") != "" {
		return nil, refuse(http.StatusUnauthorized, "InvalidAudienceForResource", "The audience claim value is invalid for current resource.") // [reported]
	}
	id := strings.TrimSuffix(strings.TrimPrefix(c.r.PathValue("session"), "AttachmentSessions('"), "')")
	s := c.sim
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireSessions()
	session, ok := s.sessions[id]
	if !ok {
		return nil, refuse(http.StatusNotFound, "uploadSessionNotFound", "The upload session was not found.")
	}
	if c.r.URL.Query().Get("authtoken") != session.secret {
		return nil, unauthorized("The token of the upload URL is invalid.")
	}
	return session, nil
}

// putRange receives the next part of the file. Which codes Exchange uses for wrong ranges is
// not known; these are those of "Microsoft Graph error responses" for files.
func (c *call) putRange(session *uploadSession) (response, error) {
	part, err := c.checkRange(session)
	if err != nil {
		return response{}, err
	}
	if !session.mu.TryLock() {
		return response{}, refuse(http.StatusConflict, "conflict", "Another range of this session is being uploaded.")
	}
	defer session.mu.Unlock()
	switch {
	case part.first < session.received:
		return response{}, refuse(http.StatusRequestedRangeNotSatisfiable, "fragmentOverlap", "The range was received before; %d is expected next.", session.received)
	case part.first > session.received:
		return response{}, refuse(http.StatusRequestedRangeNotSatisfiable, "fragmentOutOfOrder", "The range is out of order; %d is expected next.", session.received)
	}
	if err := c.sim.checkRangeGrowth(session, part.length()); err != nil {
		return response{}, err
	}
	if err := session.receive(c.r.Body, part.length()); err != nil {
		return response{}, badRequest("BadRequest", "The range ended early: %v", err)
	}
	if session.received < session.size {
		next := session.expected(c.sim.options.Ranges)
		session.answers++
		return jsonResponse(http.StatusOK, map[string]any{
			"@odata.context":     "https://outlook.office.com/api/v2.0/$metadata#Users('simulated')/Messages('simulated')/AttachmentSessions/$entity",
			"ExpirationDateTime": session.expires.UTC().Format(time.RFC3339Nano),
			"nextExpectedRanges": []string{next},
		}), nil
	}
	return c.finish(session)
}

// checkRange checks the headers of a PUT.
func (c *call) checkRange(session *uploadSession) (contentRange, error) {
	part, ok := parseContentRange(c.r.Header.Get("Content-Range"))
	switch {
	case !ok || part.total != session.size:
		return part, refuse(http.StatusRequestedRangeNotSatisfiable, "invalidRange", "The Content-Range '%s' does not fit a file of %d bytes.", c.r.Header.Get("Content-Range"), session.size)
	case part.length() >= c.sim.options.Limits.Range:
		return part, tooLarge()
	case c.r.ContentLength != part.length():
		return part, badRequest("invalidRange", "Content-Length %d is not the length of the Content-Range '%s'.", c.r.ContentLength, c.r.Header.Get("Content-Range"))
	case c.mediaType() != "application/octet-stream":
		return part, badRequest("BadRequest", "The Content-Type of a range must be application/octet-stream.")
	}
	return part, nil
}

// receive adds length bytes to the file, all of them or none. The caller holds u.mu.
func (u *uploadSession) receive(body io.Reader, length int64) error {
	cloner, ok := u.sum.(hash.Cloner)
	if !ok {
		return fmt.Errorf("hash %T cannot be cloned", u.sum)
	}
	sum, err := cloner.Clone()
	if err != nil {
		return err
	}
	held := u.content.Len()
	into := io.Writer(sum)
	if u.kept {
		u.content.Grow(int(u.size) - held) // allocate once, for the whole file
		into = io.MultiWriter(sum, &u.content)
	}
	if _, err := io.CopyN(into, body, length); err != nil {
		u.content.Truncate(held)
		return err
	}
	u.sum = sum
	u.received += length
	return nil
}

// expected returns the next range, in this form.
func (u *uploadSession) expected(form RangeForm) string {
	if form == RangeAlternate {
		form = RangeForm(u.answers % int(RangeAlternate))
	}
	switch form {
	case RangeOpen:
		return fmt.Sprintf("%d-", u.received)
	case RangeClosed:
		return fmt.Sprintf("%d-%d", u.received, u.size-1)
	}
	return fmt.Sprint(u.received)
}

// finish adds the file to its draft.
func (c *call) finish(session *uploadSession) (response, error) {
	s := c.sim
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[session.id] != session {
		return response{}, refuse(http.StatusNotFound, "uploadSessionNotFound", "The upload session was not found.")
	}
	s.closeSession(session)
	if session.item.deleted || session.item.Submitted {
		return response{}, itemNotFound()
	}
	attachment := Attachment{
		ID: newID(attachmentPrefix), Name: session.file.Name, ContentType: session.file.ContentType,
		ContentID: session.file.ContentID, IsInline: session.file.IsInline, BySession: true,
		Size: session.size, SHA256: hex.EncodeToString(session.sum.Sum(nil)), Modified: time.Now(),
	}
	attachment.Kept = session.kept && s.content.put(attachment.ID, session.content.Bytes())
	session.item.Attachments = append(session.item.Attachments, attachment)
	session.item.markModified()
	location := fmt.Sprintf("https://outlook.office.com/api/v2.0/Users('%s@simulated')/Messages('%s')/Attachments('%s')",
		objectID(c.mailbox), session.item.ID, attachment.ID)
	return response{status: http.StatusCreated, header: http.Header{"Location": {location}}}, nil
}

// getUpload returns the range from which an upload has to be resumed. It is not documented
// for mail, but Microsoft's SDKs rely on it, and on this case of the names.
func (c *call) getUpload(session *uploadSession) (response, error) {
	if status := c.sim.world().UploadStateStatus; status != 0 {
		return response{}, refuse(status, "ErrorInvalidRequest", "The request is invalid.")
	}
	session.mu.Lock()
	defer session.mu.Unlock()
	return jsonResponse(http.StatusOK, map[string]any{
		"expirationDateTime": session.expires.UTC().Format(time.RFC3339Nano),
		"nextExpectedRanges": []string{session.expected(c.sim.options.Ranges)},
	}), nil
}

// cancelUpload closes a session: "Attach large files to Outlook messages".
func (c *call) cancelUpload(session *uploadSession) (response, error) {
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	c.sim.closeSession(session)
	return emptyResponse(http.StatusNoContent), nil
}
