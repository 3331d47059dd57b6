package simulator

import (
	"strings"
	"testing"
)

const marked = "singleValueExtendedProperties/Any(ep: ep/id eq '" + QueueProperty + "' and ep/value eq 'Q1')"

func TestParseFilter(t *testing.T) {
	for text, want := range map[string]int{
		marked:                                1,
		"isDraft eq true and " + marked:       2,
		"internetMessageId eq '<a''b@c>'":     1,
		"  isDraft   eq   false  ":            1,
		strings.ReplaceAll(marked, "ep", "x"): 1,
		"":                                    -1,
		"isDraft eq true and":                 -1,
		"isDraft":                             -1,
		"subject eq 'a'":                      -1,
		"internetMessageId eq 'open":          -1,
		"singleValueExtendedProperties/Any(ep: ep/id eq 'x' and other/value eq 'y')": -1,
		"singleValueExtendedProperties/All(ep: ep/id eq 'x' and ep/value eq 'y')":    -1,
	} {
		f, err := parseFilter(text)
		if got := len(f); err != nil && want != -1 || err == nil && got != want {
			t.Errorf("%q: %d conditions, error %v; want %d", text, got, err, want)
		}
	}
	f, err := parseFilter("internetMessageId eq '<a''b@c>'")
	if err != nil || !f.matches(&item{Message: Message{InternetMessageID: "<a'b@c>"}}) {
		t.Errorf("doubled quote: %+v %v", f, err)
	}
}

func TestParseContentRange(t *testing.T) {
	for text, want := range map[string]bool{
		"bytes 0-9/10": true, "bytes 5-5/10": true, "bytes 9-5/10": false, "bytes 0-10/10": false, "bytes 0-9/*": false,
		"bytes */10": false, "0-9/10": false, "bytes 0-9": false, "bytes -1-9/10": false, "bytes +0-9/10": false,
		"bytes 0-9/99999999999999999999": false, "": false,
	} {
		if _, ok := parseContentRange(text); ok != want {
			t.Errorf("%q: %v, want %v", text, ok, want)
		}
	}
}

func TestNormaliseProperty(t *testing.T) {
	for id, want := range map[string]string{
		"string {8EC6A6A5-1C0E-4D0E-9A55-6E1F5A7A2F31} name graphrelay-id": QueueProperty,
		"Integer 0x0036": "Integer 0x36",
		"Integer {8ec6a6a5-1c0e-4d0e-9a55-6e1f5a7a2f31} Id 0x8012": "Integer {8ec6a6a5-1c0e-4d0e-9a55-6e1f5a7a2f31} Id 0x8012",
		"Integer 0x8012": "", "Integer 36": "", "Text 0x36": "", "String {8ec6a6a5} Name x": "", "": "",
		"Integer {8ec6a6a5-1c0e-4d0e-9a55-6e1f5a7a2f31} Id 0x36": "",
		"String {8ec6a6a5-1c0e-4d0e-9a55-6e1f5a7a2f31} Name ":    "",
	} {
		if got, err := normalizeProperty(id); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", id, got, err)
		}
	}
}

// FuzzFilter checks that accepted filters stay accepted, and match without a panic.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{marked, marked + " and isDraft eq true", "internetMessageId eq '<a''b@c>'", "isDraft eq false", "'", "a/b(", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		conditions, err := parseFilter(text)
		if (err == nil) != (len(conditions) > 0) {
			t.Fatalf("%d conditions, error %v", len(conditions), err)
		}
		conditions.matches(&item{Message: Message{Properties: []Property{{ID: QueueProperty, Value: "Q1"}}}})
	})
}

// FuzzContentRange checks the bounds of accepted ranges.
func FuzzContentRange(f *testing.F) {
	for _, seed := range []string{"bytes 0-2097151/3483322", "bytes 0-0/1", "bytes */1", "bytes 1-0/2", "bytes 0-9223372036854775807/9223372036854775807"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, ok := parseContentRange(text)
		if ok && (r.first < 0 || r.length() < 1 || r.first+r.length() > r.total) {
			t.Fatalf("%q: %+v", text, r)
		}
	})
}
