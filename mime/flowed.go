package mime

import "strings"

// unflow removes the soft line breaks of format=flowed text (RFC 3676 section 4): a line
// that ends in a space continues in the next one of the same quote depth. If delSp is
// set, that space is not part of the text.
func unflow(s string, delSp bool) string {
	var out strings.Builder
	out.Grow(len(s))
	flowing, depth := false, 0
	for len(s) > 0 {
		line, rest, _ := strings.Cut(s, "\n")
		s = rest
		line = strings.TrimSuffix(line, "\r")
		d := len(line) - len(strings.TrimLeft(line, ">"))
		line = strings.TrimPrefix(line[d:], " ") // space-stuffing: section 4.4
		if flowing && (d != depth || line == "-- ") {
			out.WriteString("\r\n")
			flowing = false
		}
		if !flowing {
			writeQuotes(&out, d)
		}
		soft := strings.HasSuffix(line, " ") && line != "-- " && s != ""
		if soft && delSp {
			line = line[:len(line)-1]
		}
		out.WriteString(line)
		if !soft {
			out.WriteString("\r\n")
		}
		flowing, depth = soft, d
	}
	return out.String()
}

func writeQuotes(out *strings.Builder, depth int) {
	if depth == 0 {
		return
	}
	out.WriteString(strings.Repeat(">", depth))
	out.WriteByte(' ')
}
