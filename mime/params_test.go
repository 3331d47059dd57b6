package mime

import (
	"reflect"
	"testing"
)

func TestParseParams(t *testing.T) {
	for _, c := range []struct {
		in, token string
		want      map[string]string
	}{
		{"", "", nil},
		{"text/plain", "text/plain", nil},
		{" Text/Plain ;Charset = UTF-8 ", "text/plain", map[string]string{"charset": "UTF-8"}},
		{`text/plain; a="x;y"; b=z`, "text/plain", map[string]string{"a": "x;y", "b": "z"}},
		{`text/plain; a="x\"y"; b="\\"`, "text/plain", map[string]string{"a": `x"y`, "b": `\`}},
		{`attachment; filename="C:\new\table.txt"`, "attachment", map[string]string{"filename": `C:\new\table.txt`}},
		{`attachment; filename="C:\dir\"`, "attachment", map[string]string{"filename": `C:\dir\`}},
		{`multipart/mixed; boundary="a=b" charset=x`, "multipart/mixed", map[string]string{"boundary": "a=b", "charset": "x"}},
		{"filename=a.txt", "", map[string]string{"filename": "a.txt"}},
		{"; filename=a.txt", "", map[string]string{"filename": "a.txt"}},
		{"text/plain;; ;charset=a;", "text/plain", map[string]string{"charset": "a"}},
		{"text/plain; charset", "text/plain", nil},
		{"text/plain; charset=", "text/plain", map[string]string{"charset": ""}},
		{"text/plain (c; charset=no) ; charset=yes", "text/plain", map[string]string{"charset": "no)"}},
		{"a/b; name*=utf-8'en'x%20y", "a/b", map[string]string{"name": "x y"}},
		{"a/b; name*99999999999999999999=x", "a/b", map[string]string{"name": "x"}},
		{"a/b; name*1=b; name*0=a; name*1=c", "a/b", map[string]string{"name": "ab"}},
		{"a/b; name*0*=utf-8''%C3; name*1*=%A9; name*2=%41", "a/b", map[string]string{"name": "é%41"}},
		{"a/b; name*=it's", "a/b", map[string]string{"name": "it's"}},
		{"a/b; name*=iso-8859-1''caf%E9%20crème", "a/b", map[string]string{"name": "café crème"}},
		{"attachment; filename=report.pdf (final version)", "attachment", map[string]string{"filename": "report.pdf"}},
		{"attachment; filename=report.pdf (one) (two (nested)); size=3", "attachment", map[string]string{"filename": "report.pdf", "size": "3"}},
		{`attachment; filename="report.pdf" (final "version"); size=3`, "attachment", map[string]string{"filename": "report.pdf", "size": "3"}},
		{`attachment; filename="report (1).pdf" (final)`, "attachment", map[string]string{"filename": "report (1).pdf"}},
		{"attachment; filename=report (1).pdf", "attachment", map[string]string{"filename": "report (1).pdf"}},
		{"attachment; filename=report (2)", "attachment", map[string]string{"filename": "report (2)"}},
		{"attachment; filename=report.pdf(2)", "attachment", map[string]string{"filename": "report.pdf"}},
		{"attachment; filename=(1)", "attachment", map[string]string{"filename": "(1)"}},
		{"attachment; filename (the name) = a.pdf", "attachment", map[string]string{"filename": "a.pdf"}},
		{"attachment; filename*=utf-8''a%20b.pdf (final)", "attachment", map[string]string{"filename": "a b.pdf"}},
		{"attachment; filename=a)b).pdf)", "attachment", map[string]string{"filename": "a)b).pdf)"}},
		{"a/b; name*0*=iso-8859-1''caf%E9; name*1=crème", "a/b", map[string]string{"name": "cafécrème"}},
	} {
		got := parseParams(c.in)
		if c.want == nil {
			c.want = map[string]string{}
		}
		if got.token != c.token || !reflect.DeepEqual(valuesOf(got), c.want) {
			t.Errorf("%q:\n got %q %q\nwant %q %q", c.in, got.token, valuesOf(got), c.token, c.want)
		}
	}
}

func valuesOf(p params) map[string]string {
	values := map[string]string{}
	for _, s := range p.sections {
		values[s.name] = p.get(s.name)
	}
	return values
}

func TestStripComments(t *testing.T) {
	for in, want := range map[string]string{
		"a (b) c":     "a  c",
		"a (b (c) d)": "a ",
		`"(a)" (b)`:   `"(a)" `,
		`a (\)) b`:    "a  b",
		"a (b":        "a (b",
		"a) b":        "a) b",
	} {
		if got := stripComments(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestSafeName(t *testing.T) {
	for in, want := range map[string]string{
		"":                   "",
		".":                  "",
		"/":                  "",
		"a/b.txt":            "b.txt",
		`a\b.txt`:            "b.txt",
		"dir/":               "dir",
		" a .txt ":           "a .txt",
		"a\u0085b\u0000.txt": "ab.txt",
		".bashrc":            ".bashrc",
		"\xffa":              "\ufffda",
	} {
		if got := safeName(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestExtensionOf(t *testing.T) {
	for in, want := range map[string]string{
		"text/plain": ".txt", "text/html": ".html", "text/x-log": ".txt", "image/jpeg": ".jpg",
		"image/png": ".png", "image/x-png": ".png", "image/svg+xml": ".svg", "audio/basic": ".au", "audio/mpeg": ".mp3", "video/mpeg": ".mpg",
		"video/mp4": ".mp4", "image/vnd.dwg": ".bin", "application/pdf": ".pdf", "application/x-gzip": ".gz",
		"application/octet-stream": ".bin", "message/rfc822": ".eml", "message/delivery-status": ".txt",
		"font/woff": ".bin", "": ".bin",
	} {
		if got := extensionOf(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}
