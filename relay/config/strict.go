package config

import (
	"encoding"
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxValues bounds the values that are read: with aliases, a small file can have very many.
const maxValues = 100_000

// decoder decodes YAML nodes into structs. Unlike the library's own decoder it records the
// line of each key, goes on after a fault, and refuses unknown keys.
type decoder struct {
	*report
	left int // number of values that may still be read
}

// defaulter is a list element with defaults. setDefaults is called before the element's keys
// are read.
type defaulter interface{ setDefaults() }

// enumeration is a text type that has only these values.
type enumeration interface{ Values() []string }

// value decodes one node into a variable. The mark of the key is set already.
func (d *decoder) value(n *yaml.Node, key string, v reflect.Value) {
	if !d.spend() {
		return
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	target := v.Addr().Interface()
	switch {
	case n.Style&yaml.TaggedStyle != 0:
		d.unreadable(key, "has a YAML tag; remove it, or put quotes around a value that begins with !")
	case isText(target):
		d.text(n, key, target)
	case n.ShortTag() == "!!null" && isSection(v):
		d.setNull(key)
	case v.Kind() == reflect.Struct:
		d.mapping(n, key, v)
	case v.Kind() == reflect.Slice:
		d.list(n, key, v)
	default:
		d.plain(n, key, v)
	}
}

// spend counts a value or key, and reports whether it may still be read.
func (d *decoder) spend() bool {
	d.left--
	return d.left >= 0
}

// isText reports whether target decodes itself from a single value.
func isText(target any) bool {
	_, ok := target.(encoding.TextUnmarshaler)
	return ok
}

// isSection reports whether a key of this type may have no value, as when everything below
// it is commented out.
func isSection(v reflect.Value) bool {
	return v.Kind() == reflect.Struct || v.Kind() == reflect.Slice
}

func (d *decoder) setNull(key string) {
	m := d.marks[key]
	m.null = true
	d.marks[key] = m
}

func (d *decoder) text(n *yaml.Node, key string, target any) {
	if !d.single(n, key) {
		return
	}
	d.curly(n, key)
	var err error
	if network, ok := target.(*netip.Prefix); ok {
		*network, err = parseNetwork(n.Value)
	} else {
		err = target.(encoding.TextUnmarshaler).UnmarshalText([]byte(n.Value))
	}
	if err != nil {
		d.unreadable(key, "%s", err)
	}
}

// curly warns of a value between the quotes of a word processor, which are part of it.
func (d *decoder) curly(n *yaml.Node, key string) {
	const quotes = "“”„‟‘’‚‛«»"
	first, last := strings.IndexAny(n.Value, quotes) == 0, strings.TrimRight(n.Value, quotes) != n.Value
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0 && (first || last) {
		d.warn(key, `is between the curly quotes of a word processor, which count as part of the value; write straight ones, such as "*@contoso.test"`)
	}
}

// plain decodes a string, a number or a bool. A string is any single value as written, so
// that 007 stays 007.
func (d *decoder) plain(n *yaml.Node, key string, v reflect.Value) {
	if !d.single(n, key) {
		return
	}
	d.curly(n, key)
	switch v.Kind() {
	case reflect.String:
		if choice, ok := v.Interface().(enumeration); ok {
			if err := checkChoice(n.Value, choice.Values()); err != nil {
				d.unreadable(key, "%s", err)
				return
			}
		}
		v.SetString(n.Value)
	case reflect.Int:
		number, err := strconv.Atoi(n.Value)
		if err != nil || n.ShortTag() != "!!int" {
			d.unreadable(key, "is %s; write a whole number, without quotes", quote(n.Value))
			return
		}
		v.SetInt(int64(number))
	case reflect.Bool:
		if n.ShortTag() != "!!bool" {
			d.unreadable(key, "is %s; write true or false", quote(n.Value))
			return
		}
		v.SetBool(strings.EqualFold(n.Value, "true"))
	}
}

// single reports whether a node is a single value, and adds a fault if it is not.
func (d *decoder) single(n *yaml.Node, key string) bool {
	switch {
	case n.Kind != yaml.ScalarNode:
		d.unreadable(key, "is %s; write a single value", kind(n))
	case n.ShortTag() == "!!null":
		d.unreadable(key, "has no value; give it one (in quotes if it begins with # or &), or remove the key")
	default:
		return true
	}
	return false
}

func (d *decoder) list(n *yaml.Node, key string, v reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		d.unreadable(key, "is %s; write a list, such as [one, two]", kind(n))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, len(n.Content)))
	for i, item := range n.Content {
		if d.left < 0 {
			return
		}
		itemKey := fmt.Sprintf("%s[%d]", key, i)
		d.marks[itemKey] = mark{line: item.Line}
		element := reflect.New(v.Type().Elem())
		if e, ok := element.Interface().(defaulter); ok {
			e.setDefaults()
		}
		d.value(item, itemKey, element.Elem())
		v.Set(reflect.Append(v, element.Elem()))
	}
}

