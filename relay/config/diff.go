package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Change is one setting in which two configurations differ.
type Change struct {
	Key  string `json:"key" doc:"The setting, such as connections[contoso].tenant."`
	From string `json:"from,omitempty" doc:"The value in use. It is missing if the setting was not set."`
	To   string `json:"to,omitempty" doc:"The value in the file. It is missing if the setting is no longer set."`
}

// Diff returns in what two configurations differ, with their defaults and with what the files that
// they name held when they were loaded. The text of a secret is not in it, only that it differs.
func Diff(from, to *Config) []Change {
	before, after := settingsOf(from), settingsOf(to)
	var list []Change
	for _, key := range after.keys {
		if a, b := before.values[key], after.values[key]; a != b {
			list = append(list, Change{key, a.shown(), b.shown()})
		}
	}
	for _, key := range before.keys {
		if _, ok := after.values[key]; !ok {
			list = append(list, Change{key, before.values[key].shown(), ""})
		}
	}
	return list
}

// value is that of a setting.
type value struct {
	text   string
	secret bool
}

func (v value) shown() string {
	if v.secret && v.text != "" {
		return redacted
	}
	return v.text
}

// settings are all settings that are not empty, by key.
type settings struct {
	keys   []string // in the order of the file
	values map[string]value
}

func settingsOf(c *Config) settings {
	s := settings{values: map[string]value{}}
	s.addFields(reflect.ValueOf(c).Elem(), "")
	return s
}

func (s *settings) add(key string, v value) {
	if v.text != "" {
		s.keys = append(s.keys, key)
		s.values[key] = v
	}
}

// addFields adds the fields of a struct that have a key.
func (s *settings) addFields(v reflect.Value, prefix string) {
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		if name != "" && name != "-" {
			s.addValue(v.Field(i), prefix+name)
		}
	}
}

func (s *settings) addValue(v reflect.Value, key string) {
	switch {
	case v.Type() == reflect.TypeFor[Secret]():
		s.add(key, value{v.Interface().(Secret).Reveal(), true})
	case hasKeys(v.Type()):
		s.addFields(v, key+".")
	case v.Kind() == reflect.Slice && hasKeys(v.Type().Elem()):
		s.addList(v, key)
	default:
		s.add(key, value{text: plain(v)})
	}
}

// addList adds the elements of a list, by their names where these are all different, since a
// number would change with each element that comes before. The order of rules counts.
func (s *settings) addList(v reflect.Value, key string) {
	var names []string
	for i := range v.Len() {
		name := fmt.Sprint(i + 1)
		if field := v.Index(i).FieldByName("Name"); field.IsValid() && field.Kind() == reflect.String && field.String() != "" {
			name = field.String()
		}
		if slices.Contains(names, name) {
			name = fmt.Sprint(i + 1)
		}
		names = append(names, name)
		s.addValue(v.Index(i), key+"["+name+"]")
	}
}

// hasKeys reports whether values of a type are sections of the file.
func hasKeys(t reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("yaml") != "" {
			return true
		}
	}
	return false
}

// plain returns a value as text, empty for one that is not set.
func plain(v reflect.Value) string {
	if v.IsZero() && v.Kind() != reflect.Bool && v.Kind() != reflect.Int {
		return ""
	}
	if v.Kind() == reflect.Slice {
		var all []string
		for i := range v.Len() {
			all = append(all, plain(v.Index(i)))
		}
		return strings.Join(all, ", ")
	}
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		if text, err := m.MarshalText(); err == nil {
			return string(text)
		}
	}
	return fmt.Sprint(v.Interface())
}
