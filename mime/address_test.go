package mime

import (
	"reflect"
	"strings"
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
		{"jdoe@test   . example, a @ b", []Address{{"", "jdoe@test.example"}, {"", "a@b"}}, 0},
		{`Pete(A wonderful \) chap) <pete(his account)@silly.test(his host)>`, []Address{{"Pete", "pete@silly.test"}}, 0},
		{"A Group(Some people)\r\n :Chris Jones <c@(Chris's host.)public.example>,\r\n joe@example.org,\r\n John <jdoe@one.test> (my dear friend); (the end of the group)",
			[]Address{{"Chris Jones", "c@public.example"}, {"", "joe@example.org"}, {"John", "jdoe@one.test"}}, 0},
		{"(Empty list)(start)Undisclosed recipients  :(nobody(that I know))  ;", nil, 0},
		{`Who? <one@y.test>, "Giant; \"Big\" Box" <s@example.net>, Joe Q. Public <j.q@example.com>`,
			[]Address{{"Who?", "one@y.test"}, {`Giant; "Big" Box`, "s@example.net"}, {"Joe Q. Public", "j.q@example.com"}}, 0},
		{"Mary Smith <@machine.tld:mary@example.net>, , jdoe@x", []Address{{"Mary Smith", "mary@example.net"}, {"", "jdoe@x"}}, 0},
		{"=?utf-8?B?Rm9vIDxmb29AZXhhbXBsZS5jb20+?=", []Address{{"Foo", "foo@example.com"}}, 0},
		{`=?utf-8?Q?"Foo,_Bar"_=3Cfoo=40example.com=3E?=`, []Address{{"Foo, Bar", "foo@example.com"}}, 0},
		{"=?utf-8?Q?Foo?=<foo@example.com>", []Address{{"Foo", "foo@example.com"}}, 0},
		{"a\u00a0b@example.com", nil, 1},
		{"a@exa mple.com", []Address{{"", "a@exa"}}, 0},
		{"A <a@example.com on holiday>, <for b@example.com>", []Address{{"A", "a@example.com"}}, 1},
	} {
		got, bad := parseAddresses(c.in)
		if !reflect.DeepEqual(got, c.want) || bad != c.bad {
			t.Errorf("%q:\n got %q, %d bad\nwant %q, %d bad", c.in, got, bad, c.want, c.bad)
		}
	}
}

func TestParseAuthors(t *testing.T) {
	for in, want := range map[string][]Address{
		"root (Cron Daemon)":   {{"Cron Daemon", "root"}},
		"MAILER-DAEMON":        {{"", "MAILER-DAEMON"}},
		`"Name" <word>`:        {{"Name", "word"}},
		"root, a@example.com":  {{"", "a@example.com"}},
		"two words":            nil,
		"<>":                   nil,
		"undisclosed-author:;": nil,
	} {
		if got := parseAuthors(in); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %q, want %q", in, got, want)
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

// TestOneFrom checks where a strict reader finds the same author.
func TestOneFrom(t *testing.T) {
	for from, want := range map[string]bool{
		"From: a@example.com\r\n":                                    true,
		"From: Anna (of sales) <a@example.com>\r\n":                  true,
		"From: =?utf-8?q?J=C3=B6rg?= <a@example.com>\r\n":            true,
		"From: \"A, B\" <a@example.com>\r\n":                         true,
		"":                                                           false,
		"From: a@example.com\r\nFrom: a@example.com\r\n":             false,
		"From: a@example.com, b@example.com\r\n":                     false,
		"From: (never closed <a@example.com>\r\n":                    false,
		"From: Anna <a@example.com> (b@example.com\r\n":              false,
		"From: b@example.com (Anna <a@example.com>\r\n":              false,
		"From: \"never closed <a@example.com>\r\n":                   false,
		"From: Anna <a@example.com\r\n":                              false,
		"From: b@example.com <a@example.com>\r\n":                    false,
		"From: a@example.com; b@example.com\r\n":                     false,
		"From: =?utf-8?q?b=40example=2Ecom=2C?= a@example.com\r\n":   false,
		"From: undisclosed: a@example.com, b@example.com;\r\n":       false,
		"From: a@example.com\r\n" + strings.Repeat("X: y\r\n", 2001): false,
	} {
		raw := from + "Subject: x\r\n\r\ntext\r\n"
		m, err := Parse(strings.NewReader(raw), int64(len(raw)), DefaultLimits())
		if err != nil || m.OneFrom() != want {
			t.Errorf("%.80q: %v, %v, from %v", from, m.OneFrom(), err, m.From)
		}
	}
}
