package simulator

import (
	"strconv"
	"strings"
)

// contentRange is the part of a file in a PUT. first and last are inclusive.
type contentRange struct {
	first, last, total int64
}

func (r contentRange) length() int64 { return r.last - r.first + 1 }

// parseContentRange parses "bytes first-last/total" (RFC 9110 section 14.4). It does not
// accept unknown lengths or unsatisfied ranges, which make no sense in an upload.
func parseContentRange(value string) (contentRange, bool) {
	rest, ok := strings.CutPrefix(value, "bytes ")
	if !ok {
		return contentRange{}, false
	}
	span, total, ok := strings.Cut(rest, "/")
	if !ok {
		return contentRange{}, false
	}
	first, last, ok := strings.Cut(span, "-")
	if !ok {
		return contentRange{}, false
	}
	var r contentRange
	for _, part := range []struct {
		text  string
		value *int64
	}{{first, &r.first}, {last, &r.last}, {total, &r.total}} {
		n, err := strconv.ParseUint(part.text, 10, 63)
		if err != nil {
			return contentRange{}, false
		}
		*part.value = int64(n)
	}
	return r, r.first <= r.last && r.last < r.total
}
