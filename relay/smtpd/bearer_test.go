package smtpd

import (
	"strings"
	"testing"
)

func TestParseBearer(t *testing.T) {
	for _, tt := range []struct{ response, user, token string }{
		{"user=a@contoso.test\x01auth=Bearer abc.d-e_f~+/=\x01\x01", "a@contoso.test", "abc.d-e_f~+/="},
		{"user=a@contoso.test\x01auth=bearer abc\x01\x01", "a@contoso.test", "abc"},
		{"user=a@contoso.test\x01auth=Bearer a b\x01\x01", "a@contoso.test", ""},
		{"user=a@contoso.test\x01auth=Basic abc\x01\x01", "a@contoso.test", ""},
		{"a@contoso.test\x01auth=Bearer abc\x01\x01", "", ""},
		{"", "", ""},
	} {
		if user, token := parseXOAuth2([]byte(tt.response)); user != tt.user || token != tt.token {
			t.Errorf("%q: %q, %q", tt.response, user, token)
		}
	}
	for _, tt := range []struct{ response, user, token string }{
		{"n,a=a@contoso.test,\x01host=relay.test\x01port=587\x01auth=Bearer abc\x01\x01", "a@contoso.test", "abc"},
		{"y,a=a=2Cb=3D@contoso.test,\x01auth=Bearer abc\x01\x01", "a,b=@contoso.test", "abc"},
		{"p=tls-unique,a=a@contoso.test,\x01auth=Bearer abc\x01\x01", "", ""},
		{"n,,\x01auth=Bearer abc\x01\x01", "", ""},
		{"n,a=a@contoso.test\x01auth=Bearer abc\x01\x01", "", ""},
	} {
		if user, token := parseOAuthBearer([]byte(tt.response)); user != tt.user || token != tt.token {
			t.Errorf("%q: %q, %q", tt.response, user, token)
		}
	}
}

// A token never has what would break a header that it is written into.
func FuzzBearer(f *testing.F) {
	f.Add([]byte("user=a@contoso.test\x01auth=Bearer abc\x01\x01"))
	f.Add([]byte("n,a=a@contoso.test,\x01auth=Bearer abc\x01\x01"))
	f.Add([]byte("user=\x01auth=Bearer a\r\nb\x01"))
	f.Fuzz(func(t *testing.T, response []byte) {
		for _, parse := range []func([]byte) (string, string){parseXOAuth2, parseOAuthBearer} {
			if _, token := parse(response); strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
				t.Errorf("%q: token %q", response, token)
			}
		}
	})
}
