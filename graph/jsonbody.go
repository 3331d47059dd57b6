package graph

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"
)

// insert is a long string in JSON that is encoded while it is sent, so that it is never in
// memory as a whole.
type insert struct {
	at     string // a key with an empty string, the next one of which gets the content
	length int64  // of what is read, without quotes
	open   func() io.Reader
}

// json makes v the body of the request.
func (r *request) json(v any) error { return r.jsonWith(v) }

// jsonWith makes v the body of the request, with the inserts in their order. (No JSON string
// can contain the place of an insert: its quotes would be escaped.)
func (r *request) jsonWith(v any, inserts ...insert) error {
	rest, err := encodeJSON(v)
	if err != nil {
		return fmt.Errorf("%s: %w", r.op, err)
	}
	r.contentType, r.length = "application/json", int64(len(rest))
	var pieces []func() io.Reader
	text := func(b []byte) { pieces = append(pieces, func() io.Reader { return bytes.NewReader(b) }) }
	for _, in := range inserts {
		cut := bytes.Index(rest, []byte(in.at)) + len(in.at) - 1
		text(rest[:cut])
		pieces = append(pieces, in.open)
		r.length += in.length
		rest = rest[cut:]
	}
	text(rest)
	if len(pieces) == 1 {
		r.body = pieces[0] // which net/http copies without a buffer
		return nil
	}
	r.body = func() io.Reader {
		readers := make([]io.Reader, len(pieces))
		for i, open := range pieces {
			readers[i] = open()
		}
		return struct{ io.Reader }{io.MultiReader(readers...)} // without its WriteTo, which allocates a buffer
	}
	return nil
}

func encodeJSON(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false) // escapes would count against MaxRequestBytes
	err := enc.Encode(v)
	return buf.Bytes(), err
}

// jsonReader encodes a text as the inside of a JSON string.
type jsonReader struct {
	rest string
	out  []byte // what is encoded and not yet read
}

// jsonPiece is how many bytes of the text are encoded at a time.
const jsonPiece = 4 << 10

// Read implements io.Reader.
func (j *jsonReader) Read(p []byte) (int, error) {
	for len(j.out) == 0 {
		if j.rest == "" {
			return 0, io.EOF
		}
		n := min(jsonPiece, len(j.rest))
		for back := 0; n < len(j.rest) && back < utf8.UTFMax-1 && !utf8.RuneStart(j.rest[n]); back++ {
			n-- // not within a character
		}
		quoted, err := encodeJSON(j.rest[:n])
		if err != nil {
			return 0, err
		}
		j.out = bytes.TrimSuffix(quoted, []byte("\n"))
		j.out, j.rest = j.out[1:len(j.out)-1], j.rest[n:]
	}
	n := copy(p, j.out)
	j.out = j.out[n:]
	return n, nil
}
