package text

import (
	"bytes"
	"encoding/binary"
	"errors"
	"unicode/utf16"
)

var errUTF16 = errors.New("is UTF-16 that cannot be read; save it as UTF-8")

// Decode returns the UTF-8 of a text file as Windows programs write them: with a byte order
// mark, which is no part of the text, or as UTF-16 with one. UTF-16 without a mark is an
// error, and so is any other text with a NUL.
func Decode(data []byte) ([]byte, error) {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		data = data[3:]
	case bytes.HasPrefix(data, []byte("\xff\xfe")):
		order = binary.LittleEndian
	case bytes.HasPrefix(data, []byte("\xfe\xff")):
		order = binary.BigEndian
	}
	if order != nil {
		if len(data)%2 != 0 {
			return nil, errUTF16
		}
		var units []uint16
		for rest := data[2:]; len(rest) > 0; rest = rest[2:] {
			units = append(units, order.Uint16(rest))
		}
		data = []byte(string(utf16.Decode(units)))
	}
	if bytes.IndexByte(data, 0) >= 0 {
		return nil, errUTF16
	}
	return data, nil
}
