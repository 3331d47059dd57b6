package mime

import "strings"

// maxIDBytes bounds a message ID. A line has at most 998 bytes (RFC 5322 section 2.1.1).
const maxIDBytes = 998

// scanIDs returns the message IDs of a Message-ID, In-Reply-To or References value
// (RFC 5322 section 3.6.4), with their angle brackets. It ignores everything else, and
// takes linear time.
func scanIDs(v string) []string {
	var ids []string
	rest := v
	for {
		_, after, ok := strings.Cut(rest, "<")
		if !ok {
			break
		}
		end := strings.IndexAny(after, "<>")
		if end < 0 {
			break
		}
		if after[end] == '>' {
			ids = appendID(ids, after[:end])
			end++
		}
		rest = after[end:]
	}
	if len(ids) == 0 {
		return bareIDs(v)
	}
	return ids
}

// bareIDs returns message IDs without brackets: one word, or several that all contain "@".
func bareIDs(v string) (ids []string) {
	words := strings.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune(" \t,;", r) })
	for _, w := range words {
		if strings.ContainsAny(w, "<>()\"") || (len(words) > 1 && !strings.Contains(w, "@")) {
			return nil
		}
		ids = appendID(ids, w)
	}
	return ids
}

func appendID(ids []string, id string) []string {
	id = strings.Join(strings.Fields(cleanLine(id)), "")
	if id == "" || len(id) > maxIDBytes {
		return ids
	}
	return append(ids, "<"+id+">")
}
