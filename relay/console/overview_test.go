package console

import (
	"strings"
	"testing"

	"graphrelay/relay/attention"
	"graphrelay/relay/operations"
)

// TestConditions checks that each condition has the reference of its incident, if it has one, and a
// colour that says how urgent it is.
func TestConditions(t *testing.T) {
	_, mux := testConsole(testRelay{conditions: []operations.Condition{
		{Reference: "K7QMD2", Condition: attention.Condition{ID: "ConnectionPaused", Subject: "contoso", Severity: attention.Critical, Since: at, Summary: "A connection is paused"}},
		{Condition: attention.Condition{ID: "MailHeld", Severity: attention.Warning, Since: at, Summary: "Mail is held"}},
		{Reference: "X9A2BC", Condition: attention.Condition{ID: "LearningWindow", Subject: "devices", Severity: attention.Info, Since: at, Summary: "Devices are let in"}},
	}})
	body := get(mux, "/console/").Body.String()
	for id, want := range map[string][2]string{
		"ConnectionPaused-contoso": {`class="notice bad"`, ", incident K7QMD2</span>"},
		"MailHeld-":                {`class="notice warn"`, "</time></span>"},
		"LearningWindow-devices":   {`class="notice"`, ", incident X9A2BC</span>"},
	} {
		before, article, found := strings.Cut(body, `id="condition-`+id+`"`)
		tag := before[strings.LastIndex(before, "<article"):]
		article, _, _ = strings.Cut(article, "</article>")
		if !found || !strings.Contains(tag, want[0]+" ") || !strings.Contains(article, want[1]) {
			t.Errorf("%s is %s%s, want %s and %s", id, tag, article, want[0], want[1])
		}
	}
}
