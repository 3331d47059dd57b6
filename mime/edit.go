package mime

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/mail"
	"slices"
	"strings"
)

// ErrHeaderTooLarge is returned for a header that is too large to be edited.
var ErrHeaderTooLarge = errors.New("the header is larger than the limit")

// EditHeader returns the top header of the message with the fields of set in place of
// those of the same names, and the offset at which the body begins. A field of set with
// an empty value is only removed. The other fields keep their order and folding, and the
// body is not changed, so that signatures of it stay valid. Like Parse, it passes over empty lines
// before the header.
//
// Values are written unchanged: they must be ASCII or UTF-8, folded if they are long
// (RFC 5322 section 2.2.3), without other line breaks.
func EditHeader(r io.ReaderAt, size int64, lim Limits, set []Field) (head []byte, body int64, err error) {
	src := newSource(r, max(0, size))
	defer src.close()
	start := skipEmptyLines(src)
	_, body = readHeader(src, start, lim, nil)
	if src.err != nil {
		return nil, 0, src.err
	}
	if body-start > 2*int64(lim.HeaderBytes) {
		return nil, 0, fmt.Errorf("%w: %d bytes", ErrHeaderTooLarge, body-start)
	}
	raw := make([]byte, body-start)
	if _, err := io.ReadFull(io.NewSectionReader(r, start, body-start), raw); err != nil {
		return nil, 0, err
	}
	var out bytes.Buffer
	copyFields(&out, raw, set)
	for _, f := range set {
		if f.Value != "" {
			fmt.Fprintf(&out, "%s: %s\r\n", f.Name, f.Value)
		}
	}
	out.WriteString("\r\n")
	return out.Bytes(), body, nil
}

// copyFields copies the fields of raw except those that set names. It reads lines as
// headerReader does, and leaves out those that are not fields and their continuations:
// they could be the rest of a removed field, such as a Bcc list whose second line lost its
// indentation, or another reader could take them for the end of the header.
func copyFields(out *bytes.Buffer, raw []byte, set []Field) {
	keep := false
	var last []byte // the last line written
	for i, line := range bytes.Split(raw, []byte("\n")) {
		text := bytes.TrimRight(line, "\r")
		if i == 0 {
			text = bytes.TrimLeft(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), " \t")
		}
		switch {
		case len(text) == 0 || i == 0 && isMboxLine(text):
			continue
		case i > 0 && isBlank(text[0]):
		case isField(text):
			keep = !named(text, set)
		case keep && lostParameter(last, text):
			text = append([]byte("\t"), text...)
		default:
			keep = false
		}
		if keep {
			last = blankControls(text)
			out.Write(last)
			out.WriteString("\r\n")
		}
	}
}

// blankControls replaces control characters, which other readers may take for the end of a
// line, by spaces. It works on bytes, since the header may be in Latin-1.
func blankControls(line []byte) []byte {
	out := bytes.Clone(line)
	for i, c := range out {
		if c < ' ' && c != '\t' || c == 0x7f {
			out[i] = ' '
		}
	}
	return out
}

func isField(line []byte) bool {
	_, _, ok := splitField(line)
	return ok
}

// named reports whether line is a field that set names.
func named(line []byte, set []Field) bool {
	name, _, ok := splitField(line)
	return ok && slices.ContainsFunc(set, func(f Field) bool { return strings.EqualFold(f.Name, string(name)) })
}

// FormatAddresses returns an address list (RFC 5322 section 3.4) with encoded names
// (RFC 2047), folded after each address.
func FormatAddresses(list []Address) string {
	out := make([]string, len(list))
	for i, a := range list {
		out[i] = (&mail.Address{Name: a.Name, Address: a.Address}).String()
	}
	return strings.Join(out, ",\r\n\t")
}
