package reports

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"graphrelay/internal/text"
	"graphrelay/mime"
	"graphrelay/relay/bounce"
)

// report is what a delivery status notification (RFC 3464) says of recipients that were not
// reached. All of it is untrusted text.
type report struct {
	messageID string       // of the message that it is about
	header    *mime.Header // of that message, as far as it was returned
	failed    []failure
}

// failure is what a report says of one recipient.
type failure struct {
	addresses  []string // Final-Recipient, and Original-Recipient if there is one
	code       string   // enhanced status code; empty if it is not valid
	diagnostic string
}

// The bounds of a report.
const (
	maxStatus     = 128 << 10 // bytes of its fields
	maxReturned   = 64 << 10  // bytes that are read of the message that it returns
	maxFailures   = 500       // as many as a message has recipients
	maxDiagnostic = 500
)

func reportLimits() mime.Limits {
	return mime.Limits{Depth: 10, Parts: 50, HeaderBytes: 64 << 10, HeaderFields: 500, ValueBytes: 8 << 10, BodyBytes: 64 << 10}
}

// parseReport reads a non-delivery report. The error says why the message is none.
func parseReport(raw []byte) (r report, err error) {
	m, err := mime.Parse(bytes.NewReader(raw), int64(len(raw)), reportLimits())
	if err != nil {
		return r, err
	}
	head := mime.ReadHeader(raw, reportLimits())
	switch {
	case m.Kind != mime.KindReport || !strings.Contains(strings.ToLower(head.Value("Content-Type")), "delivery-status"):
		return r, errors.New("it is no multipart/report of delivery-status")
	case !automatic(head):
		return r, errors.New("it does not say that a program wrote it")
	}
	status, ok := partOf(m, maxStatus, "message/delivery-status", "message/global-delivery-status")
	if !ok {
		return r, errors.New("it has no message/delivery-status")
	}
	returned, _ := partOf(m, maxReturned, "message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers")
	r.header = mime.ReadHeader(returned, reportLimits())
	groups := groupsOf(status)
	if r.messageID, err = messageIDOf(head, groups, r.header); err != nil {
		return r, err
	}
	for _, g := range groups {
		if f, ok := failureOf(g); ok && len(r.failed) < maxFailures {
			r.failed = append(r.failed, f)
		}
	}
	if len(r.failed) == 0 {
		return r, errors.New("it reports no failure")
	}
	return r, nil
}

// automatic reports whether the header has one of the signs of a message that a program wrote:
// the null return path (RFC 5321 section 4.5.5), Auto-Submitted (RFC 3834 section 5), Exchange's
// mark of a non-delivery report, or an author who is a program.
func automatic(h *mime.Header) bool {
	submitted := strings.ToLower(strings.TrimSpace(h.Value("Auto-Submitted")))
	return strings.TrimSpace(h.Value("Return-Path")) == "<>" || submitted != "" && submitted != "no" ||
		h.Count("X-MS-Exchange-Message-Is-Ndr") > 0 ||
		slices.ContainsFunc(h.From(), func(a mime.Address) bool { return automaticAddress(a.Address) })
}

// automaticAddress reports whether an address is one from which reports come. The long one is
// Exchange's, in every tenant.
func automaticAddress(address string) bool {
	local, _, _ := strings.Cut(strings.ToLower(address), "@")
	return local == "microsoftexchange329e71ec88ae4615bbc36ab6ce41109e" || local == "postmaster" || local == "mailer-daemon"
}

// partOf returns the beginning of the first part of one of the types.
func partOf(m *mime.Message, limit int64, types ...string) ([]byte, bool) {
	for _, a := range m.Attachments {
		if slices.Contains(types, a.ContentType) {
			content, err := io.ReadAll(io.LimitReader(a.Open(), limit))
			return content, err == nil
		}
	}
	return nil, false
}

// groupsOf returns the groups of fields: that of the message, then those of the recipients
// (RFC 3464 section 2.1).
func groupsOf(status []byte) (groups []*mime.Header) {
	status = bytes.ReplaceAll(status, []byte("\r\n"), []byte("\n"))
	for block := range bytes.SplitSeq(status, []byte("\n\n")) {
		if block = bytes.Trim(block, "\n"); len(block) > 0 && len(groups) <= maxFailures {
			groups = append(groups, mime.ReadHeader(block, reportLimits()))
		}
	}
	return groups
}

