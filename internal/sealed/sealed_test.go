package sealed

import "testing"

func TestSeal(t *testing.T) {
	type value struct{ Name string }
	k := NewKey()
	text, err := k.Seal(value{"anna"})
	if err != nil {
		t.Fatal(err)
	}
	var v value
	if !k.Open(text, &v) || v.Name != "anna" {
		t.Errorf("got %+v", v)
	}
	again, _ := k.Seal(value{"anna"})
	if again == text {
		t.Error("the same value is sealed to the same text")
	}
	for _, forged := range []string{"", "x", "!", text[1:], text[:len(text)-1], text + "AA"} {
		if k.Open(forged, &v) {
			t.Errorf("%q is opened", forged)
		}
	}
	if NewKey().Open(text, &v) {
		t.Error("another key opens it")
	}
}
