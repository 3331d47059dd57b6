package graphmail

import (
	"reflect"
	"testing"
)

// Only a whole address counts: the wrong recipient must not be left out.
func TestNames(t *testing.T) {
	const bob = "bob@example.org"
	for text, want := range map[string]bool{
		"":                                      false,
		"bob@example.org":                       true,
		`Recipient "BOB@Example.org" isn't`:     true,
		"recipient 'bob@example.org' is bad":    true,
		"<bob@example.org>, <x@y>":              true,
		"smtp:bob@example.org;":                 true,
		"It is bob@example.org.":                true,
		"It is bob@example.org. Another":        true,
		"Recipient bob@example.org...":          false, // cut off
		"bob@example.org.uk":                    false,
		"bob@example.organic":                   false,
		"bob@example.org@relay":                 false,
		"jim.bob@example.org":                   false,
		"o'bob@example.org":                     false,
		"ébob@example.org":                      false,
		"x-bob@example.org and bob@example.org": true,
		"bob @example.org":                      false,
	} {
		if got := names(text, bob); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestRemaining(t *testing.T) {
	to := []string{"a@x", "B@x", "c@x"}
	if got := remaining(to, []refusedRecipient{{Address: "B@x"}}); !reflect.DeepEqual(got, []string{"a@x", "c@x"}) || len(to) != 3 || to[1] != "B@x" {
		t.Errorf("%v of %v", got, to)
	}
}
