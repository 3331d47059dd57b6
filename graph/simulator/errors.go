package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// apiError is an error answer of Graph: status, code and text.
type apiError struct {
	status     int
	code       string
	text       string
	retryAfter string
}

func (e *apiError) Error() string { return fmt.Sprintf("%d %s: %s", e.status, e.code, e.text) }

func refuse(status int, code, format string, args ...any) *apiError {
	return &apiError{status: status, code: code, text: fmt.Sprintf(format, args...)}
}

func badRequest(code, format string, args ...any) *apiError {
	return refuse(http.StatusBadRequest, code, format, args...)
}

func itemNotFound() *apiError {
	return refuse(http.StatusNotFound, "ErrorItemNotFound", "The specified object was not found in the store.")
}

// throttled is the answer to one request too many for a mailbox [reported]; "Microsoft
// Graph throttling guidance" lets Retry-After be fractional.
func throttled(text string, after time.Duration) *apiError {
	return &apiError{
		status:     http.StatusTooManyRequests,
		code:       "ApplicationThrottled",
		text:       text,
		retryAfter: strconv.FormatFloat(after.Seconds(), 'f', -1, 64),
	}
}

// answer is what a call returns before anything is written, so that a fault can lose
// or replace it after the effect.
type response struct {
	status int
	header http.Header
	body   []byte
	code   string // Graph's error code, empty on success
}

func emptyResponse(status int) response { return response{status: status} }

// jsonResponse encodes value, which consists of maps, slices and plain values.
func jsonResponse(status int, value any) response {
	body, err := json.Marshal(value)
	if err != nil {
		return refuse(http.StatusInternalServerError, "UnknownError", "%v", err).response(nil)
	}
	return response{status: status, body: body, header: http.Header{"Content-Type": {jsonType}}}
}

const jsonType = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"

// answer gives the error body of "Microsoft Graph error responses". c may be nil.
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
