package config

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"graphrelay/relay/attention"
)

const example = "../../config.example.yaml"

// commentedKey is a line such as "  #key: value" or "  #- key: value".
var commentedKey = regexp.MustCompile(`(?m)^( *)#((?:- )?[a-z_]+:)`)

func readExample(t *testing.T) (asIs, uncommented []byte) {
	t.Helper()
	asIs, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	return asIs, commentedKey.ReplaceAll(asIs, []byte("$1$2"))
}

// TestExampleLoads keeps the example one that a newcomer can start from.
func TestExampleLoads(t *testing.T) {
	path, err := filepath.Abs(example)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := Load(inTestFolder(t, path))
	if err != nil {
		t.Fatal(err)
	}
	// It warns of what has to be replaced, and of nothing else.
	want := []string{"users[0].password_hash", "connections[0].tenant", "connections[0].client_id", "connections[0].client_secret"}
	got := cfg.Warnings()
	if len(got) != len(want) {
		t.Fatalf("warnings: %q", got)
	}
	for i, key := range want {
		if !strings.Contains(got[i], ": "+key+": is still ") {
			t.Errorf("warning %q, want one of %s", got[i], key)
		}
	}
}

// TestExampleShowsDefaults takes the # from every commented key: what it shows
// must be what holds without it.
func TestExampleShowsDefaults(t *testing.T) {
	asIs, uncommented := readExample(t)
	base, shown := decodeExample(t, asIs), decodeExample(t, uncommented)
	plain := Default()
	shown.Log.File = "" // has no default
	for what, pair := range map[string][2]any{
		"data_dir":             {shown.DataDir, plain.DataDir},
		"limits":               {shown.Limits, plain.Limits},
		"limits as it is":      {base.Limits, plain.Limits},
		"pickup":               {shown.Pickup.Settle, plain.Pickup.Settle},
		"rates":                {shown.Rates, plain.Rates},
		"delivery":             {shown.Delivery, plain.Delivery},
		"delivery as it is":    {base.Delivery, plain.Delivery},
		"alerts":               {[]any{shown.Alerts.CheckEvery, shown.Alerts.CloseAfter, shown.Alerts.PerHour, shown.Alerts.Heartbeat.Every, shown.Alerts.Mail[0].Severity, shown.Alerts.Webhooks[0].Format, shown.Alerts.Conditions[0].Send}, []any{plain.Alerts.CheckEvery, plain.Alerts.CloseAfter, plain.Alerts.PerHour, plain.Alerts.Heartbeat.Every, attention.Warning, AlertJSON, true}},
		"admin":                {shown.Admin.Address, plain.Admin.Address},
		"admin url":            {shown.Admin.BaseURL(), plain.Admin.BaseURL()},
		"connection sign_in":   {shown.Connections[0].SignIn, base.Connections[0].SignIn},
		"log":                  {shown.Log, plain.Log},
		"log as it is":         {base.Log, plain.Log},
		"listener tls":         {shown.Listeners[0].TLS, base.Listeners[0].TLS},
		"listener tls_min":     {shown.Listeners[0].TLSMin, base.Listeners[0].TLSMin},
		"listener auth":        {shown.Listeners[0].Auth, base.Listeners[0].Auth},
		"listener open":        {shown.Listeners[0].OpenToEveryone, base.Listeners[0].OpenToEveryone},
		"listener profile":     {shown.Listeners[0].Profile, base.Listeners[0].Profile},
		"listener lines":       {shown.LineLimit(shown.Listeners[0]), base.LineLimit(base.Listeners[0])},
		"line endings":         {shown.Listeners[0].LineEndings, base.Listeners[0].LineEndings},
		"connection cloud":     {shown.Connections[0].Cloud, base.Connections[0].Cloud},
		"connection directory": {shown.Connections[0].Directory, base.Connections[0].Directory},
		"connection daily":     {shown.Connections[0].DailyRecipients, base.Connections[0].DailyRecipients},
		"connection external":  {shown.Connections[0].DailyExternal, base.Connections[0].DailyExternal},
		"connection reports":   {shown.Connections[0].WatchReports, base.Connections[0].WatchReports},
		"sender reports":       {shown.Senders[0].WatchReports, base.Senders[0].WatchReports},
		"connection endpoint":  {shown.Connections[0].Endpoints, base.Connections[0].Endpoints},
		"sender reply_to":      {shown.Senders[0].ReplyTo, base.Senders[0].ReplyTo},
		"user senders":         {shown.Users[0].Senders, base.Users[0].Senders},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: the example shows %+v, but the default is %+v", what, pair[0], pair[1])
		}
	}
}

// TestExampleIsComplete finds every key of the structs in the example.
func TestExampleIsComplete(t *testing.T) {
	_, uncommented := readExample(t)
	r := newReport("config.example.yaml")
	if cfg := decode(uncommented, r); cfg == nil || r.err() != nil {
		t.Fatal(r.err())
	}
	list := regexp.MustCompile(`\[\d+\]`)
	shown := map[string]bool{}
	for key := range r.marks {
		shown[list.ReplaceAllString(key, "[]")] = true
	}
	for _, key := range keysOf(reflect.TypeFor[Config](), "") {
		if !shown[key] {
			t.Errorf("%s is missing", key)
		}
	}
}

func decodeExample(t *testing.T, data []byte) *Config {
	t.Helper()
	r := newReport("config.example.yaml")
	cfg := decode(data, r)
	if err := r.err(); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// keysOf lists the key paths of a struct, with [] for every place in a list.
func keysOf(t reflect.Type, parent string) []string {
	var keys []string
	for i := range t.NumField() {
		field := t.Field(i)
		tag := field.Tag.Get("yaml")
		if tag == "" {
			continue
		}
		key, inner := join(parent, tag), field.Type
		keys = append(keys, key)
		if inner.Kind() == reflect.Slice {
			key, inner = key+"[]", inner.Elem()
		}
		if inner.Kind() == reflect.Struct && !isText(reflect.New(inner).Interface()) {
			keys = append(keys, keysOf(inner, key)...)
		}
	}
	return keys
}
