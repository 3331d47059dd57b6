package graphmail

import "testing"

func TestStatusLabel(t *testing.T) {
	for status, want := range map[int]string{0: "0", 202: "202", 429: "429", 503: "503", 299: "other", 999: "other"} {
		if got := statusLabel(status); got != want {
			t.Errorf("%d is %q, want %q", status, got, want)
		}
	}
}
