package graph_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"graphrelay/graph"
)

// A raw request is made once, whatever is answered and however long Graph asks to wait. What it
// shows of the answer is bounded and without secrets.
func TestRaw(t *testing.T) {
	requests := 0
	var got *http.Request
	status, body := 401, ""
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		requests++
		got = r.Clone(t.Context())
		sent, _ := io.ReadAll(r.Body)
		got.Body = io.NopCloser(strings.NewReader(string(sent)))
		w.Header().Set("request-id", "id\u202e1")
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
	ask := graph.RawRequest{Op: "create", Method: "POST", Mailbox: mailbox, Path: "/users/x%2Fy/messages", ContentType: "application/json",
		Header: http.Header{"X-Odd": {"1"}}, Body: strings.NewReader("{}"), Length: 2}
	body = `{"error":{"code":"InvalidAuthenticationToken","message":"` + token + ` is bad"}}`
	a, err := c.Raw(t.Context(), ask, 100)
	var e *graph.Error
	if !errors.As(err, &e) || e.Status != 401 || e.Code != "InvalidAuthenticationToken" || a.Status != 401 || a.RetryAfter != "3600" || a.RequestID != "id 1" {
		t.Errorf("%+v, %v", a, err)
	}
	if strings.Contains(err.Error(), token) {
		t.Errorf("the token is in %v", err)
	}
	if requests != 1 || got.Header.Get("Authorization") != "Bearer "+token || got.Header.Get("Prefer") == "" || got.Header.Get("X-Odd") != "1" || got.URL.EscapedPath() != "/v1.0/users/x%2Fy/messages" {
		t.Errorf("%d requests, %v %v", requests, got.URL, got.Header)
	}
	status, body = 299, strings.Repeat("x", 1000)
	ask.Body = strings.NewReader("{}")
	if a, err = c.Raw(t.Context(), ask, 100); err != nil || a.Status != 299 || len(a.Body) != 100 {
		t.Errorf("%d bytes, %v", len(a.Body), err)
	}
	if requests != 2 {
		t.Errorf("%d requests", requests)
	}
}

// An upload URL gets no token, and its query is shown nowhere.
func TestRawUpload(t *testing.T) {
	var got http.Header
	c := answering(t, http.NotFound)
	base := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		http.Error(w, `{"error":{"code":"gone","message":"`+r.URL.RawQuery+`"}}`, http.StatusGone)
	}))
	for _, url := range []string{base + "/up?authtoken=verysecretverysecret", "http://127.0.0.1:1/up?authtoken=verysecretverysecret"} {
		_, err := c.Raw(t.Context(), graph.RawRequest{Op: "upload", Method: "PUT", UploadURL: url}, 100)
		if err == nil || strings.Contains(err.Error(), "verysecret") {
			t.Errorf("%s: %v", url, err)
		}
	}
	if got.Get("Authorization") != "" {
		t.Error("the token was sent to an upload URL")
	}
	if _, err := c.Raw(t.Context(), graph.RawRequest{Op: "upload", Method: "PUT", UploadURL: "file:///etc/passwd"}, 100); err == nil {
		t.Error("an upload URL of another scheme was used")
	}
}
