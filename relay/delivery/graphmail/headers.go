package graphmail

import (
	"path"
	"slices"
	"strings"

	"graphrelay/graph"
	"graphrelay/mime"
)

// maxHeaderValue keeps a header within what Exchange stores as one property.
const maxHeaderValue = 995

// chooseHeaders picks the X- fields that Graph is given: at most five of one name
// each, those first that the patterns name first. left names the fields that are
// carried in no way; of a name that is carried, those after the first.
func chooseHeaders(fields []mime.Field, patterns []string) (chosen []graph.Header, left []string) {
	taken := map[string]int{} // which field has the name's place
	for _, p := range patterns {
		for i, f := range fields {
			name := strings.ToLower(f.Name)
			if ok, _ := path.Match(strings.ToLower(p), name); !ok || !settable(name, f.Value) {
				continue
			}
			if _, again := taken[name]; !again && len(chosen) < graph.MaxHeaders {
				taken[name] = i
				chosen = append(chosen, graph.Header{Name: f.Name, Value: f.Value})
			}
		}
	}
	for i, f := range fields {
		name := strings.ToLower(f.Name)
		first, is := taken[name]
		if carried(name) || is && first == i {
			continue
		}
		text := f.Name
		if is {
			text = "another " + text
		}
		if !slices.Contains(left, text) && len(left) < maxNamed {
			left = append(left, text)
		}
	}
	return chosen, left
}

// maxNamed bounds how many fields a note names.
const maxNamed = 30

// settable tells whether Graph takes the field as an internetMessageHeader. Those
// that begin with X-MS-Exchange- Exchange keeps to itself.
func settable(name, value string) bool {
	return strings.HasPrefix(name, "x-") && !strings.HasPrefix(name, "x-ms-exchange-") && !carried(name) &&
		value != "" && len(value) <= maxHeaderValue
}

// carried tells of a field (in lower case) that it has a place of its own in the
// message, or that it only describes its MIME form.
func carried(name string) bool {
	switch name {
	case "from", "sender", "reply-to", "to", "cc", "bcc", "subject", "message-id", "in-reply-to", "references",
		"importance", "x-priority", "x-msmail-priority", "priority", "sensitivity", "list-unsubscribe",
		"disposition-notification-to", "return-receipt-to", "mime-version", "return-path",
		"content-type", "content-transfer-encoding", "content-disposition", "content-id", "content-description",
		"content-location", "content-md5":
		return true
	}
	return false
}
