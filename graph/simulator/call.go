package simulator

import (
	"compress/gzip"
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Operation names a kind of request in faults, the journal and the stats.
type Operation string

const (
	OpToken             Operation = "token"
	OpDeviceCode        Operation = "device_code"
	OpFindUser          Operation = "find_user"
	OpCreate            Operation = "create"
	OpCreateMIME        Operation = "create_mime"
	OpAttachment        Operation = "attachment"
	OpCreateSession     Operation = "create_session"
	OpUpload            Operation = "upload"
	OpSend              Operation = "send"
	OpSendMail          Operation = "sendmail"
	OpGet               Operation = "get"
	OpList              Operation = "list"
	OpListAttachments   Operation = "list_attachments"
	OpPatch             Operation = "patch"
	OpDelete            Operation = "delete"
	OpPermanentDelete   Operation = "permanent_delete"
	OpGetMIME           Operation = "get_mime"
	OpCancelUpload      Operation = "cancel_upload"
	OpGetUpload         Operation = "get_upload"
	OpOrganization      Operation = "organization"
	OpApplications      Operation = "applications"
	OpServicePrincipals Operation = "service_principals"
	OpRoleAssignments   Operation = "role_assignments"
	OpAddKey            Operation = "add_key"
	OpRemoveKey         Operation = "remove_key"
	OpUnknown           Operation = "unknown" // not simulated
)

func operations() []Operation {
	return []Operation{OpToken, OpDeviceCode, OpFindUser, OpCreate, OpCreateMIME, OpAttachment, OpCreateSession, OpUpload, OpSend, OpSendMail,
		OpGet, OpList, OpListAttachments, OpPatch, OpDelete, OpPermanentDelete, OpGetMIME, OpCancelUpload, OpGetUpload,
		OpOrganization, OpApplications, OpServicePrincipals, OpRoleAssignments, OpAddKey, OpRemoveKey}
}

// call is a request to the simulator and what is known of it.
type call struct {
	sim     *Simulator
	r       *http.Request
	op      Operation
	app     string // client id of the token, or of the one that created the upload session
	roles   []string
	user    string // lower-case address of the owner whose token it is; "" is an app's own token
	mailbox string // lower-case address
	itemID  string // from the path, then the immutable id once the item is found
	started time.Time
	counted *countingBody

	requestID       string
	clientRequestID string
}

func (s *Simulator) newCall(r *http.Request, op Operation) *call {
	counted := &countingBody{ReadCloser: r.Body}
	r.Body = counted
	return &call{
		sim: s, r: r, op: op, started: time.Now(), counted: counted,
		requestID: newGUID(), clientRequestID: r.Header.Get("Client-Request-Id"),
	}
}

// immutable reports whether the request uses immutable ids. It has to ask for them with
// Prefer, each time: "Obtain immutable identifiers for Outlook resources".
func (c *call) immutable() bool {
	for _, line := range c.r.Header.Values("Prefer") {
		for preference := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.ReplaceAll(preference, " ", ""), `IdType="ImmutableId"`) {
				return true
			}
		}
	}
	return false
}

// scheme returns the scheme of the simulator's own URLs.
func (c *call) scheme() string {
	if c.r.TLS != nil || strings.EqualFold(c.r.Header.Get("X-Forwarded-Proto"), "https") {
		return "https"
	}
	return "http"
}

// readBody returns the whole body, decompressed. It refuses more than limit bytes with 413.
// It accepts gzip, which Microsoft's SDKs use by default.
func (c *call) readBody(limit int64) ([]byte, error) {
	if c.r.ContentLength > limit {
		return nil, tooLarge()
	}
	body := io.Reader(c.r.Body)
	switch strings.ToLower(c.r.Header.Get("Content-Encoding")) {
	case "", "identity":
	case "gzip":
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			return nil, badRequest("BadRequest", "The request body is not gzip: %v", err)
		}
		body = unzipped
	default:
		return nil, refuse(http.StatusUnsupportedMediaType, "UnsupportedMediaType", "Unsupported content encoding.")
	}
	data, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return nil, badRequest("BadRequest", "The request body could not be read: %v", err)
	}
	if int64(len(data)) > limit {
		return nil, tooLarge()
	}
	return data, nil
}

func tooLarge() *apiError {
	return refuse(http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "Request entity too large")
}

// mediaType returns the request's content type without parameters, in lower case.
func (c *call) mediaType() string {
	value, _, _ := strings.Cut(c.r.Header.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(value))
}

// drain reads the rest of a refused request. Otherwise a client that is still sending could
// get a reset in place of the answer.
func (c *call) drain() {
	io.Copy(io.Discard, io.LimitReader(c.r.Body, drainBytes))
}

// write sends the answer, with the headers that Graph always sets.
func (c *call) write(w http.ResponseWriter, a response) {
	header := w.Header()
	for name, values := range a.header {
		header[name] = values
	}
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	header.Set("Request-Id", c.requestID)
	if c.clientRequestID != "" {
		header.Set("Client-Request-Id", c.clientRequestID)
	}
	header.Set("X-Ms-Ags-Diagnostic", `{"ServerInfo":{"DataCenter":"Simulated","Slice":"E","Ring":"0","ScaleUnit":"000","RoleInstance":"SIM"}}`)
	if c.immutable() {
		header.Set("Preference-Applied", `IdType="ImmutableId"`)
	}
	if a.status != http.StatusNoContent {
		header.Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	w.WriteHeader(a.status)
	w.Write(a.body)
}

// reset closes the connection with a TCP reset if possible, so that the client cannot take
// it for a short answer.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		// HTTP/2 connections and test recorders cannot be hijacked.
		panic(http.ErrAbortHandler)
	}
	if wrapped, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = wrapped.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	conn.Close()
}

// asAPIError returns the error as an *apiError. Unexpected ones become a 500.
func asAPIError(err error) *apiError {
	var refused *apiError
	if errors.As(err, &refused) {
		return refused
	}
	return refuse(http.StatusInternalServerError, "ErrorInternalServerError", "%v", err)
}

// countingBody counts the bytes that are read of a body, and keeps its beginning.
type countingBody struct {
	io.ReadCloser
	bytes int64
	begin []byte
}

// Read implements io.Reader.
func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.bytes += int64(n)
	if left := bodyBytes - len(b.begin); left > 0 {
		b.begin = append(b.begin, p[:min(n, left)]...)
	}
	return n, err
}

// showsBodies reports whether the bodies of a call are for people. Those of sign-ins have
// secrets, and those of ranges of files are no text.
func (c *call) showsBodies() bool {
	return c.mailbox != "" && c.op != OpUpload && c.r.Header.Get("Content-Encoding") == ""
}

// shown returns the beginning of the body.
func (b *countingBody) shown() string {
	text := shownBody(b.begin)
	if b.bytes > int64(len(b.begin)) && !strings.HasSuffix(text, cutMark) {
		text += cutMark
	}
	return text
}

// cutMark stands for the rest of a body.
const cutMark = " […]"

// secretInURL matches the secret in an upload session's URL.
var secretInURL = regexp.MustCompile(`authtoken=[^"&\s]+`)

// shownBody returns the beginning of a body for people, without secrets.
func shownBody(body []byte) string {
	text := strings.ToValidUTF8(string(body[:min(len(body), bodyBytes)]), "")
	if text = secretInURL.ReplaceAllString(text, "authtoken=(hidden)"); len(body) > bodyBytes {
		text += cutMark
	}
	return text
}
