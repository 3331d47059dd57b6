package simulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Set sets the field with a JSON name, from text such as "filterLag=4s". A boolean may be its
// name alone. A list has commas between its values, and a map has pairs such as
// "a@contoso.test:5.1.8".
func (w *World) Set(text string) error {
	name, value, given := strings.Cut(text, "=")
	fields := reflect.ValueOf(w).Elem()
	names := WorldNames()
	n := slices.Index(names, name)
	if n < 0 {
		return fmt.Errorf("unknown name %q; known are %s", name, strings.Join(names, ", "))
	}
	field := fields.Field(n)
	if field.Kind() == reflect.Bool && !given {
		value = "true"
	}
	if err := setText(field, value); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return w.check()
}

// WorldNames returns the names of the fields of World, as Set and its JSON have them.
func WorldNames() []string {
	var names []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[World]()) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// setText sets a field of World from text.
func setText(field reflect.Value, text string) (err error) {
	switch p := field.Addr().Interface().(type) {
	case *bool:
		*p, err = strconv.ParseBool(text)
	case *int:
		*p, err = strconv.Atoi(text)
	case *int64:
		*p, err = strconv.ParseInt(text, 10, 64)
	case *time.Duration:
		*p, err = time.ParseDuration(text)
	case *string:
		*p = text
	case *[]string:
		*p = strings.Split(text, ",")
	case *map[string]string:
		*p, err = parsePairs(text)
	}
	return err
}

func parsePairs(text string) (map[string]string, error) {
	pairs := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(pair, ":")
		if !ok {
			return nil, fmt.Errorf("%q has no colon", pair)
		}
		pairs[key] = value
	}
	return pairs, nil
}

type worldFields World

// worldWire is the JSON of a World.
type worldWire struct {
	*worldFields
	FilterLag       *durationText `json:"filterLag"`
	AppearDelay     *durationText `json:"appearDelay"`
	MoveDuration    *durationText `json:"moveDuration"`
	PermissionCache *durationText `json:"permissionCache"`
	ReturnDelay     *durationText `json:"returnDelay"`
	DirectoryLag    *durationText `json:"directoryLag"`
	KeyLag          *durationText `json:"keyLag"`
	GrantLag        *durationText `json:"grantLag"`
	RBACLag         *durationText `json:"rbacLag"`
}

func (w *World) wire() worldWire {
	return worldWire{(*worldFields)(w), (*durationText)(&w.FilterLag), (*durationText)(&w.AppearDelay), (*durationText)(&w.MoveDuration),
		(*durationText)(&w.PermissionCache), (*durationText)(&w.ReturnDelay),
		(*durationText)(&w.DirectoryLag), (*durationText)(&w.KeyLag), (*durationText)(&w.GrantLag), (*durationText)(&w.RBACLag)}
}

// MarshalJSON implements json.Marshaler. It writes durations as text.
func (w World) MarshalJSON() ([]byte, error) { return json.Marshal(w.wire()) }

// UnmarshalJSON implements json.Unmarshaler. It reads durations as text, leaves fields without
// a value as they are, and returns an error for unknown names.
func (w *World) UnmarshalJSON(data []byte) error {
	wire := w.wire()
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	return decoder.Decode(&wire)
}
