package mailaddr

import (
	"math/rand/v2"
	"testing"
)

func TestCanonical(t *testing.T) {
	for in, want := range map[string]string{
		"Anna@Contoso.test":           "anna@contoso.test",
		"info@Bücher.test":            "info@xn--bcher-kva.test",
		"info@XN--BCHER-KVA.test":     "info@xn--bcher-kva.test",
		"info@bu\u0308cher.test":      "info@xn--bcher-kva.test", // decomposed
		"info@b_cher.Test":            "info@b_cher.test",
		"info@[127.0.0.1]":            "info@[127.0.0.1]",
		`"John Doe"@Example.test`:     `"john doe"@example.test`,
		"Ünal@contoso.test":           "ünal@contoso.test",
		"no address":                  "no address",
		"":                            "",
		"info@xn--b\xff.test":         "info@xn--b\ufffd.test",
		"info@" + "xn--99999999.test": "info@xn--99999999.test",
	} {
		if got := Canonical(in); got != want {
			t.Errorf("%q gave %q, want %q", in, got, want)
		}
		if got := Canonical(Canonical(in)); got != Canonical(in) {
			t.Errorf("%q gave %q, and then %q", in, Canonical(in), got)
		}
	}
	if !Same("a@bücher.test", "A@xn--bcher-kva.TEST") || Same("a@bücher.test", "a@bucher.test") {
		t.Error("Same is wrong")
	}
}

// TestPlainDomains compares what is not converted with what the conversion makes of it.
func TestPlainDomains(t *testing.T) {
	const parts = "aZ09.-_xn-ü"
	plain := 0
	for range 20_000 {
		var b []byte
		for range rand.IntN(12) {
			b = append(b, parts[rand.IntN(len(parts))])
		}
		domain := string(b)
		if !isPlain(domain) {
			continue
		}
		plain++
		got, err := Domain(domain)
		want, wantErr := convert(domain)
		if got != want || (err == nil) != (wantErr == nil) {
			t.Fatalf("%q gave %q, %v; its conversion gives %q, %v", domain, got, err, want, wantErr)
		}
	}
	if plain < 100 {
		t.Errorf("only %d domains were plain", plain)
	}
}
