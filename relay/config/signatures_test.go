package config

import (
	"testing"

	"graphrelay/relay/signature"
)

func TestSignatures(t *testing.T) {
	cfg, err := Load(inTestFolder(t, fixtures(t, "testdata/good/signatures.yaml")[0]))
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.Senders[0].Signature; got != "here" {
		t.Errorf("the rule has %q", got)
	}
	for i, want := range []signature.Rendered{
		{HTML: "<p>Anna<br>Sales</p>", Text: "Anna\nSales\nContoso"},
		{HTML: "<b>Anna</b>", Text: "Anna"},
	} {
		got, err := cfg.Signatures[i].Template.Render(signature.Data{DisplayName: "Anna", JobTitle: "Sales"})
		if err != nil || got != want {
			t.Errorf("%s: %v, got %+v, want %+v", cfg.Signatures[i].Name, err, got, want)
		}
	}
}
