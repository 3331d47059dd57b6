package credential_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/credential"
)

func TestCreate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	now := time.Now()
	s, err := credential.Create(dir, "relay.test", now)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
		t.Errorf("the folder has the mode %v, %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Fatalf("%v, %v", entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %v, %v", e.Name(), info.Mode(), err)
		}
	}
	made := s.Certificates()
	if len(made) != 2 || made[0].Subject.CommonName != "relay.test" || made[1].NotAfter.Before(made[0].NotAfter.AddDate(0, 11, 0)) {
		t.Errorf("made %v", made)
	}
	if got := s.Problem(now); !strings.Contains(got, "not registered") {
		t.Errorf("before it is registered: %q", got)
	}
	if err := s.Register("object", "one", "two"); err != nil {
		t.Fatal(err)
	}
	read, err := credential.Open(dir)
	if err != nil || read.ObjectID() != "object" || !read.Certificates()[0].Equal(made[0]) || !read.Certificates()[1].Equal(made[1]) {
		t.Errorf("read %+v, %v", read, err)
	}
	if read.Problem(now) != "" || !read.Expires(now).Equal(made[0].NotAfter) {
		t.Errorf("problem %q, expires %s", read.Problem(now), read.Expires(now))
	}
	for after, want := range map[time.Duration]string{189 * 24 * time.Hour: "", 191 * 24 * time.Hour: "current certificate has been due since", 366 * 24 * time.Hour: "current"} {
		if got := read.Problem(now.Add(after)); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("after %s: %q, want %q", after, got, want)
		}
	}
	if got := read.Expires(now.AddDate(1, 0, 1)); !got.Equal(made[1].NotAfter) {
		t.Errorf("with an expired current certificate, %s is in use", got)
	}
	if _, err := credential.Create(dir, "relay.test", now); err == nil || !strings.Contains(err.Error(), "has certificates already") {
		t.Errorf("made twice: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for content, want := range map[string]string{
		"":                                       "damaged state.json",
		"{}":                                     "no certificate that can be read",
		`{"keys":[{"file":"../../etc/passwd"}]}`: "damaged state.json",
		`{"keys":[{"file":"certificate-0123456789abcdef.pem","role":"current","stage":"in use"}]}`: "no certificate that can be read",
		strings.Repeat(" ", 1<<20+1): "larger than",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "state.json"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := credential.Open(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.50q: %v, want %q", content, err, want)
		}
	}
	if _, err := credential.Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "graphrelay setup") {
		t.Errorf("an empty folder: %v", err)
	}
}
