package mime

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"unicode"
	"unicode/utf8"
)

// smallLimits lets short input reach every limit.
func smallLimits() Limits {
	return Limits{Depth: 3, Parts: 8, HeaderBytes: 600, HeaderFields: 12, ValueBytes: 200, BodyBytes: 400}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/golden/*.eml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, false)
		f.Add(withCRLF(raw), true)
	}
	f.Fuzz(func(t *testing.T, raw []byte, small bool) {
		lim := DefaultLimits()
		if small {
			lim = smallLimits()
		}
		m, err := Parse(bytes.NewReader(raw), int64(len(raw)), lim)
		if err != nil {
			t.Fatal(err)
		}
		checkMessage(t, m)
		if len(m.Attachments) > lim.Parts+1 {
			t.Errorf("%d attachments", len(m.Attachments))
		}
	})
}

// checkMessage checks what the package promises of every description.
func checkMessage(t *testing.T, m *Message) {
	checkLine(t, "subject", m.Subject)
	for _, list := range [][]Address{m.From, m.ReplyTo, m.To, m.Cc, m.Bcc, m.ReadReceipt, m.DeliveryReceipt} {
		checkAddresses(t, list)
	}
	for _, s := range []string{m.MessageID, m.InReplyTo, m.References, m.ListUnsubscribe} {
		checkLine(t, "id", s)
	}
	for _, fd := range m.Fields {
		checkLine(t, "field", fd.Name)
		checkLine(t, "field", fd.Value)
	}
	for _, s := range []string{m.Text, m.HTML, m.Body.Content} {
		if !utf8.ValidString(s) || strings.IndexFunc(s, isBodyControl) >= 0 {
			t.Errorf("unclean body %q", s)
		}
	}
	for _, n := range m.Report.Notes {
		checkLine(t, "note", n.What+n.Detail)
	}
	for _, a := range m.Attachments {
		checkAttachment(t, m, a)
	}
}

func checkAttachment(t *testing.T, m *Message, a *Attachment) {
	checkLine(t, "name", a.Name)
	checkLine(t, "content id", a.ContentID)
	if a.Name == "" || len(a.Name) > maxNameBytes || strings.ContainsAny(a.Name, `/\`) || strings.Trim(a.Name, ".") == "" {
		t.Errorf("unsafe name %q", a.Name)
	}
	if canonicalType(a.ContentType) == "" || a.ContentType != strings.ToLower(a.ContentType) {
		t.Errorf("content type %q", a.ContentType)
	}
	if a.Inline && (a.ContentID == "" || !m.Body.HTML) {
		t.Errorf("inline without HTML that refers to it: %+v", a)
	}
	readAttachment(t, a)
}

// checkLine wants one line of clean UTF-8.
func checkLine(t *testing.T, what, s string) {
	if !utf8.ValidString(s) || strings.IndexFunc(s, unicode.IsControl) >= 0 {
		t.Errorf("unclean %s %q", what, s)
	}
}

func checkAddresses(t *testing.T, list []Address) {
	for _, a := range list {
		checkLine(t, "name", a.Name)
		checkLine(t, "address", a.Address)
		if a.Address == "" || strings.ContainsAny(a.Address, "<>") && !strings.Contains(a.Address, `"`) {
			t.Errorf("bad address %q", a.Address)
		}
	}
}

func FuzzHeader(f *testing.F) {
	files, _ := filepath.Glob("testdata/golden/header-*.eml")
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte("Subject: =?utf-8?B?Y2Fm?= =?utf-8*en?q?=C3=A9?=\r\n x\r\nDate: Mon, 23 Nov 2026 10:11:12 +0100 (CET)\r\n"))
	f.Fuzz(func(t *testing.T, block []byte) {
		for _, lim := range []Limits{DefaultLimits(), smallLimits()} {
			h := ReadHeader(block, lim)
			checkLine(t, "subject", h.Subject())
			checkLine(t, "message id", h.MessageID())
			checkAddresses(t, h.From())
			fields := h.Fields()
			for _, fd := range fields {
				checkLine(t, "value", fd.Value)
				if h.Count(fd.Name) == 0 || len(h.Values(fd.Name)) != h.Count(fd.Name) {
					t.Errorf("field %q not found", fd.Name)
				}
			}
			parseDate(h.Value("Date"))
		}
	})
}

func FuzzAddressList(f *testing.F) {
	for _, s := range []string{
		"A <a@example.com>, b@example.com; c@example.com (C)", `"A, B" <a@example.com>`, `"john doe"@example.com`,
		"Team: a@example.com, B <b@example.com>;", "Doe, John <j@example.com>", "A <a@example.com, B <b@example.com>",
		"< a@example.com >", "'A' <a@[192.0.2.1]>", "<@a,@b:c@d>", "=?utf-8?Q?J=C3=B6rg?= <j@example.com>", `"a\"b`, "(((", "a @ b . c",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, v string) {
		v = guessText([]byte(v))
		list, bad := parseAddresses(v)
		checkAddresses(t, list)
		for _, a := range parseAuthors(v) {
			if a.Valid() != (len(list) > 0) {
				t.Errorf("%q: author %q", v, a.Address)
			}
		}
		if bad < 0 || len(list)+bad > len(v)+1 {
			t.Errorf("%q: %d addresses, %d bad", v, len(list), bad)
		}
		for _, a := range list {
			again, _ := parseAddresses("<" + a.Address + ">")
			if len(again) != 1 || again[0].Address != a.Address {
				t.Errorf("%q: address %q read again as %v", v, a.Address, again)
			}
		}
		for _, id := range scanIDs(v) {
			checkLine(t, "id", id)
		}
	})
}

func FuzzParams(f *testing.F) {
	for _, s := range []string{
		`text/plain; charset=utf-8; name="a \"b\".txt"`, "attachment; filename*0*=utf-8''a%C3; filename*1*=%A9", "a/b (c); d=e (f); g",
		`a/b; name="never closed; x=y`, "a/b name=c charset=d", `attachment; filename="C:\a\"`, "multipart/mixed; boundary==?x?=", "; =; *=; *0*=''",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, v string) {
		p := parseParams(guessText([]byte(v)))
		for name, value := range valuesOf(p) {
			checkLine(t, name, value)
			if n := safeName(value); len(n) > maxNameBytes || strings.ContainsAny(n, `/\`) {
				t.Errorf("%q: unsafe name %q", v, n)
			}
		}
		if c := canonicalType(p.token); c != "" && c != strings.ToLower(c) {
			t.Errorf("%q: type %q", v, c)
		}
		stripComments(v)
	})
}

func FuzzDecoders(f *testing.F) {
	for _, s := range decodeSeeds() {
		f.Add([]byte(s.in), byte(s.tr), uint16(1))
		f.Add([]byte(s.in), byte(s.tr), uint16(2000))
	}
	f.Fuzz(func(t *testing.T, in []byte, tr byte, times uint16) {
		in = bytes.Repeat(in, min(int(times), 1+200_000/(len(in)+1)))
		kind := transfer(tr % 4)
		want := decodeAll(t, in, kind)
		got, err := io.ReadAll(iotest.OneByteReader(newDecoder(bytes.NewReader(in), kind, int64(len(in)))))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("read byte by byte: %d bytes, want %d (%v)", len(got), len(want), err)
		}
		n, err := io.Copy(io.Discard, newDecoder(bytes.NewReader(in), kind, int64(len(in))))
		if err != nil || n != int64(len(want)) {
			t.Errorf("copied: %d bytes, want %d (%v)", n, len(want), err)
		}
		if len(want) > len(in) {
			t.Errorf("%d bytes of %d", len(want), len(in))
		}
		for _, cs := range []string{"", "utf-7", "iso-2022-jp", "utf-16", "gb18030", "windows-1252"} {
			if s := toUTF8(cs, in[:min(len(in), 5000)]); !utf8.ValidString(s) {
				t.Errorf("%s: not UTF-8: %q", cs, s)
			}
		}
	})
}
