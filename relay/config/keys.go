package config

import (
	"reflect"
	"sync"

	"go.yaml.in/yaml/v3"
)

// section is a struct of the configuration, and where its keys stand.
type section struct {
	place string // such as "limits" or "an entry of listeners"; empty: the top of the file
	of    reflect.Type
}

// sections returns the structs of the configuration, from the top of the file down. It is asked for each unknown key.
var sections = sync.OnceValue(func() []section {
	all := []section{{"", reflect.TypeFor[Config]()}}
	for i := 0; i < len(all); i++ {
		for j := range all[i].of.NumField() {
			field := all[i].of.Field(j)
			key, inner, entry := field.Tag.Get("yaml"), field.Type, false
			if entry = inner.Kind() == reflect.Slice; entry {
				inner = inner.Elem()
			}
			if key == "" || inner.Kind() != reflect.Struct || isText(reflect.New(inner).Interface()) {
				continue
			}
			place := key
			switch {
			case entry:
				place = "an entry of " + key
			case all[i].place != "":
				place += " of " + all[i].place
			}
			all = append(all, section{place, inner})
		}
	}
	return all
})

// placesOf returns where a key may stand, such as "in limits", other than in the struct.
func placesOf(name *yaml.Node, in reflect.Type) (places []string) {
	for _, s := range sections() {
		if _, known := fieldsOf(s.of).find(name); !known || s.of == in {
			continue
		}
		if s.place == "" {
			places = append(places, "at the top of the file, without indentation")
			continue
		}
		places = append(places, "in "+s.place)
	}
	return places
}

// keyNames returns the names of all keys.
func keyNames() map[string]bool {
	all := map[string]bool{}
	for _, s := range sections() {
		for _, key := range fieldsOf(s.of) {
			all[key] = true
		}
	}
	return all
}
