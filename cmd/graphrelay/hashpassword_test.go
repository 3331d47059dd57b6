package main

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

func TestHashPasswordCommand(t *testing.T) {
	for _, line := range []string{"pass word: ü", "pass word: ü\n", "pass word: ü\r\n", "\xef\xbb\xbfpass word: ü\r\n",
		"\xff\xfep\x00a\x00s\x00s\x00 \x00w\x00o\x00r\x00d\x00:\x00 \x00\xfc\x00\r\x00\n\x00"} {
		got := execute(t, line, "hash-password")
		got.want(t, exitOK, "$2a$")
		if err := bcrypt.CompareHashAndPassword([]byte(strings.TrimSuffix(got.stdout, "\n")), []byte("pass word: ü")); err != nil {
			t.Errorf("%q: %v", line, err)
		}
	}
	for _, line := range []string{"", "\n"} {
		execute(t, line, "hash-password").want(t, exitFault, "no password on standard input")
	}
	execute(t, "p\x00a\x00\r\x00\n\x00", "hash-password").want(t, exitFault, "UTF-16")
	execute(t, strings.Repeat("x", 73), "hash-password").want(t, exitFault, "72 bytes")
	lines := strings.Fields(execute(t, "", "hash-password", "--token").stdout)
	if len(lines) != 4 || len(lines[1]) < 60 || lines[2] != "token_hash:" || lines[3] != fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(lines[1]))) {
		t.Errorf("%q", lines)
	}
}
