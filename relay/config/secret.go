package config

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"graphrelay/internal/private"
	"graphrelay/internal/text"
)

const redacted = "[redacted]"

// Secret is a text that only Reveal returns. The text is behind a pointer, since fmt prints
// unexported fields of other structs without calling their methods.
type Secret struct{ value *string }

// NewSecret returns a Secret with a text.
func NewSecret(text string) Secret { return Secret{value: &text} }

// Reveal returns the text.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// String hides the text.
func (s Secret) String() string { return redacted }

// GoString hides the text.
func (s Secret) GoString() string { return redacted }

// Format hides the text from every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue hides the text from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides the text from JSON and other encodings.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalYAML hides the text from YAML.
func (s Secret) MarshalYAML() (any, error) { return redacted, nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Secret) UnmarshalText(data []byte) error {
	*s = NewSecret(string(data))
	return nil
}

// secretSource is where a secret comes from: the key with the name, or one with _file, _env
// or, for a systemd credential, _credential after the name.
type secretSource struct {
	name       string
	value      *Secret
	file, env  string
	credential string
}

// optionalSecret checks that a secret has at most one source.
func (v validator) optionalSecret(key string, s secretSource) {
	for _, way := range []string{"", "_file", "_env"} {
		if v.has(key + "." + s.name + way) {
			v.secret(key, s)
			return
		}
	}
}

// secret checks that a secret has exactly one source.
func (v validator) secret(key string, s secretSource) {
	sources := []struct {
		name  string
		empty bool
	}{
		{s.name, s.value.Reveal() == ""},
		{s.name + "_file", s.file == ""},
		{s.name + "_env", s.env == ""},
		{s.name + "_credential", s.credential == ""},
	}
	used := ""
	for _, source := range sources {
		at := key + "." + source.name
		switch {
		case !v.has(at):
		case used != "":
			v.fault(at, "is given together with %s; keep one of the two", used)
		case source.empty:
			v.fault(at, "is empty; write a value, or use another of %[1]s, %[1]s_file and %[1]s_env", s.name)
			used = source.name
		default:
			used = source.name
		}
	}
	if used == "" {
		v.fault(key+"."+s.name, "is missing; add %[1]s, %[1]s_file or %[1]s_env", s.name)
	}
}

// readSecret reads a secret from the file, credential or environment variable that the
// configuration names. Faults do not show that name: it may be the secret itself, by
// mistake.
func readSecret(s secretSource, key string, r *report) {
	key += "." + s.name
	switch {
	case s.value.Reveal() != "":
	case s.file != "":
		*s.value = secretFromFile(s.file, key+"_file", r)
	case s.credential != "":
		*s.value = secretFromFile(credentialPath(s.credential), key+"_credential", r)
	case s.env != "":
		*s.value = secretFromEnv(s.env, key+"_env", r)
	}
}

func secretFromFile(path, key string, r *report) Secret {
	data, err := readFile(path, int64(maxSecret))
	if err != nil {
		r.fault(key, "%s", withRemedy(err, fileRemedy))
		return Secret{}
	}
	warnReadable(key, path, r)
	if data, err = text.Decode(data); err != nil {
		r.fault(key, "names a file that %s", err)
		return Secret{}
	}
	secret := string(bytes.TrimSpace(data))
	if secret == "" {
		r.fault(key, "names an empty file; put the secret into it")
	}
	return NewSecret(secret)
}

func secretFromEnv(name, key string, r *report) Secret {
	if strings.ContainsFunc(name, func(c rune) bool { return !isWordChar(c) }) {
		r.fault(key, "is not the name of an environment variable; write the name, not the secret itself")
		return Secret{}
	}
	secret := strings.TrimSpace(strings.TrimPrefix(os.Getenv(name), "\ufeff"))
	if secret == "" {
		r.fault(key, "names an environment variable that is not set or is empty; set it for the process that runs graphrelay")
	}
	return NewSecret(secret)
}

// credentialPath returns the file in which systemd puts a credential of the service.
func credentialPath(name string) string {
	return filepath.Join(os.Getenv("CREDENTIALS_DIRECTORY"), name)
}

// warnReadable warns of a secret that others can read.
func warnReadable(key, path string, r *report) {
	if private.OthersMayRead(path) {
		r.warn(key, "names a file that %s can read; remove that permission with: %s", private.Others, private.FileRemedy)
	}
}
