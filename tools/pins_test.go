// Package tools_test checks that everything the project builds and tests with is pinned.
package tools_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestPinned checks that no file runs or installs what may be another program tomorrow.
func TestPinned(t *testing.T) {
	files := 0
	walk(t, func(path string) {
		if filepath.Base(path) == "pins_test.go" || !mayInstall(path) {
			return
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files++
		n := 0
		for line := range strings.Lines(string(text)) {
			n++
			if fault := floating(line); fault != "" {
				t.Errorf("%s:%d: %s", path, n, fault)
			}
		}
	})
	if files < 100 {
		t.Errorf("only %d files were read", files)
	}
}

func TestFloating(t *testing.T) {
	for line, want := range map[string]bool{
		"	go run honnef.co/go/tools/cmd/staticcheck@latest ./...":  true,
		"go install example.org/tool@main":                         true,
		"go run example.org/tool@v1.2 ./...":                       true,
		"go get example.org/tool@v1":                               true,
		"go run -race example.org/tool@upgrade":                    true,
		"npm install mailparser":                                   true,
		"npm i":                                                    true,
		"npx --yes mailparser":                                     true,
		"pip install mailparser":                                   true,
		"curl -fsS https://example.org/install.sh | sh":            true,
		"wget -q http://example.org/tool.tar.gz":                   true,
		"go run example.org/tool@v1.2.3 ./...":                     false,
		"go run example.org/tool@v0.0.0-20261105234957-e22db65280": false,
		"go run ./cmd/graphrelay demo":                             false,
		"npm ci --silent --no-audit --no-fund --prefix dir":        false,
		"the latest version":                                       false,
		"mail to main@example.org":                                 false,
	} {
		if fault := floating(line); (fault != "") != want {
			t.Errorf("%q: got %q, want a fault: %v", line, fault, want)
		}
	}
}

// TestNPMLocked checks that npm installs only what a lock file names with its checksum, and
// that CI installs it with npm ci, which changes no lock file.
func TestNPMLocked(t *testing.T) {
	install, err := os.ReadFile("../.ci/install")
	if err != nil {
		t.Fatal(err)
	}
	packages := 0
	walk(t, func(path string) {
		if filepath.Base(path) != "package.json" {
			return
		}
		packages++
		dir := filepath.Dir(path)
		if folder := filepath.ToSlash(strings.TrimPrefix(dir, ".."+string(filepath.Separator))); !strings.Contains(string(install), folder) {
			t.Errorf("%s: .ci/install does not install it", path)
		}
		text, err := os.ReadFile(filepath.Join(dir, "package-lock.json"))
		if err != nil {
			t.Error(err)
			return
		}
		for _, fault := range unlocked(text) {
			t.Errorf("%s/package-lock.json: %s", dir, fault)
		}
	})
	if packages == 0 {
		t.Error("no package.json was found")
	}
}

func TestUnlocked(t *testing.T) {
	for _, test := range []struct{ name, lock, want string }{
		{"no lock", `{"lockfileVersion": 3}`, "names no packages"},
		{"no checksum", `{"packages": {"": {}, "node_modules/x": {"version": "1.0.0", "resolved": "https://r/x.tgz"}}}`, "node_modules/x has no sha512"},
		{"weak checksum", `{"packages": {"node_modules/x": {"integrity": "sha1-aaaa"}}}`, "node_modules/x has no sha512"},
		{"good", `{"packages": {"": {}, "node_modules/x": {"integrity": "sha512-aaaa"}}}`, ""},
	} {
		if got := strings.Join(unlocked([]byte(test.lock)), "; "); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// walk calls visit with the path of each file that is not another project's.
func walk(t *testing.T, visit func(path string)) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && slices.Contains([]string{".git", "node_modules", "dist"}, d.Name()) {
			return fs.SkipDir
		}
		if err == nil && d.Type().IsRegular() {
			visit(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// mayInstall reports whether a file is run, or tells people what to run.
func mayInstall(path string) bool {
	name := filepath.Base(path)
	return strings.Contains(filepath.ToSlash(path), "/.ci/") || name == "Makefile" ||
		slices.Contains([]string{".go", ".md", ".sh", ".yml", ".yaml", ".json"}, filepath.Ext(name)) && name != "package-lock.json"
}

var (
	version  = regexp.MustCompile(`\bgo (?:run|install|get|tool)\b[^#;|&]*?\s[\w./-]+@([\w.+-]+)`)
	semver   = regexp.MustCompile(`^v\d+\.\d+\.\d+`)
	branch   = regexp.MustCompile(`[\w/]@(latest|upgrade|patch|main|master|HEAD)\b`)
	npm      = regexp.MustCompile(`\b(npm (i|install|add|update|exec)|npx)\b`)
	pip      = regexp.MustCompile(`\bpip3? install\b`)
	download = regexp.MustCompile(`\b(curl|wget)\b.*\bhttps?://[^ ]*(\.sh|\.tgz|\.tar|\.zip|\.deb)\b`)
)

// floating says what of a line is not pinned.
func floating(line string) string {
	if m := version.FindStringSubmatch(line); m != nil && !semver.MatchString(m[1]) {
		return "name a whole version, not @" + m[1]
	}
	switch {
	case branch.MatchString(line):
		return "name a whole version"
	case npm.MatchString(line):
		return "use npm ci with a lock file"
	case pip.MatchString(line):
		return "use Debian's package"
	case download.MatchString(line):
		return "nothing checks what is downloaded"
	}
	return ""
}

// unlocked says what keeps a package-lock.json from pinning everything.
func unlocked(text []byte) []string {
	var lock struct {
		Packages map[string]struct{ Integrity string }
	}
	if err := json.Unmarshal(text, &lock); err != nil {
		return []string{err.Error()}
	}
	if len(lock.Packages) == 0 {
		return []string{"names no packages"}
	}
	var faults []string
	for name, p := range lock.Packages {
		if name != "" && !strings.HasPrefix(p.Integrity, "sha512-") { // "" is the folder itself
			faults = append(faults, name+" has no sha512")
		}
	}
	return faults
}
