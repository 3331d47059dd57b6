package mime

import (
	"path"
	"sort"
	"strconv"
	"strings"
	"unicode"
)

// params is a parsed Content-Type or Content-Disposition value: the token at its beginning, in lower
// case, and the parameters.
type params struct {
	token    string
	sections []section
}

// section is one section of a parameter (RFC 2231 section 3). index is -1 if the value is
// not split.
type section struct {
	name    string // of the parameter, in lower case
	index   int
	encoded bool
	value   string
}

// parseParams parses "token; name=value; ...". It accepts missing semicolons, comments,
// junk, unquoted blanks and quoted strings without an end.
func parseParams(v string) params {
	s := paramScanner{rest: v, fresh: len(v)}
	p := params{token: s.token()}
	for {
		name, value, ok := s.next()
		if !ok {
			return p
		}
		p.sections = append(p.sections, newSection(name, value))
	}
}

// get returns the value of a parameter, "" if there is none. Of two with one name it is the first.
func (p params) get(name string) string {
	var of []section
	for i, s := range p.sections {
		switch {
		case s.name != name:
		case of == nil:
			of = p.sections[i : i+1 : i+1] // most have one section, which append copies
		default:
			of = append(of, s)
		}
	}
	if of == nil {
		return ""
	}
	return joinSections(of)
}

// paramScanner splits a value into parameters. It looks at each byte a bounded number of
// times.
type paramScanner struct {
	rest string
	open bool // no comment ends in rest

	fresh int // bytes at the end of rest in which a quotation mark may end a value: before them none does
}

// token returns the token before the parameters, or "" if the value begins with a parameter.
func (s *paramScanner) token() string {
	s.rest = strings.TrimLeft(s.rest, " \t\"'")
	i := strings.IndexAny(s.rest, " \t;=,(")
	if i < 0 {
		i = len(s.rest)
	}
	if strings.HasPrefix(strings.TrimLeft(s.rest[i:], " \t"), "=") {
		return ""
	}
	t := strings.Trim(s.rest[:i], "\"'")
	s.rest = s.rest[i:]
	return strings.ToLower(t)
}

func (s *paramScanner) next() (name, value string, ok bool) {
	for {
		s.rest = strings.TrimLeft(s.rest, " \t\r\n;,")
		if s.rest == "" {
			return "", "", false
		}
		i := strings.IndexAny(s.rest, "=; \t")
		if i < 0 {
			return "", "", false
		}
		after := s.dropFirstComment(strings.TrimLeft(s.rest[i:], " \t"))
		name = s.rest[:i]
		s.rest = after
		if after != "" && after[0] == '=' {
			break
		}
	}
	s.rest = strings.TrimLeft(s.rest[1:], " \t")
	if strings.HasPrefix(s.rest, `"`) {
		value = s.quoted()
	} else {
		value = s.unquoted(strings.Contains(strings.ToLower(name), "name"))
	}
	return strings.ToLower(strings.Trim(name, "\"'")), value, true
}

// dropFirstComment removes a comment at the beginning of text, and the blanks behind it.
func (s *paramScanner) dropFirstComment(text string) string {
	if s.open || !strings.HasPrefix(text, "(") {
		return text
	}
	if i := strings.IndexByte(text, ')'); i > 0 {
		return strings.TrimLeft(text[i+1:], " \t")
	}
	s.open = true
	return text
}

// quoted reads a quoted string (RFC 2045 section 5.1). A quotation mark inside that the
// value goes on after is a plain character. So is a backslash, as in C:\report.pdf, unless
// a quotation mark or a backslash follows it.
func (s *paramScanner) quoted() string {
	end := s.closingQuote()
	if end < 0 {
		v := s.rest[1:]
		if i := strings.IndexByte(v, ';'); i >= 0 {
			v = v[:i]
		}
		s.rest = s.rest[1+len(v):]
		return strings.TrimRight(v, " \t\"")
	}
	v := s.rest[1:end]
	s.rest = s.rest[end+1:]
	return unescape(v)
}

// closingQuote returns the index of the quotation mark that ends the quoted string at the
// beginning of rest, or -1.
func (s *paramScanner) closingQuote() int {
	v := s.rest
	if n := len(v) - s.fresh; n > 1 {
		if i := firstQuote(v[:n]); i > 0 {
			return i
		}
	}
	first, i := -1, 1
	for ; i < len(v) && (v[i] != ';' || first < 0); i++ {
		switch {
		case v[i] == '\\' && i+1 < len(v) && (v[i+1] == '\\' || v[i+1] == '"' && !endsValue(v[i+2:])):
			i++
		case v[i] == '"' && endsValue(v[i+1:]):
			return i
		case v[i] == '"' && first < 0:
			first = i
		}
	}
	s.fresh = max(0, len(v)-i)
	return first
}

// firstQuote returns the index of the first quotation mark behind that at the beginning of v, or -1.
func firstQuote(v string) int {
	for i := 1; i < len(v); i++ {
		switch {
		case v[i] == '\\' && i+1 < len(v) && (v[i+1] == '\\' || v[i+1] == '"'):
			i++
		case v[i] == '"':
			return i
		}
	}
	return -1
}

// endsValue reports whether the value ends before rest, which follows a quotation mark.
func endsValue(rest string) bool {
	rest = strings.TrimLeft(rest[:min(len(rest), 80)], " \t\r\n")
	return rest == "" || rest[0] == ';' || startsParameter(rest)
}

