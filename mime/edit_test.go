package mime

import (
	"errors"
	"strings"
	"testing"
)

func TestEditHeader(t *testing.T) {
	set := []Field{{Name: "Bcc", Value: "<x@y.test>"}, {Name: "To", Value: FormatAddresses([]Address{{Name: "Grün", Address: "a@b.test"}, {Address: "c@d.test"}})}, {Name: "Return-Path"}}
	tests := []struct{ name, in, want string }{
		{
			"fields are replaced with their folded lines, others kept as they are",
			"Received: from x\r\n\tby y\r\nReturn-Path: <r@x>\r\nTo: one@x,\r\n two@x\r\nSUBJECT:  odd   spacing \r\nbcc : hidden@x\r\nDKIM-Signature: v=1;\r\n\tb=abc\r\n\r\nBcc: this is body\r\n",
			"Received: from x\r\n\tby y\r\nSUBJECT:  odd   spacing \r\nDKIM-Signature: v=1;\r\n\tb=abc\r\nBcc: <x@y.test>\r\nTo: =?utf-8?q?Gr=C3=BCn?= <a@b.test>,\r\n\t<c@d.test>\r\n\r\n|Bcc: this is body\r\n",
		},
		{
			"lines that are no fields go, a lost parameter is mended",
			"Subject: x\r\nBcc: a@x,\r\nhidden@x\r\n other@x\r\nContent-Type: multipart/mixed;\r\nboundary=b\r\njunk line\r\n\tmore junk\r\nX-A: caf\xe9\rBcc: smuggled@x\r\n\r\nbody",
			"Subject: x\r\nContent-Type: multipart/mixed;\r\n\tboundary=b\r\nX-A: caf\xe9 Bcc: smuggled@x\r\nBcc: <x@y.test>\r\nTo: =?utf-8?q?Gr=C3=BCn?= <a@b.test>,\r\n\t<c@d.test>\r\n\r\n|body",
		},
		{"BOM", "\xef\xbb\xbfBcc: hidden@x\r\nSubject: x\r\n\r\n", "Subject: x\r\nBcc: <x@y.test>\r\nTo: =?utf-8?q?Gr=C3=BCn?= <a@b.test>,\r\n\t<c@d.test>\r\n\r\n|"},
		{"no header", "\r\nbody", "Bcc: <x@y.test>\r\nTo: =?utf-8?q?Gr=C3=BCn?= <a@b.test>,\r\n\t<c@d.test>\r\n\r\n|body"},
		{"empty lines first", "\r\n\nFrom: a@x\r\nBcc: hidden@x\r\n\r\nbody", "From: a@x\r\nBcc: <x@y.test>\r\nTo: =?utf-8?q?Gr=C3=BCn?= <a@b.test>,\r\n\t<c@d.test>\r\n\r\n|body"},
		{"no body", "Subject: x\r\n", "Subject: x\r\nBcc: <x@y.test>\r\nTo: =?utf-8?q?Gr=C3=BCn?= <a@b.test>,\r\n\t<c@d.test>\r\n\r\n|"},
		{"mbox line, bare LF", "From a@b Mon Jan 1\nSubject: x\nTo: y@z\n\nbody\n", "Subject: x\r\nBcc: <x@y.test>\r\nTo: =?utf-8?q?Gr=C3=BCn?= <a@b.test>,\r\n\t<c@d.test>\r\n\r\n|body\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			head, body, err := EditHeader(strings.NewReader(tt.in), int64(len(tt.in)), DefaultLimits(), set)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(head) + "|" + tt.in[body:]; got != tt.want {
				t.Errorf("got\n%q, want\n%q", got, tt.want)
			}
		})
	}
}

func TestEditHeaderBounded(t *testing.T) {
	in := strings.Repeat("X-Long: value\r\n", 100_000) + "\r\nbody"
	if _, _, err := EditHeader(strings.NewReader(in), int64(len(in)), DefaultLimits(), nil); !errors.Is(err, ErrHeaderTooLarge) {
		t.Errorf("got %v, want ErrHeaderTooLarge", err)
	}
}

// Whatever the message, no field of the names set remains, and the new ones are read back.
func FuzzEditHeader(f *testing.F) {
	f.Add("To: a@b\r\nBcc: c@d\r\n\r\nbody")
	f.Add("From x\nTo: a\n b\n\nbody")
	f.Add("no header at all")
	f.Add("\r\n\r\nFrom: a@b\r\nBcc: hidden@x\r\n\r\nbody")
	f.Add("\xef\xbb\xbfBcc: hidden@x\r\n\r\n")
	f.Add("Bcc:\r\n hidden@x\r\n : y\r\n\r\n")
	f.Add("Bcc: a@x,\r\nhidden@x\r\n\r\n")
	f.Fuzz(func(t *testing.T, in string) {
		lim := DefaultLimits()
		head, body, err := EditHeader(strings.NewReader(in), int64(len(in)), lim, []Field{{Name: "Bcc", Value: "<new@x.test>"}})
		if errors.Is(err, ErrHeaderTooLarge) {
			t.Skip()
		}
		if err != nil {
			t.Fatal(err)
		}
		if body < 0 || body > int64(len(in)) {
			t.Fatalf("the body begins at %d of %d", body, len(in))
		}
		if m, err := Parse(strings.NewReader(in), int64(len(in)), lim); err != nil || len(m.From) > 0 && ReadHeader(head, lim).Count("From") == 0 {
			t.Errorf("the author %v is not in %q, %v", m.From, head, err)
		}
		h := ReadHeader(head, lim)
		if got := h.Addresses("Bcc"); len(got) != 1 || got[0].Address != "new@x.test" {
			t.Errorf("Bcc reads as %v in %q", got, head)
		}
		for line := range strings.SplitSeq(strings.TrimSuffix(string(head), "\r\n\r\n"), "\r\n") {
			if !isField([]byte(line)) && (line == "" || !isBlank(line[0])) || strings.ContainsAny(line, "\r\n\x00") {
				t.Errorf("%q is neither a field nor its continuation", line)
			}
		}
	})
}