// messageIDOf returns the Message-ID of the message that a report is about: what the returned
// header and the fields say, which have to agree, or else what the report answers.
func messageIDOf(head *mime.Header, groups []*mime.Header, returned *mime.Header) (string, error) {
	ids := []string{returned.MessageID()}
	for _, g := range groups {
		ids = append(ids, idIn(g, "Original-Message-ID"), idIn(g, "X-Original-Message-ID"))
	}
	ids = append(ids, idIn(head, "X-Original-Message-ID"))
	ids = slices.DeleteFunc(ids, func(id string) bool { return id == "" })
	if len(ids) == 0 {
		ids = []string{idIn(head, "In-Reply-To")}
	}
	ids = slices.Compact(ids)
	switch {
	case len(ids) > 1:
		return "", errors.New("it names several messages")
	case ids[0] == "":
		return "", errors.New("it names no message")
	}
	return ids[0], nil
}

// idIn returns the Message-ID that is the value of a field, or "".
func idIn(h *mime.Header, name string) string {
	value := h.Value(name)
	if value == "" {
		return ""
	}
	return mime.ReadHeader([]byte("Message-ID: "+text.OneLine(value)+"\r\n"), reportLimits()).MessageID()
}

// failureOf returns what the fields of a recipient say (RFC 3464 section 2.3), if that is a
// failure: what was delivered, relayed, expanded or delayed changes nothing.
func failureOf(g *mime.Header) (f failure, ok bool) {
	if strings.ToLower(word(g.Value("Action"))) != "failed" {
		return f, false
	}
	for _, name := range []string{"Final-Recipient", "Original-Recipient"} {
		if a := typedAddress(g.Value(name)); a != "" {
			f.addresses = append(f.addresses, a)
		}
	}
	f.diagnostic = text.Shorten(text.OneLine(untyped(g.Value("Diagnostic-Code"))), maxDiagnostic)
	f.code = codeOf(word(g.Value("Status")), f.diagnostic)
	return f, len(f.addresses) > 0
}

// word returns the first word of a value, without a comment behind it.
func word(value string) string {
	value, _, _ = strings.Cut(strings.TrimSpace(value), "(")
	value, _, _ = strings.Cut(value, " ")
	return value
}

// untyped returns a value without its type, such as "smtp;".
func untyped(value string) string {
	if kind, rest, ok := strings.Cut(value, ";"); ok && !strings.Contains(strings.TrimSpace(kind), " ") {
		return strings.TrimSpace(rest)
	}
	return value
}

// codeOf returns the enhanced status code, "" if there is no valid one. One that says nothing,
// such as 5.0.0, is replaced by that in the diagnostic if there is one.
func codeOf(status, diagnostic string) string {
	if bounce.ValidCode(status) && !strings.HasSuffix(status, ".0.0") {
		return status
	}
	for w := range strings.FieldsSeq(diagnostic[:min(len(diagnostic), 40)]) {
		if w = strings.Trim(w, ":-"); bounce.ValidCode(w) {
			return w
		}
	}
	if bounce.ValidCode(status) {
		return status
	}
	return ""
}

// embedded is a character in an address that is not ASCII (RFC 6533 section 3).
var embedded = regexp.MustCompile(`\\x\{[0-9A-Fa-f]{2,6}\}`)

// typedAddress returns the address of a value such as "rfc822;anna@contoso.test".
func typedAddress(value string) string {
	kind, address, ok := strings.Cut(value, ";")
	if !ok {
		return ""
	}
	address = strings.Trim(strings.TrimSpace(address), "<>")
	if strings.EqualFold(strings.TrimSpace(kind), "utf-8") {
		address = embedded.ReplaceAllStringFunc(address, func(s string) string {
			n, _ := strconv.ParseInt(s[3:len(s)-1], 16, 32) // the pattern matches digits only
			return string(rune(n))
		})
	}
	return address
}
