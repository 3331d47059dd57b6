package mime

import "strings"

type tokenKind int

const (
	tokenWord tokenKind = iota
	tokenQuoted
	tokenAngle
	tokenComment
	tokenComma
	tokenSemicolon
	tokenColon
)

type addressToken struct {
	kind   tokenKind
	text   string // without its delimiters
	spaced bool   // there are blanks before it
}

// addressLexer splits an address field into tokens. It takes linear time: once a quote or
// comment turns out to have no end, all that follow are taken as plain characters.
type addressLexer struct {
	s         string
	i         int
	noQuote   bool // no closing quotation mark follows
	noComment bool // a comment has no end
}

func (l *addressLexer) next() (t addressToken, ok bool) {
	start := l.i
	for l.i < len(l.s) && (isBlank(l.s[l.i]) || l.s[l.i] == '\r' || l.s[l.i] == '\n') {
		l.i++
	}
	if l.i >= len(l.s) {
		return t, false
	}
	spaced := l.i > start
	switch c := l.s[l.i]; {
	case c == ',':
		t = l.single(tokenComma)
	case c == ';':
		t = l.single(tokenSemicolon)
	case c == ':':
		t = l.single(tokenColon)
	case c == '<':
		t = l.angle()
	case c == '"':
		t = l.quoted()
	case c == '(':
		t = l.comment()
	default:
		t = l.word()
	}
	t.spaced = spaced
	return t, true
}

func (l *addressLexer) single(k tokenKind) addressToken {
	l.i++
	return addressToken{kind: k}
}

// angle reads "<...>". Without a ">" it ends before the next "<", or at a comma or
// semicolon outside of a source route.
func (l *addressLexer) angle() addressToken {
	for l.i < len(l.s) && (l.s[l.i] == '<' || isBlank(l.s[l.i])) {
		l.i++
	}
	start, quoted := l.i, false
	for ; l.i < len(l.s); l.i++ {
		c := l.s[l.i]
		switch {
		case c == '\\' && quoted && l.i+1 < len(l.s):
			l.i++
		case c == '"':
			quoted = !quoted && strings.IndexByte(l.s[l.i+1:min(len(l.s), l.i+maxAddressBytes)], '"') >= 0
		case quoted:
		case c == '>':
			text := l.s[start:l.i]
			for l.i < len(l.s) && l.s[l.i] == '>' {
				l.i++
			}
			return angleToken(text)
		case c == '<':
			return l.cutAngle(start)
		case (c == ',' || c == ';') && l.endsAngle(start):
			return angleToken(l.s[start:l.i])
		}
	}
	return angleToken(l.s[start:])
}

// cutAngle ends an angle that was not closed after its first word, if that is an address.
// The other words are the name of the next entry.
func (l *addressLexer) cutAngle(start int) addressToken {
	text := l.s[start:l.i]
	if i := strings.IndexAny(text, " \t"); i > 0 && strings.Contains(text[:i], "@") {
		l.i = start + i
		text = text[:i]
	}
	return angleToken(text)
}

// endsAngle reports whether a separator after "<" ends the address. It does not in a source
// route.
func (l *addressLexer) endsAngle(start int) bool {
	return l.i == start || l.s[start] != '@'
}

// angleToken returns the token of "<...>", without comments and the blanks around "@" and
// ".", which the obsolete syntax allows.
func angleToken(s string) addressToken {
	if len(s) <= maxAddressBytes && !strings.Contains(s, `"`) {
		s = stripComments(s)
		for _, c := range []string{"@", "."} {
			if strings.Contains(s, " "+c) || strings.Contains(s, c+" ") {
				s = joinAround(s, c)
			}
		}
	}
	return addressToken{kind: tokenAngle, text: s}
}

func joinAround(s, sep string) string {
	parts := strings.Split(s, sep)
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return strings.Join(parts, sep)
}

// quoted reads a quoted string (RFC 5322 section 3.2.4).
func (l *addressLexer) quoted() addressToken {
	if l.noQuote {
		return l.word()
	}
	for j := l.i + 1; j < len(l.s); j++ {
		switch l.s[j] {
		case '\\':
			j++
		case '"':
			text := unquote(l.s[l.i+1 : j])
			l.i = j + 1
			return addressToken{kind: tokenQuoted, text: text}
		}
	}
	l.noQuote = true
	return l.word()
}

// comment reads "(...)", nested or not (RFC 5322 section 3.2.2).
func (l *addressLexer) comment() addressToken {
	depth := 0
	for j := l.i; j < len(l.s) && !l.noComment; j++ {
		switch l.s[j] {
		case '\\':
			j++
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth == 0 {
			text := unquote(l.s[l.i+1 : j])
			l.i = j + 1
			return addressToken{kind: tokenComment, text: text}
		}
	}
	l.noComment = true
	return l.word()
}

// word reads up to the next blank or delimiter. Encoded words and domain literals are taken
// whole.
func (l *addressLexer) word() addressToken {
	start := l.i
	if strings.HasPrefix(l.s[l.i:], "=?") {
		if _, n, _ := parseWord(l.s[l.i:min(len(l.s), l.i+maxAddressBytes)]); n > 0 && !strings.ContainsAny(l.s[l.i:l.i+n], "<>") {
			l.i += n
			return addressToken{kind: tokenWord, text: l.s[start:l.i]}
		}
	}
	l.i++ // at least one character
	for l.i < len(l.s) && !l.endsWord() {
		l.skipLiteral()
		l.i++
	}
	return addressToken{kind: tokenWord, text: l.s[start:l.i]}
}

// skipLiteral moves to the end of a domain literal, whose colons end no word.
func (l *addressLexer) skipLiteral() {
	if l.s[l.i] != '[' || l.s[l.i-1] != '@' {
		return
	}
	if n := strings.IndexByte(l.s[l.i:min(len(l.s), l.i+80)], ']'); n > 0 {
		l.i += n
	}
}

func (l *addressLexer) endsWord() bool {
	switch l.s[l.i] {
	case ' ', '\t', '\r', '\n', ',', ';', ':', '<':
		return true
	case '"':
		return !l.noQuote
	case '(':
		return !l.noComment
	case '=':
		return strings.HasPrefix(l.s[l.i:], "=?")
	}
	return false
}
