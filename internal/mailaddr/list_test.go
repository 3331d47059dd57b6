package mailaddr

import (
	"slices"
	"strings"
	"testing"
)

func TestList(t *testing.T) {
	for value, want := range map[string]string{
		"":                          "",
		" , ":                       "",
		"root":                      "root",
		"a@x.test":                  "a@x.test",
		"root, ops@x.test;b@x.test": "root|ops@x.test|b@x.test",
		"root (Cron Daemon)":        "root",
		`"Doe, John" <j@x.test>, (a \) comment) b@x.test (one (in) another)`: "j@x.test|b@x.test",
		"Team: a@x.test, B <b@x.test>;, c@x.test":                            "a@x.test|b@x.test|c@x.test",
		"undisclosed-recipients:;":                                           "",
		"<@a.test,@b.test:c@x.test>":                                         "c@x.test",
		"a @ x.test":                                                         "a@x.test",
		`"a b"@x.test, <"a>b"@x.test>`:                                       `"a b"@x.test|"a>b"@x.test`,
		"a@[192.0.2.1]":                                                      "a@[192.0.2.1]",
		"größe@x.test":                                                       "größe@x.test",
		"=?utf-8?q?a=40evil.test=2C?= <b@x.test>":                            "b@x.test",
	} {
		got, err := List(value)
		if err != nil || strings.Join(got, "|") != want {
			t.Errorf("%q: %q %v, want %q", value, got, err, want)
		}
	}
	for _, value := range []string{"a b", "a@", "@x.test", "<>", "a@x.test b@x.test", `"a`, "(a", "<a", "a>", "a)", "[a", "a@b@c", "<a> <b>", "a@x:b", "a\x00@x", "a<b@x,c@y>", "a@[x", "a@x\r\nRCPT"} {
		if got, err := List(value); err == nil {
			t.Errorf("%q: %q", value, got)
		}
	}
}

// FuzzList checks that no address of a list can break out of a command or of another list.
func FuzzList(f *testing.F) {
	for _, seed := range []string{"a@x.test, B <b@x.test>", `g: "a\"b"@x, (c) d@[1.2.3.4];`, "<@a:b@c>", "\x00<\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		list, err := List(value)
		if err != nil {
			return
		}
		for _, a := range list {
			if strings.ContainsAny(a, "\r\n\x00") || a == "" {
				t.Fatalf("%q: %q", value, a)
			}
			if again, err := List("<" + a + ">"); err != nil || !slices.Equal(again, []string{a}) {
				t.Fatalf("%q: %q is read as %q, %v", value, a, again, err)
			}
		}
	})
}
