package graph_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"graphrelay/graph"
	"graphrelay/graph/simulator"
)

func large(size int) ([]byte, graph.Attachment) {
	b := content(size)
	return b, graph.Attachment{Name: "large.bin", ContentType: "application/zip", Size: int64(size),
		Open: func() io.Reader { return bytes.NewReader(b) }}
}

func TestUpload(t *testing.T) {
	for _, form := range []simulator.RangeForm{simulator.RangeBare, simulator.RangeOpen, simulator.RangeClosed} {
		t.Run(fmt.Sprint(form), func(t *testing.T) {
			sim, rec, c := simulated(t, simulator.Options{Ranges: form})
			id := draft(t, c)
			raw, a := large(graph.RangeBytes + 12_345)
			url, _, err := c.Mailbox(mailbox).CreateUploadSession(t.Context(), id, a)
			if err != nil {
				t.Fatal(err)
			}
			r := bytes.NewReader(raw)
			p, _, err := c.Mailbox(mailbox).PutRange(t.Context(), url, graph.UploadRange{Content: r, Length: graph.RangeBytes, Total: a.Size})
			if err != nil || p.Done || p.Next != graph.RangeBytes {
				t.Fatalf("first range: %+v %v", p, err)
			}
			if state, _, err := c.Mailbox(mailbox).UploadState(t.Context(), url); err != nil || state != graph.RangeBytes {
				t.Fatalf("state: %d %v", state, err)
			}
			if p, _, err = c.Mailbox(mailbox).PutRange(t.Context(), url, graph.UploadRange{Content: r, Offset: p.Next, Length: 12_345, Total: a.Size}); err != nil || !p.Done {
				t.Fatalf("last range: %+v %v", p, err)
			}
			got := sim.Drafts()[0].Attachments
			sum := sha256.Sum256(raw)
			if len(got) != 1 || got[0].SHA256 != hex.EncodeToString(sum[:]) || !got[0].BySession || got[0].ContentType != "application/zip" {
				t.Fatalf("attachments: %+v", got)
			}
			for _, r := range append(rec.of("PUT", ""), rec.of("GET", "')")...) {
				if strings.Contains(r.Path, "AttachmentSessions") && r.Header.Get("Authorization") != "" {
					t.Errorf("%s to the upload URL carries the bearer token", r.Method)
				}
				if strings.Contains(r.Path, "AttachmentSessions") && r.Header.Get("Prefer") != `IdType="ImmutableId"` {
					t.Errorf("%s to the upload URL: Prefer %q", r.Method, r.Header.Get("Prefer"))
				}
				if r.Chunked || r.Length != int64(len(r.Body)) {
					t.Errorf("%s: Content-Length %d of %d", r.Method, r.Length, len(r.Body))
				}
			}
		})
	}
}

// session returns a client, and an upload URL that answers PUT and GET with this.
func session(t *testing.T, status int, body string) (*graph.Client, string) {
	t.Helper()
	url := serve(t, withTokens(reply(status, body)))
	return newClient(t, url), url + "/up?authtoken=" + uploadToken
}

const uploadToken = "eyJhbGciOiJ.upload.token"

func TestNextExpectedRanges(t *testing.T) {
	const total = 30
	for _, tt := range []struct {
		name   string
		status int
		body   string
		next   int64
		done   bool
		fails  bool
	}{
		{"bare", 200, `{"nextExpectedRanges":["10"]}`, 10, false, false},
		{"open", 200, `{"nextExpectedRanges":["10-"]}`, 10, false, false},
		{"closed", 200, `{"nextExpectedRanges":["10-29"]}`, 10, false, false},
		{"several", 200, `{"nextExpectedRanges":["10-14","20-"]}`, 10, false, false},
		{"several out of order", 200, `{"nextExpectedRanges":["20-","10-14"]}`, 10, false, false},
		{"one of several is garbage", 200, `{"nextExpectedRanges":["10-14","ten"]}`, 0, false, true},
		{"spaces", 200, `{"nextExpectedRanges":[" 10 - 29 "]}`, 10, false, false},
		{"capitals", 200, `{"ExpirationDateTime":"x","NextExpectedRanges":["10"]}`, 10, false, false},
		{"lower case", 200, `{"nextexpectedranges":["10"]}`, 10, false, false},
		{"part was taken", 200, `{"nextExpectedRanges":["4"]}`, 4, false, false},
		{"202", 202, `{"nextExpectedRanges":["10"]}`, 10, false, false},
		{"none", 200, `{"nextExpectedRanges":[]}`, 10, false, false},
		{"null", 200, `{"nextExpectedRanges":null}`, 10, false, false},
		{"missing", 200, `{}`, 10, false, false},
		{"empty body", 200, ``, 10, false, false},
		{"empty text", 200, `{"nextExpectedRanges":[""]}`, 0, false, true},
		{"garbage", 200, `{"nextExpectedRanges":["ten"]}`, 0, false, true},
		{"negative", 200, `{"nextExpectedRanges":["-5"]}`, 0, false, true},
		{"too large", 200, `{"nextExpectedRanges":["99999999999999999999"]}`, 0, false, true},
		{"not a list", 200, `{"nextExpectedRanges":"10-"}`, 0, false, true},
		{"no JSON", 200, `<html>`, 0, false, true},
		{"created too early", 201, ``, 10, false, false},
		{"created too early, with a body", 201, `{"nextExpectedRanges":["10-"]}`, 10, false, false},
		{"created too early, unreadable", 201, `<html>`, 0, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, url := session(t, tt.status, tt.body)
			p, _, err := c.Mailbox(mailbox).PutRange(t.Context(), url, graph.UploadRange{Content: bytes.NewReader(make([]byte, 10)), Length: 10, Total: total})
			if tt.fails {
				if e := graphError(t, err); !e.Ambiguous || e.Class != graph.ClassTemporary || p.Done {
					t.Fatalf("got %+v", e)
				}
				return
			}
			if want := (graph.UploadProgress{Next: tt.next, Done: tt.done}); err != nil || p != want {
				t.Fatalf("got %+v %v, want %+v", p, err, want)
			}
		})
	}
}

