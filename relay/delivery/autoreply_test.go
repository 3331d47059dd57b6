package delivery_test

import (
	"fmt"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
)

const ticket = `From: CRM <anna@contoso.test>
To: anna@example.test
Subject: issue closed
X-Mailer: ticket
X-Ticket-Project: shop
X-Ticket-Project-Id: 7
X-Ticket-Issue-Id: 12
X-Ticket-Issue-State: closed
X-Ticket-NotificationReason: own
Auto-Submitted: auto-generated
X-Auto-Response-Suppress: All
Precedence: bulk
`

const ticketFields = "[{X-Ticket-Project shop} {X-Ticket-Project-Id 7} {X-Ticket-Issue-Id 12} {X-Ticket-Issue-State closed} {X-Ticket-NotificationReason own}]"

// Fields that change what Exchange does never fall out among the five that Graph takes.
func TestAutoRepliesAreSuppressed(t *testing.T) {
	const head, five = "From: CRM <anna@contoso.test>\nTo: anna@example.test\nSubject: closed\n", "X-A: 1\nX-B: 2\nX-C: 3\nX-D: 4\nX-E: 5\n"
	for name, tt := range map[string]struct {
		refused, patterns []string
		raw               string
		property          string
		headers           string
	}{
		"sixth":           {nil, []string{"auto"}, ticket, "-1", ticketFields},
		"first":           {nil, []string{"auto"}, head + "X-Auto-Response-Suppress: OOF\n" + five, "16", "[{X-A 1} {X-B 2} {X-C 3} {X-D 4} {X-E 5}]"},
		"Auto-Submitted":  {nil, []string{"auto"}, head + "Auto-Submitted: auto-generated\n", "48", "[]"},
		"from a person":   {nil, []string{"auto"}, head + "Auto-Submitted: no\n", "", "[]"},
		"no X- fields":    {nil, nil, ticket, "-1", "[]"},
		"by the setting":  {nil, []string{"X-Mailer", "X-E"}, ticket + "X-E: 5\n", "-1", "[{X-Mailer ticket} {X-E 5}]"},
		"no property":     {[]string{"Integer 0x3FDF"}, []string{"auto"}, ticket, "", "[{X-Auto-Response-Suppress All} " + strings.Replace(ticketFields[1:], " {X-Ticket-NotificationReason own}", "", 1)},
		"no property, 48": {[]string{"Integer 0x3FDF"}, []string{"X-*"}, head + "Precedence: list\n", "", "[{X-Auto-Response-Suppress OOF, AutoReply}]"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, simulator.Options{World: simulator.World{RefusedProperties: tt.refused}})
			r.out.XHeaders = tt.patterns
			id := r.submit(compose(tt.raw, "closed"), r.to(anna, "anna@example.test"))
			defer r.start(nil)()
			m := r.message(r.sentOnce(id))
			property := ""
			for _, p := range m.Properties {
				if p.ID == "Integer 0x3fdf" {
					property = p.Value
				}
			}
			if property != tt.property || fmt.Sprint(m.Headers) != tt.headers {
				t.Errorf("property %q, headers %v; want %q and %s\n%s", property, m.Headers, tt.property, tt.headers, r.history(id))
			}
			if h := r.history(id); strings.Contains(h, "not carried: "+"X-Auto-Response-Suppress") {
				t.Errorf("the history:\n%s", h)
			}
		})
	}
}
