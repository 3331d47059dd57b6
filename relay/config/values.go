package config

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time. It is written as in Go, such as 48h or 1m30s, or with a
// number of days, such as 2d or 1d12h.
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, ok := parseDuration(string(text))
	if !ok {
		return fmt.Errorf("is %s, which is not a duration; write a number and a unit, such as 30s, 5m, 48h or 2d", quote(string(text)))
	}
	*d = Duration(parsed)
	return nil
}

// parseDuration parses a duration. It refuses signs: no setting can be negative.
func parseDuration(text string) (time.Duration, bool) {
	const day = 24 * time.Hour
	if text == "" || strings.ContainsAny(text, "+-") {
		return 0, false
	}
	var days time.Duration
	if count, rest, found := strings.Cut(text, "d"); found {
		n, err := strconv.ParseInt(count, 10, 64)
		if err != nil || n > int64(math.MaxInt64/day) {
			return 0, false
		}
		days, text = time.Duration(n)*day, rest
	}
	if text == "" {
		return days, true
	}
	part, err := time.ParseDuration(text)
	if err != nil || part > math.MaxInt64-days {
		return 0, false
	}
	return days + part, true
}

// String returns the duration without the zero units that time.Duration prints.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Size is a number of bytes, written as 1024, 25MB or 150MiB.
type Size int64

// The binary units of Size.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
)

// sizeUnits returns the units in the order in which suffixes are tried, the binary ones
// first.
func sizeUnits() []sizeUnit {
	return []sizeUnit{
		{"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB},
		{"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"kB", 1e3}, {"B", 1}, {"", 1},
	}
}

type sizeUnit struct {
	suffix string
	bytes  Size
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Size) UnmarshalText(text []byte) error {
	parsed, ok := parseSize(string(text))
	if !ok {
		return fmt.Errorf("is %s, which is not a size; write bytes or a unit, such as 1024, 25MB or 150MiB", quote(string(text)))
	}
	*s = parsed
	return nil
}

func parseSize(text string) (Size, bool) {
	for _, unit := range sizeUnits() {
		digits, found := strings.CutSuffix(text, unit.suffix)
		if !found {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimRight(digits, " "), 10, 63)
		if err != nil || n > uint64(math.MaxInt64/unit.bytes) {
			return 0, false
		}
		return Size(n) * unit.bytes, true
	}
	return 0, false
}

// String returns the size in the largest binary unit that divides it, or in bytes.
func (s Size) String() string {
	for _, unit := range sizeUnits()[:3] {
		if s != 0 && s%unit.bytes == 0 {
			return strconv.FormatInt(int64(s/unit.bytes), 10) + unit.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText implements encoding.TextMarshaler.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

const redacted = "[redacted]"

// Secret is a text that only Reveal returns. The text is behind a pointer, since fmt prints
// unexported fields of other structs without calling their methods.
type Secret struct{ text *string }

// NewSecret returns a Secret with a text.
func NewSecret(text string) Secret { return Secret{text: &text} }

// Reveal returns the text.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
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
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *TLSMode) UnmarshalText(text []byte) error {
	return oneOf(m, text, TLSNone, TLSStartTLS, TLSImplicit)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *AuthMode) UnmarshalText(text []byte) error {
	return oneOf(m, text, AuthNone, AuthOptional, AuthRequired)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (e *LineEndings) UnmarshalText(text []byte) error {
	return oneOf(e, text, LineEndingsNormalize, LineEndingsReject)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Profile) UnmarshalText(text []byte) error {
	return oneOf(p, text, ProfileModern, ProfileLegacy)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *Cloud) UnmarshalText(text []byte) error {
	return oneOf(c, text, CloudGlobal, CloudUSGov, CloudUSGovDoD, CloudChina)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Directory) UnmarshalText(text []byte) error {
	return oneOf(d, text, DirectoryAuto, DirectoryOff)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *ReplyTo) UnmarshalText(text []byte) error {
	return oneOf(r, text, ReplyToOriginal, ReplyToNone)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (o *OnUnknown) UnmarshalText(text []byte) error {
	return oneOf(o, text, OnUnknownHold, OnUnknownResend)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *LargeSigned) UnmarshalText(text []byte) error {
	return oneOf(l, text, LargeSignedFail, LargeSignedConvert)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *LogLevel) UnmarshalText(text []byte) error {
	return oneOf(l, text, LevelDebug, LevelInfo, LevelWarn, LevelError)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (f *LogFormat) UnmarshalText(text []byte) error {
	return oneOf(f, text, FormatAuto, FormatText, FormatJSON)
}

// oneOf sets *into to the choice that text names.
func oneOf[T ~string](into *T, text []byte, choices ...T) error {
	var names []string
	for _, choice := range choices {
		if string(choice) == string(text) {
			*into = choice
			return nil
		}
		names = append(names, string(choice))
	}
	return fmt.Errorf("is %s; use %s", quote(string(text)), either(names))
}

// parseNetwork parses a prefix, or an address as the prefix of a single host. It refuses a
// prefix with host bits, whose length is probably mistyped.
func parseNetwork(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return prefix, fmt.Errorf("is %s, which is not a network; write an IP address or a prefix, such as 192.168.1.0/24", quote(text))
	}
	if prefix.Addr().Is4In6() {
		return prefix, errors.New("is an IPv4 network in IPv6 form; write it as IPv4, such as 192.168.1.0/24")
	}
	if masked := prefix.Masked(); masked != prefix {
		return prefix, fmt.Errorf("is %s, an address within a network; write %s for the network or %s for the single host", prefix, masked, prefix.Addr())
	}
	return prefix, nil
}