// startsParameter reports whether s begins with the name of a MIME parameter and "=". It
// finds where a semicolon is missing.
func startsParameter(s string) bool {
	i := strings.IndexByte(s[:min(len(s), 40)], '=')
	if i < 0 {
		return false
	}
	name, _, _ := strings.Cut(strings.ToLower(strings.TrimRight(s[:i], " \t")), "*")
	switch name {
	case "name", "filename", "charset", "boundary", "type", "format", "delsp", "method",
		"protocol", "micalg", "smime-type", "report-type", "start", "size", "access-type",
		"creation-date", "modification-date", "read-date", "reply-type":
		return true
	}
	return false
}

func unescape(v string) string {
	if !strings.Contains(v, `\`) {
		return v
	}
	return unescapes.Replace(v)
}

// unquoted reads up to the semicolon, blanks included, or up to the next parameter.
// Parentheses are comments, except in file names, as in report (1).pdf.
func (s *paramScanner) unquoted(isName bool) string {
	end := strings.IndexByte(s.rest, ';')
	if end < 0 {
		end = len(s.rest)
	}
	for i := 0; i < end; i++ {
		if isBlank(s.rest[i]) && startsParameter(strings.TrimLeft(s.rest[i:min(end, i+80)], " \t")) {
			end = i
		}
	}
	v := s.rest[:end]
	s.rest = s.rest[end:]
	if isName {
		return dropLastComment(strings.TrimSpace(v))
	}
	return strings.TrimSpace(stripComments(v))
}

// dropLastComment removes comments behind an unquoted file name. A number in parentheses is
// part of a name without extension, as in "report (2)": it counts copies.
func dropLastComment(v string) string {
	for strings.HasSuffix(v, ")") && len(v) <= 4*maxNameBytes {
		i, depth := len(v), 0
		for i--; i >= 0; i-- {
			switch v[i] {
			case ')':
				depth++
			case '(':
				depth--
			}
			if depth == 0 {
				break
			}
		}
		if i <= 0 {
			return v
		}
		name := strings.TrimSpace(v[:i])
		isNumber := strings.Trim(v[i:], "()0123456789") == ""
		if name == "" || isNumber && !hasExtension(name) {
			return v
		}
		v = name
	}
	return v
}

// hasExtension reports whether a file name ends in a usual extension.
func hasExtension(name string) bool {
	ext := path.Ext(name)
	return len(ext) >= 2 && len(ext) <= 6 && isToken(ext[1:]) && strings.ContainsFunc(ext, unicode.IsLetter)
}

// newSection returns the section "name*1*" (RFC 2231 section 4.1).
func newSection(name, value string) section {
	base, rest, star := strings.Cut(name, "*")
	sec := section{name: base, index: -1, value: value}
	if !star {
		return sec
	}
	sec.encoded = rest == "" || strings.HasSuffix(rest, "*")
	n, err := strconv.Atoi(strings.TrimSuffix(rest, "*"))
	if err == nil && n >= 0 {
		sec.index = n
	}
	return sec
}

// joinSections returns the value of a parameter from its sections. It prefers those of
// RFC 2231 to a plain value.
func joinSections(secs []section) string {
	var numbered []section
	for _, s := range secs {
		if s.index >= 0 {
			numbered = append(numbered, s)
		} else if s.encoded {
			charset, v := splitCharset(s.value)
			return decodeText(toUTF8(charset, percentDecode(nil, reencode(charset, v))))
		}
	}
	if len(numbered) > 0 {
		return joinNumbered(numbered)
	}
	return decodeText(secs[0].value)
}

// joinNumbered joins sections in the order of their numbers (RFC 2231 section 3). It
// ignores gaps and repeated numbers.
func joinNumbered(secs []section) string {
	sort.SliceStable(secs, func(i, j int) bool { return secs[i].index < secs[j].index })
	charset, extended := "", false
	var raw []byte
	for i, s := range secs {
		if i > 0 && s.index == secs[i-1].index {
			continue
		}
		v := s.value
		if !s.encoded {
			raw = append(raw, reencode(charset, v)...)
			continue
		}
		if !extended {
			charset, v = splitCharset(v)
		}
		extended = true
		raw = percentDecode(raw, reencode(charset, v))
	}
	return decodeText(toUTF8(charset, raw))
}

// splitCharset splits "charset'language'value". charset is "" if v is not of this form.
func splitCharset(v string) (charset, rest string) {
	charset, rest, ok := strings.Cut(v, "'")
	if !ok {
		return "", v
	}
	_, value, ok := strings.Cut(rest, "'")
	if !ok || len(charset) > 40 || strings.ContainsAny(charset, " %.") {
		return "", v
	}
	return charset, value
}

// percentDecode appends s with its %XX decoded. Invalid escapes stay.
func percentDecode(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			dst = append(dst, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
			continue
		}
		dst = append(dst, s[i])
	}
	return dst
}

// stripComments removes comments, nested ones too (RFC 5322 section 3.2.2), outside of
// quoted strings. A comment without an end stays.
func stripComments(v string) string {
	if !strings.Contains(v, "(") {
		return v
	}
	var out strings.Builder
	depth, start, quoted := 0, 0, false
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case c == '\\' && i+1 < len(v) && (quoted || depth > 0):
			if depth == 0 {
				out.WriteByte(c)
				out.WriteByte(v[i+1])
			}
			i++
			continue
		case c == '"' && depth == 0:
			quoted = !quoted
		case c == '(' && !quoted:
			if depth == 0 {
				start = i
			}
			depth++
			continue
		case c == ')' && depth > 0:
			depth--
			continue
		}
		if depth == 0 {
			out.WriteByte(v[i])
		}
	}
	if depth > 0 {
		return out.String() + v[start:]
	}
	return out.String()
}

var unescapes = strings.NewReplacer(`\\`, `\`, `\"`, `"`)
