package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// apiError is an error that Graph answers with.
type apiError struct {
	status     int
	code       string
	text       string
	retryAfter string
}

func (e *apiError) Error() string { return fmt.Sprintf("%d %s: %s", e.status, e.code, e.text) }

// refuse returns an apiError.
func refuse(status int, code, format string, args ...any) *apiError {
	return &apiError{status: status, code: code, text: fmt.Sprintf(format, args...)}
}

func badRequest(code, format string, args ...any) *apiError {
	return refuse(http.StatusBadRequest, code, format, args...)
}

func itemNotFound() *apiError {
	return refuse(http.StatusNotFound, "ErrorItemNotFound", "The specified object was not found in the store.")
}

// throttled returns the error for a mailbox that is over a limit [reported]. Retry-After may
// have a fraction: "Microsoft Graph throttling guidance".
func throttled(text string, after time.Duration) *apiError {
	return &apiError{
		status:     http.StatusTooManyRequests,
		code:       "ApplicationThrottled",
		text:       text,
		retryAfter: strconv.FormatFloat(after.Seconds(), 'f', -1, 64),
	}
}

// response is the answer to a call. It is written at the end, so that a fault can lose or
// replace it.
type response struct {
	status int
	header http.Header
	body   []byte
	code   string // Graph's error code, empty on success
}

func emptyResponse(status int) response { return response{status: status} }

// jsonResponse returns an answer with value as JSON.
func jsonResponse(status int, value any) response {
	body, err := json.Marshal(value)
	if err != nil {
		return refuse(http.StatusInternalServerError, "UnknownError", "%v", err).response(nil)
	}
	return response{status: status, body: body, header: http.Header{"Content-Type": {jsonType}}}
}

const jsonType = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"

// response returns the answer of "Microsoft Graph error responses". c may be nil.
func (e *apiError) response(c *call) response {
	inner := map[string]any{"date": time.Now().UTC().Format("2006-01-02T15:04:05")}
	if c != nil {
		inner["request-id"] = c.requestID
		inner["client-request-id"] = c.clientRequestID
	}
	a := jsonResponse(e.status, map[string]any{
		"error": map[string]any{"code": e.code, "message": e.text, "innerError": inner},
	})
	a.code = e.code
	if e.retryAfter != "" {
		a.header.Set("Retry-After", e.retryAfter)
	}
	if e.status == http.StatusUnauthorized {
		a.header.Set("WWW-Authenticate", `Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize"`)
	}
	return a
}
