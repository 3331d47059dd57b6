package mime

import "strings"

// maxIDBytes bounds one message id: a line of RFC 5322 has at most 998 bytes.
const maxIDBytes = 998

// scanIDs returns the "<...>" of a Message-ID, In-Reply-To or References value
// (RFC 5322 section 3.6.4). Everything around them is ignored, in linear time. A
// single bare id is given its brackets.
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
	if bare := strings.Trim(v, " \t<>"); len(ids) == 0 && strings.Contains(bare, "@") && !strings.ContainsAny(bare, " \t<>,;()\"") {
		ids = appendID(ids, bare)
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
