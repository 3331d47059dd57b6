package mime

import (
	"slices"
	"strings"
	"unicode"
)

// maxAddressBytes bounds one address. RFC 5321 section 4.5.3 allows a path of 256 bytes.
const maxAddressBytes = 1000

// parseAddresses parses an address list (RFC 5322 section 3.4) entry by entry, so that a
// bad entry does not affect others. v is UTF-8 with encoded words not yet decoded. bad
// is the number of entries without a usable address.
func parseAddresses(v string) (list []Address, bad int) {
	p := readAddresses(v)
	return p.list, p.bad
}

// parseAuthors is parseAddresses for From and Sender, whose display names are useful even
// without a valid address. If the list has no mailbox, it returns the invalid entries,
// with Address as written.
func parseAuthors(v string) []Address {
	p := readAddresses(v)
	if len(p.list) == 0 {
		return p.invalid
	}
	return p.list
}

// readAddresses parses a list. If it finds no address it decodes the whole list and tries
// again: some senders encode addresses too, which RFC 2047 section 5 forbids.
func readAddresses(v string) *addressParser {
	p := &addressParser{lexer: addressLexer{s: v}}
	p.run()
	if len(p.list) > 0 || !strings.Contains(v, "=?") {
		return p
	}
	decoded := &addressParser{lexer: addressLexer{s: decodeText(v)}}
	decoded.run()
	if len(decoded.list) > 0 {
		return decoded
	}
	return p
}

func (p *addressParser) run() {
	for {
		t, ok := p.lexer.next()
		if !ok {
			break
		}
		p.take(t)
	}
	p.end(false)
	p.dropPending()
}

// addInvalid adds "name <word>" or "word (name)", where word is no address.
func (p *addressParser) addInvalid(name, word string) {
	name, word = cleanName(name), cleanLine(word)
	if word != "" && len(word) < maxAddressBytes && !strings.ContainsAny(word, " ,;:<>()[]\\\"@") {
		p.invalid = append(p.invalid, Address{Name: name, Address: word})
	}
}

// addressParser parses an address list. It collects the tokens of one entry at a time.
type addressParser struct {
	lexer   addressLexer
	list    []Address
	invalid []Address // entries that are words but not addresses
	bad     int
	words   []addressToken
	angle   string // the text in <...>, if hasAddr
	hasAddr bool
	before  int // the number of words before <...>
	comment string
	pending string // "Doe" of "Doe, John <x>", until the next entry is parsed
}

func (p *addressParser) take(t addressToken) {
	switch t.kind {
	case tokenComma:
		p.end(true)
	case tokenSemicolon: // the end of a group, or a separator of Outlook
		p.end(false)
		p.dropPending()
	case tokenColon: // the words before it are the name of a group
		p.clear()
		p.pending = ""
	case tokenComment:
		if len(p.comment) > maxAddressBytes {
			break
		}
		p.comment = strings.TrimSpace(p.comment + " " + t.text)
	case tokenAngle:
		p.takeAngle(t.text)
	default:
		p.words = append(p.words, t)
	}
}

// takeAngle takes the <...> of an entry. If there was one already, a comma is missing, and
// the words between the two are the name of the second.
func (p *addressParser) takeAngle(text string) {
	if p.hasAddr {
		second := slices.Clone(p.words[p.before:])
		p.words = p.words[:p.before]
		p.end(false)
		p.words = append(p.words, second...)
	}
	p.angle, p.hasAddr, p.before = text, true, len(p.words)
}

func (p *addressParser) clear() {
	p.words, p.angle, p.hasAddr, p.comment = p.words[:0], "", false, ""
}

// end finishes one entry. An entry without an address that a comma follows may be the
// family name of the next one.
func (p *addressParser) end(comma bool) {
	defer p.clear()
	if p.hasAddr {
		p.addNamed(joinWords(p.words))
		return
	}
	if len(p.words) == 0 || p.addBare() {
		return
	}
	if len(p.words) == 1 { // root (Cron Daemon)
		p.addInvalid(p.comment, p.words[0].text)
	}
	name := joinWords(p.words)
	if strings.Contains(name, "@") { // a broken address is no family name
		p.dropPending()
		p.bad++
		return
	}
	if len(p.pending) > maxAddressBytes {
		p.dropPending()
	}
	if p.pending != "" {
		name = p.pending + ", " + name
	}
	p.pending = name
	if !comma {
		p.dropPending()
	}
}

func (p *addressParser) dropPending() {
	if p.pending != "" {
		p.bad++
	}
	p.pending = ""
}

// addNamed adds an entry "name <address>".
func (p *addressParser) addNamed(name string) {
	if p.pending != "" && name != "" {
		name = p.pending + ", " + name
		p.pending = ""
	}
	p.dropPending()
	addr, ok := cleanAddress(p.angle)
	if words := strings.Fields(p.angle); !ok && len(words) > 1 { // <bob@example.com for Bob>
		addr, ok = cleanAddress(words[0])
	}
	if !ok { // bob@example.com <Bob>
		if a, ok := cleanAddress(name); ok {
			p.list = append(p.list, Address{Name: cleanName(p.angle), Address: a})
			return
		}
		p.bad++
		if name != "" {
			p.addInvalid(name, p.angle)
		}
		return
	}
	if name == "" {
		name = p.comment
	}
	p.list = append(p.list, Address{Name: cleanName(name), Address: addr})
}

