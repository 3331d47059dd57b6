package config

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestSchema checks that relay.schema.json is what the structs, the defaults and the example
// say now.
func TestSchema(t *testing.T) {
	want := makeSchema(t)
	if *update {
		if err := os.WriteFile("relay.schema.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if Schema() != string(want) {
		t.Error("relay.schema.json is not current: run go test ./relay/config -run TestSchema -update")
	}
}

// TestSchemaDescribes checks that each key has a description in the schema.
func TestSchemaDescribes(t *testing.T) {
	if shared := "../../relay.schema.json"; read(t, shared) != Schema() {
		t.Errorf("%s is not the schema", shared)
	}
	all := descriptions(t)
	for _, key := range keysOf(reflect.TypeFor[Config](), "") {
		if len(all[key]) < 15 || strings.Contains(all[key], "#") {
			t.Errorf("%s has the description %q; the comment above it in config.example.yaml should explain it", key, all[key])
		}
	}
}

// TestSchemaAccepts checks that the schema accepts what the relay accepts.
func TestSchemaAccepts(t *testing.T) {
	s := compiledSchema(t)
	files := append(fixtures(t, "testdata/good/*.yaml"), fixtures(t, "../../config.*.yaml")...)
	for _, path := range files {
		if err := s.Validate(yamlValue(t, path)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	_, uncommented := readExample(t)
	if err := s.Validate(parseYAML(t, uncommented)); err != nil {
		t.Errorf("config.example.yaml with all keys: %v", err)
	}
}

// TestSchemaRefuses checks that the schema refuses what it can see to be wrong.
func TestSchemaRefuses(t *testing.T) {
	s := compiledSchema(t)
	for name, at := range map[string]string{
		"unknown_key":     "/listeners/0",
		"wrong_type":      "/delivery/concurrency",
		"value_choices":   "/listeners/0/tls",
		"value_durations": "/delivery/give_up_after",
		"value_sizes":     "/limits/message_size",
		"value_network":   "/listeners/0/networks/1",
		"value_pattern":   "/users/0/senders",
		"value_rates":     "/rates",
		"value_limits":    "/limits",
		"merge_key":       "/listeners",
		"not_a_mapping":   "",
		"tls_min":         "/tls_min",
		"cloud":           "/cloud",
		"uploads":         "/uploads",
	} {
		err := s.Validate(yamlValue(t, filepath.Join("testdata", "bad", name+".yaml")))
		if err == nil || !strings.Contains(err.Error(), "at '"+at) && !strings.Contains(err.Error(), at+"'") {
			t.Errorf("%s: got %v, want a fault at %s", name, err, at)
		}
	}
}

// TestSchemaValues checks single values, those of which the relay reads any text as well.
func TestSchemaValues(t *testing.T) {
	s := compiledSchema(t)
	for line, good := range map[string]bool{
		"delivery: {give_up_after: 1d12h}":                        true,
		"delivery: {give_up_after: 1h30m}":                        true,
		"delivery: {warn_after: 0}":                               true,
		"delivery: {warn_after: 5}":                               false,
		"delivery: {warn_after: -5m}":                             false,
		"delivery: {give_up_after: soon}":                         false,
		"delivery: {mailbox_concurrency: 5}":                      false,
		"delivery: {mailbox_concurrency: '4'}":                    false,
		"limits: {message_size: 1048576}":                         true,
		"limits: {message_size: 25 MB}":                           true,
		"limits: {message_size: 25 mb}":                           false,
		"listeners: [{tls_min: 1.2}]":                             true,
		"listeners: [{tls_min: '1.2'}]":                           true,
		"listeners: [{tls_min: 1.1}]":                             false,
		"listeners: [{profile: Legacy}]":                          false,
		"listeners: [{networks: ['::1', 10.0.0.0/8]}]":            true,
		"listeners: {name: x}":                                    false,
		"connections: [{client_secret_expires: 2027-01-31}]":      true,
		"connections: [{client_secret_expires: January}]":         false,
		"connections: [{client_secret: 12345, directory: off}]":   true,
		"connections: [{sent_items: 'yes'}]":                      false,
		"connections: [{endpoints: {graph: http://127.0.0.1:1}}]": true,
		"connections: [{endpoints: {grph: http://127.0.0.1:1}}]":  false,
		"users: [{senders: ['*', '*@*.contoso.test', 'a@b']}]":    true,
		"users: [{senders: [contoso.test]}]":                      false,
		"admin:":                                                  true,
		"hostname:":                                               false,
	} {
		if err := s.Validate(parseYAML(t, []byte(line))); (err == nil) != good {
			t.Errorf("%s: got %v, want it accepted: %v", line, err, good)
		}
		if reads(line, good) != good {
			t.Errorf("%s: the schema and the relay differ", line)
		}
	}
}

// reads reports whether the relay can read the values of an incomplete file and, if valid is
// false, whether they would also be allowed in a complete one.
func reads(text string, valid bool) bool {
	r := newReport("relay.yaml")
	if cfg := decode([]byte(text), r); cfg != nil && !valid {
		validate(cfg, r)
	}
	return !slices.ContainsFunc(r.faults, func(f Error) bool { return !strings.Contains(f.Text, "is missing") })
}

// TestStartingFiles keeps the short examples complete, current and short.
func TestStartingFiles(t *testing.T) {
	files := fixtures(t, "../../config.*.yaml")
	if len(files) < 4 {
		t.Fatalf("only %v", files)
	}
	readme := read(t, "../../README.md")
	for _, path := range files {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			text := read(t, path)
			if !strings.Contains(readme, "("+name+")") {
				t.Error("README.md does not name it")
			}
			if !strings.HasPrefix(text, "# yaml-language-server: $schema=relay.schema.json\n") {
				t.Error("the first line does not name the schema for editors")
			}
			if lines := strings.Count(text, "\n"); lines > 70 && name != "config.example.yaml" {
				t.Errorf("it has %d lines", lines)
			}
			name = inTestFolder(t, path)
			write(t, "fabrikam.secret", []byte("to be filled in"))
			cfg, err := Load(name)
			if err != nil {
				t.Fatal(err)
			}
			// What is to be filled in is all that check warns of.
			filledIn := slices.DeleteFunc(cfg.Warnings(), func(w string) bool { return strings.Contains(w, " is still ") })
			if len(filledIn) > 0 {
				t.Errorf("warnings: %q", filledIn)
			}
			for _, c := range cfg.Connections {
				if c.Tenant != "11111111-1111-1111-1111-111111111111" || c.ClientID != "22222222-2222-2222-2222-222222222222" {
					t.Errorf("check does not warn of the tenant %s and the client ID %s", c.Tenant, c.ClientID)
				}
			}
		})
	}
}

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("relay.schema.json", document); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("relay.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if s.DraftVersion != 7 || !slices.Equal(s.Types.ToStrings(), []string{"object"}) {
		t.Fatalf("the schema is of draft %d and for %v", s.DraftVersion, s.Types)
	}
	return s
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
