package mime

import (
	"reflect"
	"strings"
	"testing"
)

func TestReadHeader(t *testing.T) {
	block := "Received: from a\r\n\tby b\r\nReceived: from c\r\nFrom: Ann <ann@example.com>\r\n" +
		"from: other@example.com\r\nMessage-Id: <m@example.com>\r\nSubject: =?utf-8?Q?caf=C3=A9?=\r\n\tnoir\r\n" +
		"X-Tag: one\r\nX-TAG: two\r\n"
	for name, in := range map[string]string{
		"whole":    block + "\r\nSubject: body\r\n",
		"no end":   block,
		"cut":      block + "X-Cut: some",
		"cut name": block + "X-Cu",
	} {
		h := ReadHeader([]byte(in), DefaultLimits())
		if got := h.From(); len(got) != 1 || got[0].Address != "ann@example.com" {
			t.Errorf("%s: from %v", name, got)
		}
		if h.Subject() != "café noir" || h.MessageID() != "<m@example.com>" {
			t.Errorf("%s: subject %q, message id %q", name, h.Subject(), h.MessageID())
		}
		if h.Count("received") != 2 || h.Count("From") != 2 {
			t.Errorf("%s: %d Received, %d From", name, h.Count("received"), h.Count("From"))
		}
		if got := h.Values("x-tag"); !reflect.DeepEqual(got, []string{"one", "two"}) {
			t.Errorf("%s: values %q", name, got)
		}
	}
}

// Who may send is decided by the header that Parse finds, behind empty lines too.
func TestReadHeaderBehindEmptyLines(t *testing.T) {
	for _, in := range []string{"\r\nFrom: a@example.com\r\n", "\n\r\n\nReceived: x\r\nFrom: a@example.com\r\n\r\nFrom: b@example.com\r\n"} {
		m, err := Parse(strings.NewReader(in), int64(len(in)), DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		if got := ReadHeader([]byte(in), DefaultLimits()).From(); len(got) != 1 || got[0].Address != "a@example.com" || len(m.From) != 1 || m.From[0] != got[0] {
			t.Errorf("%q: the author is %v, to Parse %v", in, got, m.From)
		}
	}
}

func TestReadHeaderOfNothing(t *testing.T) {
	for _, in := range []string{"", "\r\n", "\r\nnote: no field of mail\r\n", "no header\r\n", "\x00\xff", ":\r\n: x\r\n"} {
		h := ReadHeader([]byte(in), DefaultLimits())
		if h.From() != nil || h.Subject() != "" || h.MessageID() != "" || len(h.Fields()) != 0 {
			t.Errorf("%q: fields %v", in, h.Fields())
		}
	}
}

func TestReadHeaderCutsFields(t *testing.T) {
	lim := DefaultLimits()
	lim.ValueBytes, lim.HeaderFields = 20, 3
	h := ReadHeader([]byte("Subject: "+strings.Repeat("x", 50)+"\r\n y\r\nA: 1\r\nB: 2\r\nC: 3\r\nFrom: a@b\r\n"), lim)
	if !h.cut || len(h.Subject()) > 20 || h.Count("C") != 0 || h.Count("From") != 1 {
		t.Errorf("cut %v, fields %v", h.cut, h.Fields())
	}
}

func TestDecodeWords(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                              "plain",
		"=?utf-8?q?a?= =?utf-8?b?Yg==?= c":   "ab c",
		"=?utf-8?q?a?==?utf-8?q?b?=":         "ab",
		"=?utf-8?x?a?=":                      "=?x?a?="[:0] + "=?utf-8?x?a?=",
		"=?utf-8?q??=x":                      "x",
		"=?=?utf-8?q?a?=":                    "=?a",
		"=?iso-8859-1?q?=A3?= =?utf-8?q?x?=": "£x",
		"=?utf-8?b?Y2Fm?= =?utf-8?b?w6k=?=":  "café",
		"=?gb2312?b?1tDO?= =?gb2312?b?xLK?= =?gb2312?b?4srU?=": "中文测试",
		"=?utf-8?b?Y2Fmw6?= =?utf-8?b?k=?=":                    "café",
		"=?utf-8?q?=ED=A0=80?=":                                "í\u00a0€",
		"a =?utf-8?q?=09=00b?= c":                              "a  b c",
		"=?utf-8?":                                             "=?utf-8?",
		"=?iso-8859-1?q?caf=E9_crème?=":                        "café crème",
		"=?utf-8?q?caf=C3=A9_crème?=":                          "café crème",
	} {
		if got := decodeText(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestParseDate(t *testing.T) {
	for in, want := range map[string]string{
		"Mon, 23 Nov 2026 10:11:12 +0100":       "2026-11-23T10:11:12+01:00",
		"23 Nov 26 10:11 GMT":                   "2026-11-23T10:11:00Z",
		"Mon, 23 Nov 2026 10:11:12 -0000 (UTC)": "2026-11-23T10:11:12Z",
		"2026-11-23T10:11:12Z":                  "2026-11-23T10:11:12Z",
		"Mon Nov 23 10:11:12 2026":              "2026-11-23T10:11:12Z",
	} {
		if got := parseDate(in); got.UTC().Format("2006-01-02T15:04:05") != mustTime(t, want) {
			t.Errorf("%q: got %v, want %s", in, got, want)
		}
	}
	for _, in := range []string{"", "yesterday", strings.Repeat("1", 1000)} {
		if !parseDate(in).IsZero() {
			t.Errorf("%q: got %v", in, parseDate(in))
		}
	}
}

func mustTime(t *testing.T, s string) string {
	d := parseDate(s)
	if d.IsZero() {
		t.Fatalf("bad time %q", s)
	}
	return d.UTC().Format("2006-01-02T15:04:05")
}