func (d *decoder) mapping(n *yaml.Node, key string, v reflect.Value) {
	if n.Kind != yaml.MappingNode {
		d.unreadable(key, "is %s; write keys with values, one on each line", kind(n))
		return
	}
	fields := fieldsOf(v.Type())
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !d.spend() {
			return
		}
		name, item := n.Content[i], n.Content[i+1]
		itemKey := join(key, name.Value)
		if first, again := seen[name.Value]; again {
			d.add(join(key, keyText(name)), name.Line, "is already given on line %d; keep one of the two", first)
			continue
		}
		seen[name.Value] = name.Line
		index, known := fields.find(name)
		if !known {
			d.add(join(key, keyText(name)), name.Line, "%s", fields.advice(name, v.Type()))
			continue
		}
		d.marks[itemKey] = mark{line: name.Line}
		d.value(item, itemKey, v.Field(index))
	}
}

// add adds a fault of a key that has no mark.
func (d *decoder) add(key string, line int, format string, args ...any) {
	d.faults = append(d.faults, Error{File: d.file, Line: line, Key: key, Text: fmt.Sprintf(format, args...)})
}

func join(parent, name string) string {
	if parent == "" {
		return name
	}
	return parent + "." + name
}

func kind(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.ShortTag() == "!!null":
		return "empty"
	}
	return "a single value"
}

// keyText returns a key for display. It may be any node.
func keyText(name *yaml.Node) string {
	if name.Kind != yaml.ScalarNode {
		return "(" + kind(name) + ")"
	}
	if short := quote(name.Value); short != `"`+name.Value+`"` || strings.ContainsAny(name.Value, " :") {
		return short
	}
	return name.Value
}

// fields are the keys of a struct's fields, in order; "" if a field has none.
type fields []string

func fieldsOf(t reflect.Type) fields {
	keys := make(fields, t.NumField())
	for i := range keys {
		keys[i] = t.Field(i).Tag.Get("yaml")
	}
	return keys
}

func (f fields) find(name *yaml.Node) (int, bool) {
	for i, key := range f {
		if name.Kind == yaml.ScalarNode && key != "" && key == name.Value {
			return i, true
		}
	}
	return 0, false
}

// advice returns what to write instead of an unknown key of a struct.
func (f fields) advice(name *yaml.Node, in reflect.Type) string {
	if name.Value == "<<" {
		return "merging is not supported; write the keys out"
	}
	best, distance := "", 3
	var known []string
	for _, key := range f {
		if key == "" {
			continue
		}
		known = append(known, key)
		if d := editDistance(key, strings.ToLower(name.Value)); d < min(distance, len(key)) {
			best, distance = key, d
		}
	}
	places := placesOf(name, in)
	switch {
	case best != "" && (distance == 1 || len(places) == 0):
		return fmt.Sprintf("unknown key; did you mean %q?", best)
	case len(places) > 0:
		return "unknown key here; it belongs " + either(places)
	}
	return "unknown key; remove it, or use one of " + strings.Join(known, ", ")
}

// editDistance returns the Levenshtein distance. If b is more than twice as long as a, it
// returns the length of b.
func editDistance(a, b string) int {
	if len(b) > 2*len(a) {
		return len(b)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}
