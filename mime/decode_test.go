package mime

import (
	"bytes"
	"encoding/base64"
	"io"
	"math/rand/v2"
	"mime/quotedprintable"
	"strings"
	"testing"
	"testing/iotest"
)

func decodeAll(t testing.TB, in []byte, tr transfer) []byte {
	t.Helper()
	out, err := io.ReadAll(newDecoder(bytes.NewReader(in), tr, int64(len(in))))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestDecodeLong decodes long data in lines of odd lengths, read in small pieces.
func TestDecodeLong(t *testing.T) {
	data := make([]byte, 300_001)
	rand.NewChaCha8([32]byte{2}).Read(data)
	for _, width := range []int{1, 3, 60, 76, 77, 1000, 1 << 20} {
		for _, end := range []string{"\n", "\r\n"} {
			in := wrapLines(base64.StdEncoding.EncodeToString(data), width, end)
			if got := decodeAll(t, in, transferBase64); !bytes.Equal(got, data) {
				t.Errorf("base64 in lines of %d: %d bytes differ", width, len(got))
			}
			in = append(in[:100:100], append([]byte("\x00!\n"), in[100:]...)...)
			if got := decodeAll(t, in, transferBase64); !bytes.Equal(got, data) {
				t.Errorf("base64 in lines of %d with junk: %d bytes differ", width, len(got))
			}
		}
	}
	var qp bytes.Buffer
	w := quotedprintable.NewWriter(&qp)
	w.Binary = true
	w.Write(data)
	w.Close()
	if got := decodeAll(t, qp.Bytes(), transferQP); !bytes.Equal(got, data) {
		t.Errorf("quoted-printable: %d bytes differ", len(got))
	}
}

func wrapLines(s string, width int, end string) []byte {
	var b bytes.Buffer
	for len(s) > 0 {
		n := min(width, len(s))
		b.WriteString(s[:n] + end)
		s = s[n:]
	}
	return b.Bytes()
}

// TestDecodeReads checks that the way of reading does not change what is read.
func TestDecodeReads(t *testing.T) {
	for _, c := range decodeSeeds() {
		in := []byte(strings.Repeat(c.in, 3000))
		want := decodeAll(t, in, c.tr)
		r := newDecoder(bytes.NewReader(in), c.tr, int64(len(in)))
		if got, err := io.ReadAll(iotest.OneByteReader(r)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%q byte by byte: %d bytes, want %d (%v)", c.in, len(got), len(want), err)
		}
		large := make([]byte, len(in))
		r = newDecoder(iotest.HalfReader(bytes.NewReader(in)), c.tr, int64(len(in)))
		if n, err := io.ReadFull(r, large); err != io.ErrUnexpectedEOF && err != io.EOF && err != nil || !bytes.Equal(large[:n], want) {
			t.Errorf("%q at once: %d bytes, want %d (%v)", c.in, n, len(want), err)
		}
	}
}

type decodeSeed struct {
	in   string
	tr   transfer
	want string
}

func decodeSeeds() []decodeSeed {
	return []decodeSeed{
		{"", transferBase64, ""},
		{"YQ==", transferBase64, "a"},
		{"YQ", transferBase64, "a"},
		{"YWI", transferBase64, "ab"},
		{"YWJjZ", transferBase64, "abc"},
		{"Y Q\t=\r\n=", transferBase64, "a"},
		{"=YQ==", transferBase64, "a"},
		{"YQ==YQ==", transferBase64, "aa"},
		{"YQ==\r\nYWI=\r\n", transferBase64, "aab"},
		{"JVBERi0xLjQgc2VnMQo=c2Vjb25kIHNlZ21lbnQuLgo=dGhpcmQK", transferBase64, "%PDF-1.4 seg1\nsecond segment..\nthird\n"},
		{"YQ==YWI=\r\nYWJj=YQ==", transferBase64, "aababca"},
		{"YQ==\r\n-- \r\nfooter text", transferBase64, "a"},
		{"Pz8_", transferBase64, "???"},
		{"YW J-j_\r\nPz8_", transferBase64, "abc???"},
		{"a=3Db=\r\nc", transferQP, "a=bc"},
		{"=C3=a9", transferQP, "é"},
		{"= \t\r\nx", transferQP, "x"},
		{"=\rx=", transferQP, "=\rx"},
		{"==41", transferQP, "=A"},
		{"trailing blanks  \r\n", transferQP, "trailing blanks  \r\n"},
		{"begin 644 x\n#0V%T\n`\nend\njunk", transferUU, "Cat"},
		{"text in front\r\nbegin 644 x\r\n#0V%T\r\nend\r\n", transferUU, "Cat"},
		{"no begin\n#0V%T\n", transferUU, ""},
	}
}

func TestDecode(t *testing.T) {
	for _, c := range decodeSeeds() {
		if got := decodeAll(t, []byte(c.in), c.tr); string(got) != c.want {
			t.Errorf("%q: got %q, want %q", c.in, got, c.want)
		}
	}
}

func TestDecodeReadError(t *testing.T) {
	r := newDecoder(iotest.ErrReader(io.ErrClosedPipe), transferBase64, 10)
	if _, err := io.ReadAll(r); err != io.ErrClosedPipe {
		t.Errorf("got %v", err)
	}
}

func TestParseReadError(t *testing.T) {
	raw := withAttachment(1<<20, 76, "\r\n")
	for _, have := range []int{0, 100, 300 << 10, len(raw) - 1} {
		if _, err := Parse(bytes.NewReader(raw[:have]), int64(len(raw)), DefaultLimits()); err == nil {
			t.Errorf("message cut to %d bytes: no error", have)
		}
	}
}

func TestParseTransfer(t *testing.T) {
	for in, want := range map[string]transfer{
		"base64": transferBase64, " BASE64 ": transferBase64, "base64;": transferBase64, "base64 (c)": transferBase64,
		`"base64"`: transferBase64, "base-64-encoded": transferBase64, "quoted/printable": transferQP, "Quoted-Printable": transferQP, "quoted_printable": transferQP,
		"x-uuencode": transferUU, "8-bit": identity, "binary": identity, "": identity, "rot13": identity,
	} {
		if got, ok := parseTransfer(in); got != want || ok == (in == "rot13") {
			t.Errorf("%q: got %v, %v", in, got, ok)
		}
	}
}

// TestUUBlockPositions moves a uuencoded file over the end of the window of the search.
func TestUUBlockPositions(t *testing.T) {
	for shift := range 40 {
		text := strings.Repeat("some lines of text\n", windowBytes/19) + strings.Repeat("x", shift) + "\n"
		raw := "Subject: x\n\n" + text + string(uuencode("f", []byte("content"))) + "\nafter\n"
		m := parseBytes(t, []byte(raw))
		if len(m.Attachments) != 1 || string(readAttachment(t, m.Attachments[0])) != "content" || m.Text != text+"after\n" {
			t.Fatalf("shift %d: %d attachments, text ends with %q", shift, len(m.Attachments), m.Text[len(m.Text)-20:])
		}
	}
}
