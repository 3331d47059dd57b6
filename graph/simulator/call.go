package simulator

import (
	"compress/gzip"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Operation names a kind of call in faults, the journal and the stats.
type Operation string

const (
	OpToken           Operation = "token"
	OpDeviceCode      Operation = "device_code"
	OpFindUser        Operation = "find_user"
	OpCreate          Operation = "create"
	OpCreateMIME      Operation = "create_mime"
	OpAttachment      Operation = "attachment"
	OpCreateSession   Operation = "create_session"
	OpUpload          Operation = "upload"
	OpSend            Operation = "send"
	OpSendMail        Operation = "sendmail"
	OpGet             Operation = "get"
	OpList            Operation = "list"
	OpListAttachments Operation = "list_attachments"
	OpPatch           Operation = "patch"
	OpDelete          Operation = "delete"
	OpCancelUpload    Operation = "cancel_upload"
	OpGetUpload       Operation = "get_upload"
	OpUnknown         Operation = "unknown" // no call of Graph's that is simulated
)

func operations() []Operation {
	return []Operation{OpToken, OpDeviceCode, OpFindUser, OpCreate, OpCreateMIME, OpAttachment, OpCreateSession, OpUpload, OpSend, OpSendMail,
		OpGet, OpList, OpListAttachments, OpPatch, OpDelete, OpCancelUpload, OpGetUpload}
}

// call is one request on its way through the simulator.
type call struct {
	sim     *Simulator
	r       *http.Request
	op      Operation
	app     string // client id of the token, or of the session's creator
	roles   []string
	user    string // the owner whose token it is, by lower-case address; "" is an app's own
	mailbox string // lower-case address
	itemID  string // as the path gives it; in the journal the immutable id once known
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

// immutable says whether the request speaks immutable ids: only those that ask for
// them on every request do, "Obtain immutable identifiers for Outlook resources".
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

// readBody returns the whole request body, decompressed, refusing more than limit
// bytes with 413. gzip is accepted because the official SDKs compress by default.
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

// mediaType is the request's content type without parameters, in lower case.
func (c *call) mediaType() string {
	value, _, _ := strings.Cut(c.r.Header.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(value))
}

// drain reads the rest of a refused request: a client that is still sending would
// otherwise see a reset instead of the answer.
func (c *call) drain() {
	io.Copy(io.Discard, io.LimitReader(c.r.Body, drainBytes))
}

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

// reset ends the connection with a TCP reset where it can, so that the client cannot
// take it for a short answer.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		// HTTP/2 and recorders cannot be hijacked; this is net/http's own way to abort.
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

// asAPIError turns any error of a handler into an answer of Graph's.
func asAPIError(err error) *apiError {
	var refused *apiError
	if errors.As(err, &refused) {
		return refused
	}
	return refuse(http.StatusInternalServerError, "ErrorInternalServerError", "%v", err)
}

type countingBody struct {
	io.ReadCloser
	bytes int64
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.bytes += int64(n)
	return n, err
}
