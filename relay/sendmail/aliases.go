package sendmail

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"graphrelay/internal/mailaddr"
	"graphrelay/internal/text"
)

// aliases are the lines of /etc/aliases (aliases(5)), by name in lower case.
type aliases map[string]string

// loadAliases reads the file, which need not exist.
func loadAliases(path string) (aliases, error) {
	data, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, failf(Config, "the aliases cannot be read: %w", err)
	}
	all := aliases{}
	last := ""
	for line := range strings.Lines(string(data)) {
		line, indented := strings.TrimSpace(line), line[0] == ' ' || line[0] == '\t'
		switch {
		case line == "" || line[0] == '#':
		case indented && last != "":
			all[last] += " " + line
		default:
			name, value, _ := strings.Cut(line, ":")
			last = aliasName(name)
			all[last] = value
		}
	}
	return all, nil
}

func aliasName(s string) string { return strings.ToLower(strings.Trim(strings.TrimSpace(s), `"`)) }

// The most that an alias leads to.
const (
	maxAliasDepth = 10
	maxAliasNames = 1000
)

// expand returns what a recipient stands for: itself if it has a domain or no alias.
func (a aliases) expand(recipient string) ([]string, error) {
	e := expansion{aliases: a, left: maxAliasNames}
	if err := e.add(recipient, nil); err != nil {
		return nil, failf(Config, "the alias of %s: %w", recipient, err)
	}
	return e.out, nil
}

type expansion struct {
	aliases
	left int // names that may still be replaced
	out  []string
}

// add adds what a name stands for. above are the names that have led to it: a name that leads to
// itself, as in "root: root, ops@example.com", then means the user.
func (e *expansion) add(name string, above []string) error {
	key := aliasName(name)
	value, found := e.aliases[key]
	if strings.Contains(name, "@") || !found || slices.Contains(above, key) {
		e.out = append(e.out, name)
		return nil
	}
	if e.left--; e.left < 0 || len(above) >= maxAliasDepth {
		return errors.New("it leads to too many others")
	}
	if !strings.Contains(value, `"`) {
		value = strings.ReplaceAll(value, `\`, "") // \root is root without its alias
	}
	list, err := mailaddr.List(value)
	if err != nil || len(list) == 0 || slices.ContainsFunc(list, isDevice) {
		return fmt.Errorf("%q is no list of addresses; programs, files and :include: need a mail server on this machine", text.Shorten(strings.TrimSpace(value), 80))
	}
	for _, entry := range list {
		if err := e.add(entry, append(slices.Clone(above), key)); err != nil {
			return err
		}
	}
	return nil
}

// isDevice reports whether an entry is a program or a file.
func isDevice(entry string) bool {
	return strings.HasPrefix(strings.Trim(entry, `"`), "|") || strings.HasPrefix(strings.Trim(entry, `"`), "/")
}
