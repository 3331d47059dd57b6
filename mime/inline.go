package mime

import (
	"strings"

	"golang.org/x/net/html"
)

// markInline marks as inline the attachments that the HTML refers to, by their Content-ID.
// If several have one Content-ID, all of them are inline. It removes their IDs.
func markInline(html string, byID map[string][]*Attachment) {
	if len(byID) == 0 {
		return
	}
	eachRef(html, func(id string) {
		for _, a := range byID[id] {
			a.Inline = true
		}
		delete(byID, id)
	})
}

// eachRef calls found with each Content-ID that HTML refers to by a cid: URL (RFC 2392), as
// written and percent-decoded.
func eachRef(s string, found func(id string)) {
	for {
		i := indexCID(s)
		if i < 0 {
			return
		}
		quoted := i > 0 && isRefStart(s[:i])
		s = s[i+4:]
		if !quoted {
			continue
		}
		end := strings.IndexAny(s[:min(len(s), 2*maxIDBytes)], "\"' \t\r\n)<>")
		if end < 0 {
			end = min(len(s), 2*maxIDBytes)
		}
		ref, _, _ := strings.Cut(s[:end], "&quot;")
		for _, id := range refForms(ref) {
			found(id)
		}
		s = s[len(ref):] // which is decoded once, however many references there are in it
	}
}

// refForms returns the Content-IDs that a reference may mean: with HTML entities resolved,
// and also with percent signs decoded.
func refForms(ref string) []string {
	plain := html.UnescapeString(ref)
	return []string{plain, cleanLine(string(percentDecode(nil, plain)))}
}

// indexCID returns the index of "cid:" in upper or lower case, or -1.
func indexCID(s string) int {
	for i := 0; ; {
		j := strings.IndexByte(s[i:], ':')
		if j < 0 {
			return -1
		}
		i += j
		if i >= 3 && strings.EqualFold(s[i-3:i], "cid") {
			return i - 3
		}
		i++
	}
}

// isRefStart reports whether a URL after this text is an attribute's value or in url().
func isRefStart(before string) bool {
	before = strings.TrimRight(before[max(0, len(before)-8):], " \t\r\n")
	if before == "" {
		return false
	}
	return strings.ContainsRune(`"'(=;`, rune(before[len(before)-1]))
}
