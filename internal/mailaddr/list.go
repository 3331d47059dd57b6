package mailaddr

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"graphrelay/internal/text"
)

// maxShown is how many bytes of a list an error repeats.
const maxShown = 80

// List returns the addresses of an address list (RFC 5322 section 3.4), without names, comments
// and groups. An address may lack its domain, as that of a user of this machine does. It fails as a
// whole: whoever sends to a list must not leave out an entry. value is unfolded, with encoded words
// not decoded.
func List(value string) ([]string, error) {
	var l listReader
	for i := 0; i < len(value); {
		n, err := l.take(value[i:])
		if err != nil {
			return nil, err
		}
		i += n
	}
	return l.list, l.end()
}

// listReader reads one entry of a list at a time.
type listReader struct {
	list  []string
	words strings.Builder // of the entry, without comments
	angle string          // what was in <...>
	named bool            // there was a <...>
}

// take takes what s begins with: a character, or all of a comment, a quoted string, a domain
// literal or a <...>. It returns how many bytes it took.
func (l *listReader) take(s string) (int, error) {
	switch s[0] {
	case '(':
		n, err := within(s, '(', ')')
		l.words.WriteByte(' ')
		return n, err
	case '"', '[':
		n, err := within(s, 0, map[byte]byte{'"': '"', '[': ']'}[s[0]])
		l.words.WriteString(s[:n])
		return n, err
	case '<':
		n, err := angleEnd(s)
		if err == nil && l.named {
			err = badEntry(l.words.String() + s)
		}
		if err == nil {
			l.angle, l.named = s[1:n-1], true
		}
		return n, err
	case ',', ';':
		return 1, l.end()
	case ':': // the words before it name a group
		if l.named || strings.ContainsRune(l.words.String(), '@') {
			return 0, badEntry(l.words.String() + s)
		}
		l.words.Reset()
		return 1, nil
	case '>', ')', ']':
		return 0, badEntry(l.words.String() + s)
	}
	l.words.WriteByte(s[0])
	return 1, nil
}

// end ends an entry. One without anything in it is passed over (RFC 5322 section 4.4).
func (l *listReader) end() error {
	entry := strings.TrimSpace(l.words.String())
	if l.named {
		entry = strings.TrimSpace(l.angle)
		if strings.HasPrefix(entry, "@") { // a source route
			_, entry, _ = strings.Cut(entry, ":")
		}
	}
	named := l.named
	l.words.Reset()
	l.angle, l.named = "", false
	if entry == "" && !named {
		return nil
	}
	entry, err := tidy(entry)
	if err == nil {
		l.list = append(l.list, entry)
	}
	return err
}

// tidy returns an address without the blanks around its dots and its @, which the obsolete syntax
// allows.
func tidy(entry string) (string, error) {
	local, domain, found := entry, "", false
	if at := strings.LastIndexByte(entry, '@'); at >= 0 {
		local, domain, found = strings.TrimSpace(entry[:at]), strings.TrimSpace(entry[at+1:]), true
	}
	if local == "" || found && domain == "" || strings.ContainsFunc(local+domain, unicode.IsControl) {
		return "", badEntry(entry)
	}
	if !(len(local) > 1 && local[0] == '"' && local[len(local)-1] == '"') && strings.ContainsAny(local, " \t\"()<>[]\\,:;@") || strings.ContainsAny(domain, " \t\"()<>\\,;@") {
		return "", badEntry(entry)
	}
	if !found {
		return local, nil
	}
	return local + "@" + domain, nil
}

// within returns the length of what s begins with, up to the close that belongs to it. open is
// what nests, or 0.
func within(s string, open, end byte) (int, error) {
	depth := 1
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case c == end:
			if depth--; depth == 0 {
				return i + 1, nil
			}
		case c == open && open != 0:
			depth++
		}
	}
	return 0, fmt.Errorf("%w: %q is not closed in %q", errList, s[:1], text.Shorten(s, maxShown))
}

// angleEnd returns the length of the <...> that s begins with. A quoted local part may hold a >.
func angleEnd(s string) (int, error) {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			n, err := within(s[i:], 0, '"')
			if err != nil {
				return 0, err
			}
			i += n - 1
		case '>':
			return i + 1, nil
		case '<':
			return 0, badEntry(s)
		}
	}
	return 0, fmt.Errorf("%w: %q is not closed in %q", errList, "<", text.Shorten(s, maxShown))
}

var errList = errors.New("not a list of mail addresses")

func badEntry(entry string) error {
	return fmt.Errorf("%w: %q", errList, text.Shorten(strings.TrimSpace(entry), maxShown))
}
