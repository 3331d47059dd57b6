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

// ErrHeaderTooLarge tells that a header cannot be edited within the limits.
var ErrHeaderTooLarge = errors.New("the header is larger than the limit")

// EditHeader returns the top header of the message with the fields of set in place
// of those that have their names, and the offset at which the body begins. An
// empty value only removes. Everything else, the order and the folding of the
// other fields included, is as it came; what follows the offset is not touched,
// so that a signature over it holds.
//
// A value is written as it is: it must be ASCII or UTF-8, folded where it is long
// (RFC 5322 section 2.2.3), without any other line break.
func EditHeader(r io.ReaderAt, size int64, lim Limits, set []Field) (head []byte, body int64, err error) {
	src := newSource(r, max(0, size))
	_, body = readHeader(src, 0, lim, nil)
	if src.err != nil {
		return nil, 0, src.err
	}
	if body > 2*int64(lim.HeaderBytes) {
		return nil, 0, fmt.Errorf("%w: %d bytes", ErrHeaderTooLarge, body)
	}
	raw := make([]byte, body)
	if _, err := io.ReadFull(io.NewSectionReader(r, 0, body), raw); err != nil {
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

// copyFields copies the lines of raw but for the fields of set, the empty line at
// the end, and a "From " line of an mbox in front.
func copyFields(out *bytes.Buffer, raw []byte, set []Field) {
	keep := true
	for i, line := range bytes.SplitAfter(raw, []byte("\n")) {
		text := bytes.TrimRight(line, "\r\n")
		if i == 0 { // as headerReader.add reads it
			text = bytes.TrimLeft(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), " \t")
		}
		if len(text) == 0 || i == 0 && isMboxLine(text) {
			continue
		}
		if i == 0 || !isBlank(text[0]) {
			keep = !named(text, set)
		}
		if keep {
			out.Write(text)
			out.WriteString("\r\n")
		}
	}
}

func named(line []byte, set []Field) bool {
	name, _, ok := splitField(line)
	return ok && slices.ContainsFunc(set, func(f Field) bool { return strings.EqualFold(f.Name, name) })
}

// FormatAddresses writes an address list (RFC 5322 section 3.4), names encoded
// (RFC 2047), one address a line.
func FormatAddresses(list []Address) string {
	out := make([]string, len(list))
	for i, a := range list {
		out[i] = (&mail.Address{Name: a.Name, Address: a.Address}).String()
	}
	return strings.Join(out, ",\r\n\t")
}
