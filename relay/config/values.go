package config

import (
	"errors"
	"fmt"
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

// Date is the beginning of a day in UTC. The zero value is none.
type Date time.Time

// UnmarshalText implements encoding.TextUnmarshaler. A date is written as 2027-01-31.
func (d *Date) UnmarshalText(text []byte) error {
	t, err := time.Parse(time.DateOnly, string(text))
	if err != nil {
		return fmt.Errorf("is %s; write a date such as 2027-01-31", quote(string(text)))
	}
	*d = Date(t)
	return nil
}
