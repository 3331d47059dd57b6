package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30s":     30 * time.Second,
		"48h":     48 * time.Hour,
		"1m30s":   90 * time.Second,
		"100ms":   100 * time.Millisecond,
		"2d":      48 * time.Hour,
		"1d12h":   36 * time.Hour,
		"1.5h":    90 * time.Minute,
		"0":       0,
		"106751d": 106751 * 24 * time.Hour,
	} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || time.Duration(d) != want {
			t.Errorf("%q: got %v, %v, want %v", text, d, err, want)
		}
		var again Duration
		if err := again.UnmarshalText([]byte(d.String())); err != nil || again != d {
			t.Errorf("%q: prints as %q, which reads as %v, %v", text, d, again, err)
		}
	}
	for _, text := range []string{"", "30", "-5m", "+5m", "d", "1.5d", "12h1d", "1d-1h", "5 m", "5min", "106752d", "106751d24h", "9223372036854775807d"} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: got %v, want an error", text, d)
		}
	}
}

func TestDurationString(t *testing.T) {
	for want, d := range map[string]Duration{
		"48h": minutes(48 * 60), "5m": minutes(5), "10s": seconds(10), "0s": 0,
		"1h30m": minutes(90), "1m1s": seconds(61), "20m": minutes(20), "10h": minutes(600),
	} {
		if got := d.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{
		"1024": 1024, "0": 0, "7B": 7, "25MB": 25e6, "25kB": 25e3, "25KB": 25e3, "2GB": 2e9,
		"64KiB": 64 << 10, "150MiB": 150 << 20, "1GiB": 1 << 30, "150 MiB": 150 << 20,
		"9223372036854775807": math.MaxInt64,
	} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%q: got %d, %v, want %d", text, s, err, want)
		}
		var again Size
		if err := again.UnmarshalText([]byte(s.String())); err != nil || again != s {
			t.Errorf("%q: prints as %q, which reads as %v, %v", text, s, again, err)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "+1", "1.5MiB", "25M", "25mb", "1e6", "0x10", "1_000", "9223372036854775808", "9007199254740992KiB", "1 2MB"} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: got %v, want an error", text, s)
		}
	}
}

func TestNetwork(t *testing.T) {
	for text, want := range map[string]string{
		"192.168.1.0/24": "192.168.1.0/24", "192.168.1.7": "192.168.1.7/32", "::1": "::1/128",
		"::ffff:10.0.0.1": "10.0.0.1/32", "fd00::/8": "fd00::/8", "0.0.0.0/0": "0.0.0.0/0",
	} {
		if got, err := parseNetwork(text); err != nil || got.String() != want {
			t.Errorf("%s: got %v, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "localhost", "10.0.0.0/33", "10.0.0.1/8", "10.0.0", "fe80::1%eth0", "::ffff:10.0.0.0/104"} {
		if got, err := parseNetwork(text); err == nil {
			t.Errorf("%s: got %v, want an error", text, got)
		}
	}
}

// TestSecretHides tries the ways in which values reach logs.
func TestSecretHides(t *testing.T) {
	secret := NewSecret("hunter2")
	inner := struct{ hidden Secret }{secret}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb, secret)
		fmt.Fprintf(&out, verb, &secret)
		fmt.Fprintf(&out, verb, []Secret{secret})
		fmt.Fprintf(&out, verb, inner)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("text", "secret", secret, "in", inner)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "secret", secret)
	for _, marshal := range []func(any) ([]byte, error){json.Marshal, yaml.Marshal} {
		data, err := marshal(map[string]any{"secret": secret, "user": User{PasswordHash: secret}})
		if err != nil || !bytes.Contains(data, []byte(redacted)) {
			t.Errorf("got %s, %v", data, err)
		}
		out.Write(data)
	}
	out.WriteString(secret.String() + secret.GoString())
	if strings.Contains(out.String(), "hunter2") || strings.Contains(out.String(), fmt.Sprintf("%x", "hunter2")) {
		t.Errorf("the secret shows:\n%s", out.String())
	}
	if secret.Reveal() != "hunter2" || (Secret{}).Reveal() != "" {
		t.Error("Reveal does not give the text")
	}
}