// After the last range the upload is complete if the session expects nothing more, or if the
// status is 201, whatever the body. Before the last range 201 has no meaning.
func TestLastRange(t *testing.T) {
	for _, tt := range []struct {
		status int
		body   string
	}{{200, `{"nextExpectedRanges":[]}`}, {201, ``}, {201, `{"id":"x"}`}, {201, `<html>`}} {
		c, url := session(t, tt.status, tt.body)
		p, _, err := c.Mailbox(mailbox).PutRange(t.Context(), url, graph.UploadRange{Content: bytes.NewReader(make([]byte, 10)), Offset: 20, Length: 10, Total: 30})
		if err != nil || !p.Done || p.Next != 30 {
			t.Errorf("%d %s: got %+v %v", tt.status, tt.body, p, err)
		}
	}
}

func TestUploadRefused(t *testing.T) {
	for _, tt := range []struct {
		status int
		code   string
		class  graph.Class
		reason graph.Reason
	}{
		{401, "InvalidAudienceForResource", graph.ClassTemporary, graph.ReasonSession},
		{404, "uploadSessionNotFound", graph.ClassTemporary, graph.ReasonSession},
		{409, "conflict", graph.ClassTemporary, graph.ReasonSession},
		{410, "gone", graph.ClassTemporary, graph.ReasonSession},
		{416, "fragmentOverlap", graph.ClassTemporary, graph.ReasonSession},
		{400, "ErrorMessageSizeExceeded", graph.ClassMessage, graph.ReasonTooLarge},
		{413, "", graph.ClassMessage, graph.ReasonTooLarge},
		{429, "TooManyRequests", graph.ClassTemporary, graph.ReasonThrottled},
		{503, "", graph.ClassTemporary, graph.ReasonThrottled},
		{500, "", graph.ClassTemporary, graph.ReasonUnavailable},
	} {
		t.Run(fmt.Sprint(tt.status, tt.code), func(t *testing.T) {
			c, url := session(t, tt.status, `{"error":{"code":"`+tt.code+`","message":"no"}}`)
			_, _, err := c.Mailbox(mailbox).PutRange(t.Context(), url, graph.UploadRange{Content: bytes.NewReader([]byte("x")), Length: 1, Total: 2})
			if e := graphError(t, err); e.Class != tt.class || e.Reason != tt.reason {
				t.Errorf("got %s %s, want %s %s", e.Class, e.Reason, tt.class, tt.reason)
			}
		})
	}
}

// The token in an upload URL is a secret. No error shows it.
func TestUploadErrorsKeepTheToken(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) {
		reply(404, `{"error":{"code":"x","message":"No resource was found that matches 'http://`+r.Host+r.URL.String()+`'."}}`)(w, r)
	}
	bare := reply(404, `{"error":{"code":"x","message":"the authtoken `+uploadToken+` is over"}}`)
	hangUp := func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }
	garbage := func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, "no HTTP\r\n\r\n")
			conn.Close()
		}
	}
	urls := map[string]string{
		"echo":      serve(t, http.HandlerFunc(echo)),
		"bare":      serve(t, bare),
		"hang up":   serve(t, http.HandlerFunc(hangUp)),
		"garbage":   serve(t, http.HandlerFunc(garbage)),
		"redirect":  serve(t, reply(307, "", "Location", "http://127.0.0.1:1/")),
		"down":      "http://127.0.0.1:1",
		"bad host":  "http://[::1",
		"bad query": "http://127.0.0.1:1/\x7f",
	}
	c := newClient(t, "http://127.0.0.1:1")
	for name, base := range urls {
		url := base + "/up?authtoken=" + uploadToken
		_, _, put := c.Mailbox(mailbox).PutRange(t.Context(), url, graph.UploadRange{Content: bytes.NewReader([]byte("x")), Length: 1, Total: 2})
		_, _, get := c.Mailbox(mailbox).UploadState(t.Context(), url)
		for what, err := range map[string]error{"put": put, "get": get} {
			for e := err; e != nil; e = unwrap(e) {
				if strings.Contains(e.Error(), uploadToken) {
					t.Errorf("%s, %s: the token is in %q", name, what, e)
				}
			}
			if err == nil {
				t.Errorf("%s, %s: no error", name, what)
			}
		}
	}
}

func unwrap(err error) error {
	if u, ok := err.(interface{ Unwrap() error }); ok {
		return u.Unwrap()
	}
	return nil
}

// Content is sent with TLS only, unless Graph is configured without.
func TestUploadURLMustBeUsable(t *testing.T) {
	for _, raw := range []string{"", "https://", "/relative", "ftp://host/x", "javascript:x", "http://[::1"} {
		c := answering(t, reply(201, fmt.Sprintf(`{"uploadUrl":%q}`, raw)))
		_, _, err := c.Mailbox(mailbox).CreateUploadSession(t.Context(), "AAQ", file("a", "b"))
		if e := graphError(t, err); e.Class != graph.ClassTemporary {
			t.Errorf("%q: %v", raw, e)
		}
	}
}
