package imports

import (
	"regexp"
	"slices"
	"strings"
)

// entry is a line of a table of Postfix.
type entry struct{ key, value string }

// textTables are the types of tables that are made from a text file with the same name.
var textTables = []string{"hash", "texthash", "btree", "lmdb", "cdb", "dbm", "sdbm", "cidr"}

// table returns the entries of a table "type:name", from the text that it is made from. What
// cannot be read is noted.
func (p *postfix) table(parameter, name string) []entry {
	kind, rest, found := strings.Cut(name, ":")
	for kind == "proxy" || kind == "maybe" {
		kind, rest, found = strings.Cut(rest, ":")
	}
	switch {
	case !found:
		p.note("%s names no table", parameter)
	case slices.Contains(textTables, kind):
		return p.textTable(parameter, rest)
	case kind == "regexp" || kind == "pcre":
		return p.patternTable(parameter, rest)
	case kind == "inline":
		return inlineTable(rest)
	case kind == "static":
		return []entry{{catchAll, strings.TrimSpace(rest)}}
	default:
		p.note("%s has a table of the type %s, which is not read; carry over its entries by hand", parameter, kind)
	}
	return nil
}

// catchAll is the key of an entry for every address.
const catchAll = "*"

func (p *postfix) textTable(parameter, name string) (all []entry) {
	data, err := readFile(p.path(name))
	if err != nil {
		p.note("%s: %v; its entries are missing here", parameter, err)
		return nil
	}
	for _, line := range logicalLines(string(data)) {
		key, value, _ := strings.Cut(strings.ReplaceAll(line, "\t", " "), " ")
		if len(all) == maxItems {
			p.note("%s: only the first %d entries were taken", parameter, maxItems)
			break
		}
		all = append(all, entry{strings.Trim(key, `"`), strings.TrimSpace(value)})
	}
	return all
}

var (
	// patternLine matches a line of a table of patterns: /pattern/flags result.
	patternLine = regexp.MustCompile(`^(!?)(/(?:[^/\\]|\\.)*/)([a-zA-Z]*)\s+(.+)$`)
	// anything matches a pattern that every address matches.
	anything = regexp.MustCompile(`^/\^?\(?(?:\.[*+]|@|\.[*+]@\.[*+])?\)?\$?/$`)
	// domainPattern matches a pattern for the addresses of a domain.
	domainPattern = regexp.MustCompile(`^/(?:\^?\(?\.[*+]\)?)?@((?:[A-Za-z0-9-]+\\\.)+[A-Za-z0-9-]+)\$?/$`)
	// addressPattern matches a pattern for one address.
	addressPattern = regexp.MustCompile(`^/\^([A-Za-z0-9_-]+(?:\\\.[A-Za-z0-9_-]+)*@(?:[A-Za-z0-9-]+\\\.)+[A-Za-z0-9-]+)\$/$`)
)

// patternTable returns the entries of a table of regular expressions that stand for all addresses,
// those of a domain, or one.
func (p *postfix) patternTable(parameter, name string) (all []entry) {
	data, err := readFile(p.path(name))
	if err != nil {
		p.note("%s: %v; its entries are missing here", parameter, err)
		return nil
	}
	for _, line := range logicalLines(string(data)) {
		m := patternLine.FindStringSubmatch(line)
		key := ""
		switch {
		case m == nil || m[1] != "" || len(all) == maxItems:
		case anything.MatchString(m[2]):
			key = catchAll
		case domainPattern.MatchString(m[2]):
			key = "@" + unescape(domainPattern.FindStringSubmatch(m[2])[1])
		case addressPattern.MatchString(m[2]):
			key = unescape(addressPattern.FindStringSubmatch(m[2])[1])
		}
		if key == "" {
			p.note("%s: a pattern could not be carried over; write a rule in senders for it", parameter)
			continue
		}
		all = append(all, entry{key, strings.TrimSpace(m[4])})
	}
	return all
}

func unescape(s string) string { return strings.ReplaceAll(s, `\`, "") }

// inlineTable reads inline:{ {key = value}, key=value }.
func inlineTable(s string) (all []entry) {
	s = strings.TrimSpace(s)
	s = strings.TrimSuffix(strings.TrimPrefix(s, "{"), "}")
	for _, word := range words(s) {
		word = strings.TrimSuffix(strings.TrimPrefix(word, "{"), "}")
		if key, value, ok := strings.Cut(word, "="); ok {
			all = append(all, entry{strings.TrimSpace(key), strings.TrimSpace(value)})
		}
	}
	return all
}

// tables returns the entries of all tables that a parameter names.
func (p *postfix) tables(parameter string) (all []entry) {
	for _, name := range p.list(parameter) {
		all = append(all, p.table(parameter, name)...)
	}
	return all
}
