package mime

import (
	"reflect"
	"testing"
)

func TestParseAddresses(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []Address
		bad  int
	}{
		{"", nil, 0},
		{" , ,, ", nil, 0},
		{"a@example.com", []Address{{"", "a@example.com"}}, 0},
		{"A <a@example.com>", []Address{{"A", "a@example.com"}}, 0},
		{`"A, B" <a@example.com>,b@example.com`, []Address{{"A, B", "a@example.com"}, {"", "b@example.com"}}, 0},
		{`"A \"the\" B" <a@example.com>`, []Address{{`A "the" B`, "a@example.com"}}, 0},
		{"A B<a@example.com>", []Address{{"A B", "a@example.com"}}, 0},
		{"<a@example.com> A", []Address{{"A", "a@example.com"}}, 0},
		{"a@example.com <A>", []Address{{"A", "a@example.com"}}, 0},
		{"<a@example.com>, <>", []Address{{"", "a@example.com"}}, 1},
		{"A <a@example.com>B <b@example.com>", []Address{{"A", "a@example.com"}, {"B", "b@example.com"}}, 0},
		{"A <a@example.com B <b@example.com>", []Address{{"A", "a@example.com"}, {"B", "b@example.com"}}, 0},
		{"<<a@example.com>>", []Address{{"", "a@example.com"}}, 0},
		{"undisclosed-recipients:;", nil, 0},
		{"Recipients not shown", nil, 1},
		{"Us: a@example.com, B <b@example.com>; c@example.com", []Address{{"", "a@example.com"}, {"B", "b@example.com"}, {"", "c@example.com"}}, 0},
		{"Doe, John (Dr) <j@example.com>", []Address{{"Doe, John", "j@example.com"}}, 0},
		{"john, a@example.com", []Address{{"", "a@example.com"}}, 1},
		{`"never closed <a@example.com>`, []Address{{"never closed", "a@example.com"}}, 0},
		{"(never closed <a@example.com>", []Address{{"(never closed", "a@example.com"}}, 0},
		{"a@example.com (A (nested) B)", []Address{{"A (nested) B", "a@example.com"}}, 0},
		{"a@example.com.", []Address{{"", "a@example.com"}}, 0},
		{"a..b@example.com", []Address{{"", "a..b@example.com"}}, 0},
		{"a b@c d@example.com", []Address{{"a", "b@c"}, {"", "d@example.com"}}, 0},
		{`"a@b"@example.com`, []Address{{"", `"a@b"@example.com`}}, 0},
		{`"a.b"@example.com`, []Address{{"", "a.b@example.com"}}, 0},
		{"a@[IPv6:2001:db8::1]", []Address{{"", "a@[IPv6:2001:db8::1]"}}, 0},
		{"A <a@b@example.com>", nil, 1},
		{"=?utf-8?Q?Doe=2C_J?= <j@example.com>", []Address{{"Doe, J", "j@example.com"}}, 0},
		{"=?utf-8?Q?J=C3?= =?utf-8?Q?=B6rg?= <j@example.com>", []Address{{"Jörg", "j@example.com"}}, 0},
		{"\"A\x00B\r\n\" <a\x01@example.com>", []Address{{"AB", "a@example.com"}}, 0},
		{"a@example.com\r\n ,\r\n\tb@example.com", []Address{{"", "a@example.com"}, {"", "b@example.com"}}, 0},
		{"a@exa mple.com", []Address{{"", "a@exa"}}, 0},
	} {
		got, bad := parseAddresses(c.in)
		if !reflect.DeepEqual(got, c.want) || bad != c.bad {
			t.Errorf("%q:\n got %q, %d bad\nwant %q, %d bad", c.in, got, bad, c.want, c.bad)
		}
	}
}

func TestScanIDs(t *testing.T) {
	for in, want := range map[string][]string{
		"":                                  nil,
		"<a@b>":                             {"<a@b>"},
		"<a@b><c@d>, <e>":                   {"<a@b>", "<c@d>", "<e>"},
		"<a <b@c> d>":                       {"<b@c>"},
		"<a@\r\n b>":                        {"<a@b>"},
		"a@b":                               {"<a@b>"},
		"a@b c@d":                           {"<a@b>", "<c@d>"},
		"your mail of Monday":               nil,
		"*":                                 {"<*>"},
		"<>":                                nil,
		"(comment) <a@b> (and <another@b>)": {"<a@b>", "<another@b>"},
		"<a\x00@b>":                         {"<a@b>"},
	} {
		if got := scanIDs(in); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