func TestPattern(t *testing.T) {
	tests := []struct {
		pattern string
		match   []string
		other   []string
	}{
		{"*", []string{"a@b", "a@contoso.test"}, []string{"", "a", "@b", "a@"}},
		{"*@*", []string{"a@contoso.test"}, []string{"", "contoso.test"}},
		{"scanner@contoso.test", []string{"scanner@contoso.test", "Scanner@CONTOSO.Test"}, []string{"xscanner@contoso.test", "scanner@contoso.test.evil.test", "scanner@sub.contoso.test"}},
		{"*@contoso.test", []string{"a@contoso.test", "a@b@contoso.test"}, []string{"a@sub.contoso.test", "a@xcontoso.test", "a@contoso.test@evil.test"}},
		{"*@*.contoso.test", []string{"a@b.contoso.test", "a@b.c.contoso.test"}, []string{"a@contoso.test", "a@b.contoso.test.evil.test"}},
		{"scan-*@contoso.test", []string{"scan-2@contoso.test", "scan-@contoso.test"}, []string{"scan@contoso.test"}},
		{"a*b*c@contoso.test", []string{"abc@contoso.test", "aXbXc@contoso.test", "abbcc@contoso.test"}, []string{"acb@contoso.test", "ac@contoso.test"}},
		{"ab*ba@contoso.test", []string{"abba@contoso.test"}, []string{"aba@contoso.test"}},
		{"*@bücher.test", []string{"a@bücher.test", "a@BÜCHER.test", "a@xn--bcher-kva.test"}, []string{"a@bucher.test"}},
		{"*@printers.local", []string{"root@printers.local"}, []string{"root@local"}},
	}
	for _, test := range tests {
		p, err := ParsePattern(test.pattern)
		if err != nil {
			t.Errorf("%s: %v", test.pattern, err)
			continue
		}
		for _, address := range test.match {
			if !p.Match(address) {
				t.Errorf("%s does not match %s", test.pattern, address)
			}
		}
		for _, address := range test.other {
			if p.Match(address) {
				t.Errorf("%s matches %s", test.pattern, address)
			}
		}
		if again, err := ParsePattern(p.String()); err != nil || again != p {
			t.Errorf("%s prints as %s, which reads as %v, %v", test.pattern, p, again, err)
		}
	}
	if (Pattern{}).Match("a@b") || (Pattern{}).Match("@") {
		t.Error("the zero pattern matches")
	}
}

func TestPatternErrors(t *testing.T) {
	for _, text := range []string{"", "contoso.test", "@contoso.test", "a@", "a@b..c", "a b@contoso.test", "a@contoso test", "a@-x.test", "a@bü*.test", "a\n@b", "a@" + strings.Repeat("a", 64)} {
		if p, err := ParsePattern(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, p)
		}
	}
}

func TestEditDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"address", "address", 0}, {"address", "adress", 1}, {"address", "addresses", 2},
		{"tls", "tsl", 2}, {"tls", "", 3}, {"log", "completely", 10},
	} {
		if got := editDistance(test.a, test.b); got != test.want {
			t.Errorf("%s to %s: got %d, want %d", test.a, test.b, got, test.want)
		}
	}
}

// FuzzPattern looks for patterns that print as something else, and that match
// what is no address.
func FuzzPattern(f *testing.F) {
	f.Add("*@*.contoso.test", "a@b.contoso.test")
	f.Add("scan-*@bücher.test", "scan-1@xn--bcher-kva.test")
	f.Add("*", "")
	f.Fuzz(func(t *testing.T, text, address string) {
		p, err := ParsePattern(text)
		if err != nil {
			return
		}
		if again, err := ParsePattern(p.String()); err != nil || again != p {
			t.Errorf("%q prints as %q, which reads as %v, %v", text, p, again, err)
		}
		if p.Match(address) && !strings.Contains(address, "@") {
			t.Errorf("%q matches %q", text, address)
		}
	})
}
