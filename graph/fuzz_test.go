package graph

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode"
)

func FuzzNextExpectedRanges(f *testing.F) {
	for _, s := range []string{"0", "10-", "10-29", " 10 - 29 ", "", "-", "-5", "ten", "99999999999999999999", "+3", "1_0", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, ok, err := uploadSession{Expected: []string{s}}.next()
		if n < 0 || (err == nil) != ok {
			t.Errorf("%q: %d %v %v", s, n, ok, err)
		}
		if err != nil && len(err.Error()) > 4*maxText {
			t.Errorf("%d bytes of error text", len(err.Error()))
		}
	})
}

func FuzzErrorBody(f *testing.F) {
	for _, s := range []string{
		`{"error":{"code":"ErrorItemNotFound","message":"The specified object was not found in the store."}}`,
		`{"error":{"code":"x","innerError":{"request-id":"y"}}}`,
		`{"Error":{"Code":"x"}}`, `{"error":"invalid_request"}`, `{"error":[]}`, `<html>`, ``, `null`, "{\"error\":{\"code\":\"\u0000\"}}",
	} {
		f.Add(400, s)
		f.Add(503, s)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		e := responseError("op", &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))})
		if e.Class == "" || e.Reason == "" {
			t.Errorf("no class or reason: %+v", e)
		}
		for _, r := range e.Error() {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q in %q", r, e.Error())
			}
		}
		if len(e.Error()) > 4*maxText {
			t.Errorf("%d bytes of error text", len(e.Error()))
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"", "10", "2.128", "-1", "1e999", "NaN", "Inf", "0x10p4", "Fri, 31 Dec 1999 23:59:59 GMT", "Friday, 31-Dec-99 23:59:59 GMT"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d := retryAfter(http.Header{"Retry-After": {s}}); d < 0 || d > maxRetryAfter {
			t.Errorf("%q: %s", s, d)
		}
	})
}
