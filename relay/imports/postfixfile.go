package imports

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// postfixFolder is where Postfix has its configuration, and where its tables name their files.
const postfixFolder = "/etc/postfix"

// parameters are those of main.cf, with their values as they are written (postconf(5)).
type parameters struct {
	folder string // that was given; stands for postfixFolder
	values map[string]string
	over   map[string]string // of one service in master.cf
	work   int               // that is left
}

// postfixDefaults are the defaults of the parameters that are read, where they are not empty.
var postfixDefaults = map[string]string{
	"config_directory": postfixFolder, "myorigin": "$myhostname", "inet_interfaces": "all", "inet_protocols": "all",
	"smtpd_tls_key_file": "$smtpd_tls_cert_file", "mydestination": "$myhostname, localhost.$mydomain, localhost",
}

// readParameters reads main.cf: lines "name = value", of which those that begin with white space
// continue the one before.
func readParameters(path string) (*parameters, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	p := &parameters{folder: filepath.Dir(path), values: map[string]string{}}
	for _, line := range logicalLines(string(data)) {
		name, value, found := strings.Cut(line, "=")
		if name = strings.TrimSpace(name); found && name != "" && !strings.ContainsAny(name, " \t") && len(p.values) < maxItems {
			p.values[name] = strings.TrimSpace(value)
		}
	}
	if len(p.values) == 0 {
		return nil, errors.New(path + " has no parameter of Postfix; name its main.cf, or the folder with it")
	}
	return p, nil
}

// logicalLines joins continued lines, and leaves out comments and empty lines.
func logicalLines(text string) (all []string) {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		trimmed := strings.TrimLeft(line, " \t")
		switch {
		case strings.TrimSpace(trimmed) == "" || trimmed[0] == '#':
		case trimmed != line && len(all) > 0:
			all[len(all)-1] += " " + trimmed
		default:
			all = append(all, trimmed)
		}
	}
	return all
}

// raw returns a value as it is written, and whether it is.
func (p *parameters) raw(name string) (string, bool) {
	if v, ok := p.over[name]; ok {
		return v, true
	}
	v, ok := p.values[name]
	return v, ok
}

// Bounds of expansion.
const (
	maxDepth = 20
	maxValue = 64 << 10
	maxWork  = 10_000 // values that are looked at for one
)

// get returns a value with its variables replaced.
func (p *parameters) get(name string) string {
	p.work = maxWork
	return p.value(name, maxDepth)
}

func (p *parameters) value(name string, depth int) string {
	v, ok := p.raw(name)
	if !ok {
		v = postfixDefaults[name]
		if name == "mydomain" { // the host name without its first part
			_, v, _ = strings.Cut(p.value("myhostname", depth-1), ".")
			return v
		}
	}
	return p.expand(v, depth)
}

// variable matches $name, ${name} and $(name), and the beginnings of ${name?text} and ${name:text}.
var variable = regexp.MustCompile(`^\$(?:\$|([A-Za-z0-9_]+)|[{(]([A-Za-z0-9_]+)(?:[})]|([?:])))`)

// expand replaces variables. A value that grows beyond bounds becomes empty.
func (p *parameters) expand(s string, depth int) string {
	if p.work--; depth <= 0 || p.work < 0 {
		return ""
	}
	var b strings.Builder
	for {
		before, _, found := strings.Cut(s, "$")
		b.WriteString(before)
		if s = s[len(before):]; !found || b.Len() > maxValue {
			break
		}
		m := variable.FindStringSubmatch(s)
		if m == nil {
			b.WriteByte('$')
			s = s[1:]
			continue
		}
		s = s[len(m[0]):]
		switch {
		case m[0] == "$$":
			b.WriteByte('$')
		case m[3] != "":
			var text string
			text, s = condition(s)
			if (p.value(m[2], depth-1) != "") == (m[3] == "?") {
				b.WriteString(p.expand(text, depth-1))
			}
		default:
			b.WriteString(p.value(m[1]+m[2], depth-1))
		}
	}
	if b.Len() > maxValue || p.work < 0 {
		return ""
	}
	return b.String()
}

// condition returns the text of ${name?text}, without braces around it, and what follows.
func condition(s string) (text, rest string) {
	depth := 1
	for i, c := range s {
		switch c {
		case '{':
			depth++
		case '}':
			depth--
		}
		if depth == 0 {
			text = strings.TrimSpace(s[:i])
			if strings.HasPrefix(text, "{") && strings.HasSuffix(text, "}") {
				text = strings.TrimSpace(text[1 : len(text)-1])
			}
			return text, s[i+1:]
		}
	}
	return "", ""
}

// list returns the words of a value, which commas and white space separate. What is within braces
// is one word.
func (p *parameters) list(name string) []string { return words(p.get(name)) }

func words(value string) (all []string) {
	depth, start := 0, -1
	end := func(i int) {
		if start >= 0 && len(all) < maxItems {
			all = append(all, value[start:i])
		}
		start = -1
	}
	for i, c := range value {
		switch {
		case depth == 0 && (c == ',' || c == ' ' || c == '\t'):
			end(i)
			continue
		case c == '{':
			depth++
		case c == '}' && depth > 0:
			depth--
		}
		if start < 0 {
			start = i
		}
	}
	end(len(value))
	return all
}

// on reports whether a parameter is yes.
func (p *parameters) on(name string) bool { return strings.EqualFold(p.get(name), "yes") }

// path returns where a file is that the configuration names: what is below /etc/postfix may have
// been copied to the folder that was given.
func (p *parameters) path(name string) string {
	for _, folder := range []string{postfixFolder, p.get("config_directory")} {
		rest, below := strings.CutPrefix(name, strings.TrimSuffix(folder, "/")+"/")
		copied := filepath.Join(p.folder, filepath.FromSlash(rest))
		if _, err := os.Stat(copied); below && filepath.IsLocal(filepath.FromSlash(rest)) && err == nil {
			return copied
		}
	}
	return name
}

// service is one that master.cf has listen to the network.
type service struct {
	name    string // the first column: a port, or an address and a port
	options map[string]string
}

// defaultServices is what a master.cf that is not there is taken for.
var defaultServices = []service{{name: "smtp"}}

// readServices returns the SMTP servers of master.cf (master(5)).
func readServices(path string) ([]service, error) {
	data, err := readFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return defaultServices, nil
	}
	if err != nil {
		return nil, err
	}
	var all []service
	for _, line := range logicalLines(string(data)) {
		f := words(line)
		if len(f) < 8 || f[1] != "inet" || !slices.Contains([]string{"smtpd", "postscreen"}, f[7]) || len(all) >= maxServices {
			continue
		}
		all = append(all, service{f[0], serviceOptions(f[8:])})
	}
	return all, nil
}

// maxServices bounds the listeners.
const maxServices = 20

// serviceOptions returns what "-o name=value" and "-o { name = value }" set.
func serviceOptions(f []string) map[string]string {
	options := map[string]string{}
	for i := 0; i < len(f); i++ {
		word, attached := strings.CutPrefix(f[i], "-o")
		if !attached {
			continue
		}
		if word == "" && i+1 < len(f) {
			i++
			word = f[i]
		}
		word = strings.TrimSuffix(strings.TrimPrefix(word, "{"), "}")
		if name, value, ok := strings.Cut(word, "="); ok {
			options[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	return options
}
