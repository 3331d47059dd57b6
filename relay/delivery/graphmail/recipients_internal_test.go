package graphmail

import (
	"testing"

	"graphrelay/mime"
)

// A recipient is shown where the header names it, in whatever form.
func TestRecipientForms(t *testing.T) {
	m := &mime.Message{
		To: []mime.Address{{Name: "Info", Address: "info@bücher.test"}, {Address: `"john doe"@example.test`}},
		Cc: []mime.Address{{Address: "Anna@Contoso.test"}},
	}
	to, cc, bcc, notes := deliverTo(m, []string{"info@xn--bcher-kva.test", `"John Doe"@example.test`, "anna@contoso.test", "hidden@contoso.test"})
	if len(to) != 2 || len(cc) != 1 || len(bcc) != 1 || bcc[0].EmailAddress.Address != "hidden@contoso.test" || len(notes) != 0 {
		t.Errorf("to %v, cc %v, bcc %v, %v", to, cc, bcc, notes)
	}
}
