package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
)

// TestBill builds the program, and compares its bill with what go version -m says of it.
func TestBill(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "graphrelay")
	build := exec.Command("go", "build", "-trimpath", "-o", binary, "graphrelay/cmd/graphrelay")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := bill(binary, "v1.2.3+x")
	if err != nil {
		t.Fatal(err)
	}
	again, err := bill(binary, "v1.2.3+x")
	if err != nil || string(again) != string(out) {
		t.Errorf("the second bill differs from the first, or failed: %v", err)
	}
	for _, changing := range []string{"timestamp", "serialNumber"} {
		if strings.Contains(string(out), changing) {
			t.Errorf("the bill has a %s, which is never the same", changing)
		}
	}
	var d document
	if err := json.Unmarshal(out, &d); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	program := d.Metadata.Component
	if program.PURL != "pkg:golang/graphrelay@v1.2.3%2Bx" || program.Licenses[0].License.ID != "MIT" ||
		program.Hashes[0] != (hash{"SHA-256", fmt.Sprintf("%x", sha256.Sum256(content))}) {
		t.Errorf("the program is described as %+v", program)
	}
	compare(t, binary, d)
}

// compare compares the components of a bill with the modules that go version -m lists.
func compare(t *testing.T, binary string, d document) {
	listed, err := exec.Command("go", "version", "-m", binary).Output()
	if err != nil {
		t.Fatal(err)
	}
	components := map[string]component{}
	for _, c := range d.Components {
		components[c.Name] = c
	}
	needed := strings.Join(d.Dependencies[0].DependsOn, "\n")
	modules := 0
	for line := range strings.Lines(string(listed)) {
		fields := strings.Fields(line)
		if fields[0] != "dep" {
			continue
		}
		modules++
		path, version, sum := fields[1], fields[2], fields[3]
		c := components[path]
		if c.PURL != "pkg:golang/"+path+"@"+version || c.Version != version || c.Type != "library" || !strings.Contains(needed, c.Ref) {
			t.Errorf("%s %s is described as %+v", path, version, c)
		}
		raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(sum, "h1:"))
		if want := fmt.Sprintf("%x", raw); err != nil || len(c.Hashes) != 1 || c.Hashes[0].Content != want || c.Hashes[0].Algorithm != "SHA-256" {
			t.Errorf("%s has the hashes %v, want %s", path, c.Hashes, want)
		}
		if len(c.Licenses) == 0 || c.Licenses[0].License.ID == "" {
			t.Errorf("%s has no licence", path)
		}
	}
	if modules < 20 || len(components) != modules+1 {
		t.Errorf("the bill has %d components for %d modules and the standard library", len(components), modules)
	}
	if std := components["std"]; !strings.HasPrefix(std.PURL, "pkg:golang/std@1.") || std.Licenses[0].License.ID != "BSD-3-Clause" {
		t.Errorf("the standard library is described as %+v", std)
	}
}

func TestModulesThatCannotBeListed(t *testing.T) {
	const sum = "h1:mfngRv0Yoh0VApsXKEN82CjD99kl7mtparN3bs3JnqI="
	for want, m := range map[string]*debug.Module{
		"no checksum":              {Path: "golang.org/x/net", Version: "v0.1.0"},
		"has no checksum":          {Path: "golang.org/x/net", Version: "v0.1.0", Sum: "h1:AAAA"},
		"nobody can tell":          {Path: "a", Replace: &debug.Module{Path: "golang.org/x/net", Version: "v0.1.0"}},
		"not in internal/licences": {Path: "example.org/unknown", Version: "v0.1.0", Sum: sum},
	} {
		if c, err := describeModule(m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %+v, %v, want an error with %q", m, c, err, want)
		}
	}
}
