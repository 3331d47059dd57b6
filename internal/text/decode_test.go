package text

import "testing"

func TestDecode(t *testing.T) {
	for in, want := range map[string]string{
		"secret\r\n": "secret\r\n", "\xef\xbb\xbfsecret": "secret", "": "", "\xef\xbb\xbf": "", "\xff\xfe": "",
		"\xff\xfes\x00\xfc\x00\n\x00": "s\u00fc\n", "\xfe\xff\x00s\xd8\x3d\xde\x00": "s\U0001f600", "latin-1 \xfc": "latin-1 \xfc",
		"s\x00e\x00": "error", "\x00s": "error", "\xff\xfes": "error", "\xff\xfe\x00\x00s\x00\x00\x00": "error", "\xef\xbb\xbfs\x00": "error",
	} {
		got, err := Decode([]byte(in))
		if err != nil {
			got = []byte("error")
		}
		if string(got) != want {
			t.Errorf("%q gave %q (%v), want %q", in, got, err, want)
		}
	}
}
