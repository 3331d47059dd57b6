package graphmail

import (
	"strings"
	"testing"

	"graphrelay/graph"
	"graphrelay/mime"
	"graphrelay/relay/queue"
)

// A name in From is lost where a rule has several senders share a mailbox. A person who
// writes the own name otherwise is told in the history alone, and nothing is said where it
// is not known what Exchange shows.
func TestLostName(t *testing.T) {
	const own = "scanner@contoso.test"
	owner := graph.User{ID: "1", Mail: own, UserPrincipalName: "s1@contoso.test", DisplayName: "Scanner"}
	for _, tt := range []struct {
		name          string
		author, shown string // address in From, and after the rule
		display       string
		owner         graph.User
		want          string // the kind; "none" for no finding
	}{
		{"replaced by a rule", "floor3@printers.local", own, "Floor 3", graph.User{}, "from"},
		{"replaced by a rule, owner known", "floor3@printers.local", own, "Floor 3", owner, "from"},
		{"replaced by a rule, same name", "floor3@printers.local", own, " scanner ", owner, "none"},
		{"replaced by a rule, no name", "floor3@printers.local", own, "", owner, "none"},
		{"own address, same name", own, own, "Scanner", owner, "none"},
		{"own address, another name", own, own, "Our Scanner", owner, ""},
		{"own sign-in name, another name", "s1@contoso.test", "s1@contoso.test", "Our Scanner", owner, ""},
		{"own address, owner not known", own, own, "Our Scanner", graph.User{}, "none"},
		{"another address", "team@contoso.test", "team@contoso.test", "Team", owner, "none"},
	} {
		m := &mime.Message{From: []mime.Address{{Name: tt.display, Address: tt.author}}}
		rec := queue.Record{Entry: queue.Entry{From: tt.shown, Lane: queue.Lane{Connection: "main", Mailbox: own}}}
		got := "none"
		if list := lostName(m, rec, tt.owner); len(list) == 1 {
			got = string(list[0].kind)
			if !strings.Contains(list[0].detail, tt.display) || !strings.Contains(list[0].detail, own) {
				t.Errorf("%s: %s", tt.name, list[0].detail)
			}
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
