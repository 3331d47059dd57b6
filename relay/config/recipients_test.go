package config

import "testing"

// A pattern in deny covers every way to write its mailbox.
func TestDenyCoversTheMailbox(t *testing.T) {
	var r Recipients
	for _, text := range []string{"ceo@contoso.test", "*@b\u00fccher.test", "a+b@example.test"} {
		p, err := ParsePattern(text)
		if err != nil {
			t.Fatal(err)
		}
		r.Deny = append(r.Deny, p)
	}
	for address, allowed := range map[string]bool{
		"ceo@contoso.test": false, "CEO@Contoso.Test": false, "ceo+x@contoso.test": false, "Ceo+x+y@contoso.test": false, "ceo+@contoso.test": false,
		`"ceo+x y"@contoso.test`: false, "info@xn--bcher-kva.test": false, "info@B\u00fccher.test": false, "a+b@example.test": false, "a+b+c@example.test": true,
		"a@example.test": true, "ceox@contoso.test": true, "x+ceo@contoso.test": true, "+ceo@contoso.test": true, "ceo+x@elsewhere.test": true,
	} {
		if got := r.Allows(address); got != allowed {
			t.Errorf("%s: %v, want %v", address, got, allowed)
		}
	}
	only := Recipients{Allow: []Pattern{r.Deny[0]}}
	if only.Allows("ceo+x@contoso.test") || !only.Allows("ceo@contoso.test") {
		t.Error("allow covers another address, or not its own")
	}
}
