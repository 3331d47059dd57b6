package graphmail

import (
	"slices"
	"strings"

	"graphrelay/graph"
	"graphrelay/mime"
)

// maxHeaderValue is the length of value that Exchange stores as one property.
const maxHeaderValue = 995

// chooseHeaders returns the X- fields that Graph is given: at most five with different
// names, in the order of the patterns. left names the fields that are not carried at all,
// among them those that repeat a name that is.
func chooseHeaders(fields []mime.Field, patterns []string) (chosen []graph.Header, left []string) {
	taken := map[string]int{} // the index of the field that is carried, by name
	for _, p := range patterns {
		for i, f := range fields {
			name := strings.ToLower(f.Name)
			if !matches(p, name) || !settable(name, f.Value) {
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

// notCarried returns the report on fields that are not carried.
func notCarried(left []string) (report []finding) {
	var trace, lost []string
	for _, name := range left {
		if low := strings.TrimPrefix(strings.ToLower(name), "another "); isTrace(low) || isNoise(low) {
			trace = append(trace, name)
		} else {
			lost = append(lost, name)
		}
	}
	if len(trace) > 0 {
		report = append(report, finding{"", "not carried: " + strings.Join(trace, ", ")})
	}
	if len(lost) > 0 {
		report = append(report, finding{LossHeader, "not carried: " + strings.Join(lost, ", ")})
	}
	return report
}

// isTrace reports whether the field of this name, in lower case, only tells how or by what
// program the message came here. Exchange writes its own, so that nothing is lost with it.
func isTrace(name string) bool {
	switch name {
	case "date", "received", "received-spf", "user-agent", "dkim-signature", "domainkey-signature",
		"authentication-results", "delivered-to", "errors-to", "status", "lines", "content-length":
		return true
	}
	return strings.HasPrefix(name, "arc-")
}

// maxNamed is how many fields a note names at most.
const maxNamed = 30

// settable reports whether Graph accepts the field as an internetMessageHeader. Those that
// begin with X-MS-Exchange- are reserved for Exchange.
func settable(name, value string) bool {
	return strings.HasPrefix(name, "x-") && !strings.HasPrefix(name, "x-ms-exchange-") && !carried(name) &&
		value != "" && len(value) <= maxHeaderValue
}

// carried reports whether the field of this name, in lower case, is carried otherwise: it
// has a place of its own in Graph's message, or only describes the MIME form.
func carried(name string) bool {
	switch name {
	case "from", "sender", "reply-to", "to", "cc", "bcc", "subject", "message-id", "in-reply-to", "references",
		"importance", "x-priority", "x-msmail-priority", "priority", "sensitivity", "list-unsubscribe",
		"disposition-notification-to", "return-receipt-to", "mime-version", "return-path",
		"content-type", "content-transfer-encoding", "content-disposition", "content-id", "content-description",
		"content-location", "content-md5", "x-auto-response-suppress":
		return true
	}
	return false
}
