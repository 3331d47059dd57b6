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

// session is one upload of a large file: "Attach large files to Outlook messages".
type session struct {
	id      string
	secret  string // authtoken of its URL
	app     string
	mailbox string
	item    *item
	file    attachmentInput
	size    int64
	expires time.Time
	kept    bool // whether there was room for the content
	holding bool // whether that room is still set aside; guarded by the simulator's mutex

	mu       sync.Mutex // held by the PUT under way
	received int64
	sum      hash.Hash
	content  bytes.Buffer // stays empty unless kept
	answers  int          // how many ranges were answered, for RangeAlternate
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

// createSession opens an upload: "attachment: createUploadSession".
func (c *call) createSession() (answer, error) {
	body, err := c.readJSON(c.sim.options.Limits.Request)
	if err != nil {
		return answer{}, err
	}
	var input sessionInput
	if err := decode(body, "createSession", &input); err != nil {
		return answer{}, err
	}
	opened, err := c.sim.newSession(input)
	if err != nil {
		return answer{}, err
	}
	s := c.sim
	s.mu.Lock()
	defer s.mu.Unlock()
	if opened.item, err = c.findDraft(); err != nil {
		return answer{}, err
	}
	opened.app, opened.mailbox = c.app, c.mailbox
	s.expireSessions()
	opened.kept = s.content.reserveFile(opened.size)
	opened.holding = opened.kept
	s.sessions[opened.id] = opened
	return jsonAnswer(http.StatusCreated, map[string]any{
		"@odata.context":     "https://graph.microsoft.com/v1.0/$metadata#microsoft.graph.uploadSession",
		"uploadUrl":          c.uploadURL(opened),
		"expirationDateTime": opened.expires.UTC().Format(time.RFC3339Nano),
		"nextExpectedRanges": []string{"0-"},
	}), nil
}

// newSession checks what is to be uploaded.
func (s *Simulator) newSession(input sessionInput) (*session, error) {
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
	opened := &session{
		id: newGUID(), secret: newID("eyJ"), size: *file.Size, sum: sha256.New(), expires: time.Now().Add(s.options.SessionLife),
		file: attachmentInput{Name: *file.Name, ContentType: file.ContentType, IsInline: file.IsInline, ContentID: file.ContentID},
	}
	if s.options.SessionQuirks {
		opened.file = attachmentInput{Name: *file.Name}
	}
	setDefault(&opened.file.ContentType, "application/octet-stream")
	return opened, nil
}

// uploadURL has the form of Exchange's: another host's path, with its own token.
func (c *call) uploadURL(opened *session) string {
	scheme := "http"
	if c.r.TLS != nil || strings.EqualFold(c.r.Header.Get("X-Forwarded-Proto"), "https") {
		scheme = "https"
	}
	return fmt.Sprintf("%s://%s/api/v2.0/users('%s@%s')/messages('%s')/AttachmentSessions('%s')?authtoken=%s",
		scheme, c.r.Host, objectID(c.mailbox), "simulated", opened.item.ID, opened.id, url.QueryEscape(opened.secret))
}

// expireSessions forgets those whose time is over. The caller holds s.mu.
func (s *Simulator) expireSessions() {
	for _, old := range s.sessions {
		if time.Now().After(old.expires) {
			s.forget(old)
		}
	}
}

// forget drops a session and the room that it held. The caller holds s.mu.
func (s *Simulator) forget(old *session) {
	if old.holding {
		s.content.release(old.size)
		old.holding = false
	}
	delete(s.sessions, old.id)
}

func (s *Simulator) uploadRoutes() http.Handler {
	mux := http.NewServeMux()
	const pattern = " /api/v2.0/{user}/{message}/{session}"
	handle := func(method string, op Operation, run func(*call, *session) (answer, error)) {
		mux.HandleFunc(method+pattern, func(w http.ResponseWriter, r *http.Request) { s.serveUpload(w, r, op, run) })
	}
	handle("PUT", OpUpload, (*call).putRange)
	handle("GET", OpGetUpload, (*call).getUpload)
	handle("DELETE", OpCancelUpload, (*call).cancelUpload)
	return mux
}

func (s *Simulator) serveUpload(w http.ResponseWriter, r *http.Request, op Operation, run func(*call, *session) (answer, error)) {
	c := s.newCall(r, op)
	var opened *session
	admit := func(c *call) (func(), error) {
		var err error
		if opened, err = c.findSession(); err != nil {
			return func() {}, err
		}
		c.app, c.mailbox, c.itemID = opened.app, opened.mailbox, opened.item.ID
		return c.enter()
	}
	s.serve(w, c, admit, func(c *call) (answer, error) { return run(c, opened) })
}

// findSession checks the URL of an upload, which alone authorises it.
func (c *call) findSession() (*session, error) {
	if c.r.Header.Get("Authorization") != "" {
		return nil, refuse(http.StatusUnauthorized, "InvalidAudienceForResource", "The audience claim value is invalid for current resource.") // [reported]
	}
	id := strings.TrimSuffix(strings.TrimPrefix(c.r.PathValue("session"), "AttachmentSessions('"), "')")
	s := c.sim
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireSessions()
	opened, ok := s.sessions[id]
	if !ok {
		return nil, refuse(http.StatusNotFound, "uploadSessionNotFound", "The upload session was not found.")
	}
	if c.r.URL.Query().Get("authtoken") != opened.secret {
		return nil, unauthorized("The token of the upload URL is invalid.")
	}
	return opened, nil
}

// putRange takes the next part of the file. Which codes Exchange uses for wrong ranges
// is not recorded; these are those of "Microsoft Graph error responses" for files.
func (c *call) putRange(opened *session) (answer, error) {
	part, err := c.checkRange(opened)
	if err != nil {
		return answer{}, err
	}
	if !opened.mu.TryLock() {
		return answer{}, refuse(http.StatusConflict, "conflict", "Another range of this session is being uploaded.")
	}
	defer opened.mu.Unlock()
	switch {
	case part.first < opened.received:
		return answer{}, refuse(http.StatusRequestedRangeNotSatisfiable, "fragmentOverlap", "The range was received before; %d is expected next.", opened.received)
	case part.first > opened.received:
		return answer{}, refuse(http.StatusRequestedRangeNotSatisfiable, "fragmentOutOfOrder", "The range is out of order; %d is expected next.", opened.received)
	}
	if err := opened.receive(c.r.Body, part.length()); err != nil {
		return answer{}, badRequest("BadRequest", "The range ended early: %v", err)
	}
	if opened.received < opened.size {
		next := opened.expected(c.sim.options.Ranges)
		opened.answers++
		return jsonAnswer(http.StatusOK, map[string]any{
			"@odata.context":     "https://outlook.office.com/api/v2.0/$metadata#Users('simulated')/Messages('simulated')/AttachmentSessions/$entity",
			"ExpirationDateTime": opened.expires.UTC().Format(time.RFC3339Nano),
			"nextExpectedRanges": []string{next},
		}), nil
	}
	return c.finish(opened)
}

func (c *call) checkRange(opened *session) (contentRange, error) {
	part, ok := parseContentRange(c.r.Header.Get("Content-Range"))
	switch {
	case !ok || part.total != opened.size:
		return part, refuse(http.StatusRequestedRangeNotSatisfiable, "invalidRange", "The Content-Range '%s' does not fit a file of %d bytes.", c.r.Header.Get("Content-Range"), opened.size)
	case part.length() >= c.sim.options.Limits.Range:
		return part, tooLarge()
	case c.r.ContentLength != part.length():
		return part, badRequest("invalidRange", "Content-Length %d is not the length of the Content-Range '%s'.", c.r.ContentLength, c.r.Header.Get("Content-Range"))
	case c.mediaType() != "application/octet-stream":
		return part, badRequest("BadRequest", "The Content-Type of a range must be application/octet-stream.")
	}
	return part, nil
}

// receive adds length bytes to the file, all or none. The caller holds the session.
func (u *session) receive(body io.Reader, length int64) error {
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
		u.content.Grow(int(u.size) - held) // allocates once, for the whole file
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

// expected writes the start of the next range in the form that is asked for.
func (u *session) expected(form RangeForm) string {
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

// finish turns the upload into an attachment of its draft.
func (c *call) finish(opened *session) (answer, error) {
	s := c.sim
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[opened.id] != opened {
		return answer{}, refuse(http.StatusNotFound, "uploadSessionNotFound", "The upload session was not found.")
	}
	s.forget(opened)
	if opened.item.deleted || opened.item.Submitted {
		return answer{}, itemNotFound()
	}
	attachment := Attachment{
		ID: newID(attachmentPrefix), Name: opened.file.Name, ContentType: opened.file.ContentType,
		ContentID: opened.file.ContentID, IsInline: opened.file.IsInline, BySession: true,
		Size: opened.size, SHA256: hex.EncodeToString(opened.sum.Sum(nil)), Modified: time.Now(),
	}
	attachment.Kept = opened.kept && s.content.keep(attachment.ID, opened.content.Bytes())
	opened.item.Attachments = append(opened.item.Attachments, attachment)
	opened.item.touch()
	location := fmt.Sprintf("https://outlook.office.com/api/v2.0/Users('%s@simulated')/Messages('%s')/Attachments('%s')",
		objectID(c.mailbox), opened.item.ID, attachment.ID)
	return answer{status: http.StatusCreated, header: http.Header{"Location": {location}}}, nil
}

// getUpload answers where an upload is to be resumed. No page documents it for mail; the
// official SDKs' upload tasks rely on it, and on this case of the names.
func (c *call) getUpload(opened *session) (answer, error) {
	opened.mu.Lock()
	defer opened.mu.Unlock()
	return jsonAnswer(http.StatusOK, map[string]any{
		"expirationDateTime": opened.expires.UTC().Format(time.RFC3339Nano),
		"nextExpectedRanges": []string{opened.expected(c.sim.options.Ranges)},
	}), nil
}

// cancelUpload ends a session: 204, "Attach large files to Outlook messages".
func (c *call) cancelUpload(opened *session) (answer, error) {
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	c.sim.forget(opened)
	return empty(http.StatusNoContent), nil
}
