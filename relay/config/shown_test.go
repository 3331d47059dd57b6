package config

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// TestSettings checks that settings and their defaults are shown.
func TestSettings(t *testing.T) {
	cfg, err := Load(inTestFolder(t, fixtures(t, "testdata/good/relay.yaml")[0]))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]Setting{}
	for _, s := range cfg.Settings() {
		found[s.Key] = s
	}
	for key, want := range map[string]Setting{
		"hostname":                           {"hostname", "relay.contoso.test", false},
		"users[crm].password_hash":           {"users[crm].password_hash", "[redacted]", false},
		"connections[contoso].client_secret": {"connections[contoso].client_secret", "[redacted]", false},
		"limits.recipients":                  {"limits.recipients", "500", true},
	} {
		if found[key] != want {
			t.Errorf("%s is %+v, want %+v", key, found[key], want)
		}
	}
}

// TestSettingsHideSecrets fills every secret that a configuration can have, and checks that none
// is shown.
func TestSettingsHideSecrets(t *testing.T) {
	cfg := &Config{}
	n := 0
	fillSecrets(reflect.ValueOf(cfg).Elem(), &n)
	if n < 5 {
		t.Fatalf("only %d secrets were filled", n)
	}
	shown := fmt.Sprintf("%+v", cfg.Settings())
	if strings.Contains(shown, "hidden-text") {
		t.Errorf("a secret is shown: %s", shown)
	}
	if got := strings.Count(shown, redacted); got < n {
		t.Errorf("%d of %d secrets are mentioned", got, n)
	}
}

// fillSecrets sets each Secret in the sections of a configuration, of which it makes one of each
// list, and counts them.
func fillSecrets(v reflect.Value, n *int) {
	switch {
	case v.Type() == reflect.TypeFor[Secret]():
		*n++
		v.Set(reflect.ValueOf(NewSecret(fmt.Sprintf("hidden-text-%d", *n))))
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct && hasKeys(v.Type().Elem()):
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fillSecrets(v.Index(0), n)
	case v.Kind() == reflect.Struct && hasKeys(v.Type()):
		for i := range v.NumField() {
			if tag := v.Type().Field(i).Tag.Get("yaml"); tag != "" && tag != "-" {
				fillSecrets(v.Field(i), n)
			}
		}
	}
}
