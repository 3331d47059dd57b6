package graphmail

import (
	"testing"

	"graphrelay/mime"
)

// What suppresses automatic replies, and the property and the field that carry it.
func TestSuppressed(t *testing.T) {
	f := func(name, value string) mime.Field { return mime.Field{Name: name, Value: value} }
	for _, tt := range []struct {
		fields          []mime.Field
		property, field string
	}{
		{nil, "", ""},
		{[]mime.Field{f("X-Auto-Response-Suppress", "All")}, "-1", "All"},
		{[]mime.Field{f("x-auto-response-suppress", "OOF")}, "16", "OOF"},
		{[]mime.Field{f("X-Auto-Response-Suppress", " DR, ndr,RN, NRN, oof, AutoReply")}, "63", "DR, NDR, RN, NRN, OOF, AutoReply"},
		{[]mime.Field{f("X-Auto-Response-Suppress", "None"), f("Precedence", "bulk")}, "", ""},
		{[]mime.Field{f("X-Auto-Response-Suppress", "OOF"), f("Precedence", "bulk")}, "16", "OOF"},
		{[]mime.Field{f("X-Auto-Response-Suppress", "nonsense"), f("Precedence", "bulk")}, "48", "OOF, AutoReply"},
		{[]mime.Field{f("X-Auto-Response-Suppress", "nonsense")}, "", ""},
		{[]mime.Field{f("X-Auto-Response-Suppress", "")}, "", ""},
		{[]mime.Field{f("Auto-Submitted", "auto-generated; x=y")}, "48", "OOF, AutoReply"},
		{[]mime.Field{f("Auto-Submitted", "No")}, "", ""},
		{[]mime.Field{f("Auto-Submitted", "no ; x")}, "", ""},
		{[]mime.Field{f("Auto-Submitted", "")}, "", ""},
		{[]mime.Field{f("Precedence", " List ")}, "48", "OOF, AutoReply"},
		{[]mime.Field{f("Precedence", "junk")}, "48", "OOF, AutoReply"},
		{[]mime.Field{f("Precedence", "first-class")}, "", ""},
	} {
		m, field := &mime.Message{Fields: tt.fields}, ""
		if h := suppressHeader(m, []string{Auto}); h != nil {
			field = h.Value
		}
		if got := suppressProperty(m); got != tt.property || field != tt.field {
			t.Errorf("%v: %q and %q", tt.fields, got, field)
		}
		if suppressHeader(m, []string{"X-Tag"}) != nil {
			t.Error("the field is there although the setting leaves it out")
		}
	}
}

// By default no name is spent on what programs and servers add, and none that the next
// message will not have. What a ticket system or a script writes is carried.
func TestNoise(t *testing.T) {
	for name, want := range map[string]bool{
		"x-mailer": true, "x-originating-ip": true, "x-spam-status": true, "x-virus-scanned": true, "x-ms-has-attach": true,
		"x-barracuda-spam-score": true, "x-proofpoint-virus-version": true, "x-message-20261129": true, "x-received": true,
		"x-asf-spam-status": true, "x-caa-spam": true, "x-php-originating-script": true,
		"x-ticket-issue-id": false, "x-cron-env": false, "x-job": false, "x-loop": false, "x-contoso-number": false, "x-n12": false,
		"x-gitlab-project": false, "x-redmine-host": false, "x-jira-fingerprint": false, "x-github-reason": false, "x-priority-group": false,
		"x-source-system": false, "x-sender-id": false, "x-report-abuse": false, "x-campaign": false, "x-entity-ref-id": false,
	} {
		if got := isNoise(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
		if !matches("X-*", name) || matches(Auto, name) == want {
			t.Errorf("%s is matched otherwise", name)
		}
	}
}
