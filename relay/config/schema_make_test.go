package config

import (
	"bytes"
	"encoding"
	"encoding/json"
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// node is a part of a JSON schema.
type node struct {
	Schema      string           `json:"$schema,omitempty"`
	Title       string           `json:"title,omitempty"`
	Description string           `json:"description,omitempty"`
	Type        types            `json:"type,omitempty"`
	Enum        []any            `json:"enum,omitempty"`
	Pattern     string           `json:"pattern,omitempty"`
	PatternHelp string           `json:"patternErrorMessage,omitempty"` // which the YAML language server shows
	Minimum     *int             `json:"minimum,omitempty"`
	Maximum     *int             `json:"maximum,omitempty"`
	Default     any              `json:"default,omitempty"`
	Items       *node            `json:"items,omitempty"`
	Properties  map[string]*node `json:"properties,omitempty"`
	Additional  *bool            `json:"additionalProperties,omitempty"`
}

// types are the JSON types that a value may have.
type types []string

// MarshalJSON writes a single type as a string.
func (t types) MarshalJSON() ([]byte, error) {
	if len(t) == 1 {
		return json.Marshal(t[0])
	}
	return json.Marshal([]string(t))
}

// makeSchema makes the schema of the configuration from its structs, their defaults, the
// ranges that validation checks and the comments in the example.
func makeSchema(t *testing.T) []byte {
	t.Helper()
	defaults := Default()
	defaults.Hostname = "" // that of this machine
	m := schemaMaker{descriptions: descriptions(t), ranges: ranges()}
	root := m.section("", reflect.ValueOf(*defaults))
	root.Schema, root.Title, root.Type = "http://json-schema.org/draft-07/schema#", "graphrelay", []string{"object"}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(root); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// schemaMaker has what is known of keys, by their paths as keysOf writes them.
type schemaMaker struct {
	descriptions map[string]string
	ranges       map[string][2]int
}

// section describes a mapping whose default is v. A section or list may have no value, as
// when everything below it is commented out.
func (m schemaMaker) section(path string, v reflect.Value) *node {
	n := &node{Type: []string{"object", "null"}, Properties: map[string]*node{}, Additional: new(bool)}
	for i, key := range fieldsOf(v.Type()) {
		if key == "" {
			continue
		}
		at := join(path, key)
		n.Properties[key] = m.value(at, v.Field(i))
		n.Properties[key].Description = m.descriptions[at]
	}
	return n
}

// value describes a key whose default is v.
func (m schemaMaker) value(path string, v reflect.Value) *node {
	pointer := reflect.New(v.Type())
	pointer.Elem().Set(v)
	if isText(pointer.Interface()) {
		return textNode(pointer.Interface())
	}
	switch v.Kind() {
	case reflect.Struct:
		return m.section(path, v)
	case reflect.Slice:
		element := reflect.New(v.Type().Elem())
		if e, ok := element.Interface().(defaulter); ok {
			e.setDefaults()
		}
		n := &node{Type: []string{"array", "null"}, Items: m.value(path+"[]", element.Elem())}
		if v.Len() > 0 {
			n.Default = v.Interface()
		}
		n.Items.Default = nil
		return n
	case reflect.Bool:
		return &node{Type: []string{"boolean"}, Default: v.Bool()}
	case reflect.Int:
		n := &node{Type: []string{"integer"}, Default: v.Int()}
		if r, ok := m.ranges[path]; ok {
			n.Minimum, n.Maximum = &r[0], &r[1]
		}
		return n
	}
	n := &node{Type: scalar}
	if v.String() != "" {
		n.Default = v.String()
	}
	if choice, ok := v.Interface().(enumeration); ok {
		n.Type, n.Enum = nil, choices(choice.Values())
	}
	return n
}

// scalar are the types of a text: any single value is read as it is written.
var scalar = []string{"string", "number", "boolean"}

// textNode describes a value that reads itself from a text.
func textNode(target any) *node {
	n := &node{Type: scalar}
	switch target := target.(type) {
	case *Duration:
		n.Type, n.Default = []string{"string", "integer"}, target.String()
		n.Pattern = `^(0|[0-9]+d([0-9.]+(ns|us|µs|μs|ms|s|m|h))*|([0-9.]+(ns|us|µs|μs|ms|s|m|h))+)$`
		n.Minimum, n.Maximum = new(int), new(int) // 0 needs no unit
	case *Size:
		n.Type, n.Pattern, n.Minimum = []string{"string", "integer"}, `^[0-9]+ *(GiB|MiB|KiB|GB|MB|KB|kB|B)?$`, new(int)
		if *target != 0 {
			n.Default = target.String()
		}
	case *Date:
		n.Type, n.Pattern = []string{"string"}, `^[0-9]{4}-[0-9]{2}-[0-9]{2}$`
	case *Threshold:
		n.Type, n.Pattern = []string{"string", "number"}, `^[0-9.]+(d|h|m|s|ms)?([0-9.]+(h|m|s|ms))*$`
	case *CipherSuite:
		n.Type, n.Pattern = []string{"string"}, `^TLS_[A-Z0-9_]+$`
	case *netip.Prefix:
		n.Type, n.Pattern = []string{"string"}, `^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$`
	case *Pattern:
		n.Type, n.Pattern = []string{"string"}, `^(\*|[^@ ].*@[^@ ]+)$`
	}
	if n.Pattern != "" {
		n.PatternHelp = remedy(target)
	}
	return n
}

// remedy returns what the relay says about an unreadable value: the part on what to write.
func remedy(target any) string {
	const unreadable = "?"
	_, err := parseNetwork(unreadable)
	if reads, ok := target.(encoding.TextUnmarshaler); ok && reflect.TypeOf(target) != reflect.TypeFor[*netip.Prefix]() {
		err = reads.UnmarshalText([]byte(unreadable))
	}
	_, help, _ := strings.Cut(err.Error(), "; ")
	return help
}

// choices returns the values of an enumeration as YAML reads them: 1.2 is a number, too.
func choices(values []string) (all []any) {
	for _, v := range values {
		all = append(all, v)
		if number, err := strconv.ParseFloat(v, 64); err == nil {
			all = append(all, number)
		}
	}
	return all
}

// ranges returns the ranges of whole numbers that validation checks.
func ranges() map[string][2]int {
	cfg := Default()
	cfg.Connections = make([]Connection, 1)
	r := newReport("")
	r.ranges = map[string][2]int{}
	validate(cfg, r)
	all := map[string][2]int{}
	for key, bounds := range r.ranges {
		all[inAnyPlace(key)] = bounds
	}
	return all
}

var place = regexp.MustCompile(`\[\d+\]`)

func inAnyPlace(key string) string { return place.ReplaceAllString(key, "[]") }

// descriptions returns the comment in the example above each key, which holds up to the next
// comment or empty line.
func descriptions(t *testing.T) map[string]string {
	t.Helper()
	_, uncommented := readExample(t)
	r := newReport("config.example.yaml")
	if decode(uncommented, r); r.err() != nil {
		t.Fatal(r.err())
	}
	above := commentsAbove(string(uncommented))
	all, first := map[string]string{}, map[string]int{}
	for key, mark := range r.marks {
		key = inAnyPlace(key)
		if line, ok := first[key]; !ok || mark.line < line {
			all[key], first[key] = above[mark.line], mark.line
		}
	}
	return all
}

// tableEntry is a line of a table in a comment: a value and, in the second column, what it
// means.
var tableEntry = regexp.MustCompile(`^ {3}(\S.*?)(?: {2,}(.*))?$`)

// commentsAbove returns for each line the comment above it.
func commentsAbove(text string) map[int]string {
	above := map[int]string{}
	comment, ended := "", true
	n := 0
	for line := range strings.Lines(text) {
		n++
		words, isComment := strings.CutPrefix(strings.TrimSpace(line), "#")
		switch {
		case strings.TrimSpace(line) == "":
			comment, ended = "", true
		case !isComment:
			above[n], ended = comment, true
		case ended:
			comment, ended = strings.TrimSpace(words), false
		case tableEntry.MatchString(words):
			m := tableEntry.FindStringSubmatch(words)
			comment += "\n" + m[1] + ": " + m[2]
		default:
			comment = strings.TrimRight(comment, " ") + " " + strings.TrimSpace(words)
		}
	}
	return above
}

// yamlValue returns a YAML file as the values that a schema is applied to.
func yamlValue(t *testing.T, path string) any {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return parseYAML(t, data)
}

func parseYAML(t *testing.T, data []byte) any {
	t.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		t.Fatal(err)
	}
	if len(document.Content) == 0 {
		return nil
	}
	return plainValue(t, document.Content[0])
}

func plainValue(t *testing.T, n *yaml.Node) any {
	t.Helper()
	switch n.Kind {
	case yaml.AliasNode:
		return plainValue(t, n.Alias)
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			list = append(list, plainValue(t, item))
		}
		return list
	case yaml.MappingNode:
		mapping := map[string]any{}
		for i := 0; i < len(n.Content); i += 2 {
			mapping[n.Content[i].Value] = plainValue(t, n.Content[i+1])
		}
		return mapping
	}
	switch n.ShortTag() {
	case "!!null", "!!bool", "!!int", "!!float":
		var v any
		if err := n.Decode(&v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	return n.Value // a date is a string, as in YAML 1.2
}