// addBare adds entries without angle brackets, and reports whether there were any: "bob@x",
// "bob@x (Bob)", and also "Bob bob@x" and "a@x b@x".
func (p *addressParser) addBare() bool {
	found := false
	var name []addressToken
	for _, w := range mergeAddresses(p.words) {
		addr, ok := cleanAddress(w.text)
		if !ok {
			name = append(name, w)
			continue
		}
		p.dropPending()
		n := joinWords(name)
		if n == "" {
			n = p.comment
		}
		p.list = append(p.list, Address{Name: cleanName(n), Address: addr})
		name, found = nil, true
	}
	return found
}

// joinWords returns the text of a phrase, with spaces where there were blanks.
func joinWords(words []addressToken) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 && w.spaced {
			b.WriteByte(' ')
		}
		b.WriteString(w.text)
	}
	return b.String()
}

// mergeAddresses joins the tokens that form one address: a quoted local part and what
// follows it without a blank, and "a @ b" (the obsolete syntax, RFC 5322 section 4.4).
func mergeAddresses(words []addressToken) []addressToken {
	var out []addressToken
	for _, w := range words {
		text := w.text
		if w.kind == tokenQuoted {
			text = quote(w.text)
		}
		n := len(out)
		if n > 0 && len(out[n-1].text) < maxAddressBytes && (!w.spaced || joinsAddress(out[n-1].text, text)) {
			out[n-1].text += text
			continue
		}
		out = append(out, addressToken{kind: tokenWord, text: text, spaced: w.spaced})
	}
	return out
}

// joinsAddress reports whether two words are parts of one address in spite of the blanks
// between them, as in "a @ b" and "a@b . c".
func joinsAddress(left, right string) bool {
	if strings.HasPrefix(right, "@") || strings.HasSuffix(left, "@") {
		return true
	}
	return strings.Contains(left, "@") && (strings.HasPrefix(right, ".") || strings.HasSuffix(left, "."))
}

// cleanName returns a display name with its encoded words decoded, on one line, and without
// the quotation marks that some senders leave around it.
func cleanName(s string) string {
	s = decodeText(s)
	if strings.Count(s, `"`) == 1 {
		s = strings.Trim(s, `"`)
	}
	for _, q := range []string{`"`, "'"} {
		if len(s) >= 2 && strings.HasPrefix(s, q) && strings.HasSuffix(s, q) {
			s = strings.TrimSpace(s[1 : len(s)-1])
		}
	}
	return strings.Join(strings.Fields(s), " ")
}

// cleanAddress checks and tidies an addr-spec. ok reports whether s is one.
func cleanAddress(s string) (addr string, ok bool) {
	s = strings.TrimSpace(s)
	if len(s) > maxAddressBytes {
		return "", false
	}
	s = strings.Trim(decodeText(s), "<> \t")
	if len(s) > 7 && strings.EqualFold(s[:7], "mailto:") {
		s = s[7:]
	}
	if len(s) > 2 && s[0] == '\'' && s[len(s)-1] == '\'' {
		s = s[1 : len(s)-1]
	}
	s = dropRoute(s)
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return "", false
	}
	local, ok := cleanLocal(s[:at])
	domain := strings.TrimFunc(s[at+1:], func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(`'".`, r) })
	if !ok || !isDomain(domain) {
		return "", false
	}
	addr = local + "@" + domain
	return addr, len(addr) <= maxAddressBytes && decodeText(addr) == addr // or it was encoded twice
}

// dropRoute removes the source route "@a,@b:" (RFC 5322 section 4.4).
func dropRoute(s string) string {
	if i := strings.IndexByte(s, ':'); i >= 0 && strings.HasPrefix(s, "@") {
		return s[i+1:]
	}
	return s
}

// cleanLocal returns a local part that is quoted only if it has to be (RFC 5322 section
// 3.4.1), and reports whether it is valid.
func cleanLocal(s string) (string, bool) {
	s = strings.TrimSpace(s)
	quoted := len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"'
	if quoted {
		s = unquote(s[1 : len(s)-1])
	} else {
		s = strings.TrimLeft(s, `"`)
	}
	if s == "" {
		return "", false
	}
	if isDotAtom(s) {
		return s, true
	}
	if !quoted && (strings.ContainsFunc(s, unicode.IsSpace) || strings.ContainsAny(s, ",;:<>()[]\\\"@")) {
		return "", false
	}
	return quoteIfNeeded(s, quoted), true
}

// quoteIfNeeded quotes only what was quoted before: "a..b@x" is wrong, but it is the
// address.
func quoteIfNeeded(s string, quoted bool) string {
	if quoted {
		return quote(s)
	}
	return s
}

// isDotAtom reports whether s is a local part that needs no quotes.
func isDotAtom(s string) bool {
	if strings.HasPrefix(s, ".") || strings.HasSuffix(s, ".") || strings.Contains(s, "..") {
		return false
	}
	return !strings.ContainsFunc(s, unicode.IsSpace) && !strings.ContainsAny(s, "\"(),:;<>@[\\]")
}

// isLiteral reports whether s can be the content of a domain literal: an IPv4 address or
// "IPv6:..." (RFC 5321 section 4.1.3).
func isLiteral(s string) bool {
	return len(s) < 80 && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"(),;<>@[\]`, r)
	})
}

func isDomain(s string) bool {
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		return len(s) > 2 && isLiteral(s[1:len(s)-1])
	}
	return s != "" && !strings.ContainsFunc(s, unicode.IsSpace) && !strings.ContainsAny(s, "\"(),:;<>@[\\]")
}

// quote returns s as a quoted string (RFC 5322 section 3.2.4).
func quote(s string) string {
	if !strings.ContainsAny(s, `\"`) {
		return `"` + s + `"`
	}
	return `"` + quoteEscapes.Replace(s) + `"`
}

// unquote resolves quoted pairs (RFC 5322 section 3.2.1).
func unquote(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

var quoteEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)
