package licences

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/licensecheck"
)

var update = flag.Bool("update", false, "write THIRD_PARTY_LICENSES")

// allowed are the licences under which code may be linked into the program: they ask for
// nothing but that their text and notices go with it.
var allowed = []string{"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "Unlicense"}

// notLinked are licences in the files of a module that are not those of code in the program.
var notLinked = map[string]string{
	"modernc.org/sqlite LICENSE-3RD-PARTY.md MPL-2.0": "section 3 of that file: in the module graph, not compiled into anything",
}

// TestLicences checks that each module that is linked into the program, on each system, has
// an allowed licence and is in THIRD_PARTY_LICENSES with all its texts.
func TestLicences(t *testing.T) {
	modules, err := linked("graphrelay/cmd/graphrelay")
	if err != nil {
		t.Fatal(err)
	}
	if len(modules) < 20 {
		t.Fatalf("the program has %d modules: the list is not complete", len(modules))
	}
	for i := range modules {
		for _, err := range modules[i].classify() {
			t.Error(err)
		}
	}
	want := render(modules)
	if *update && !t.Failed() {
		if err := os.WriteFile("THIRD_PARTY_LICENSES", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if text != want {
		t.Error("THIRD_PARTY_LICENSES is not current: run go test ./internal/licences -update, and read the difference")
	}
}

// TestRefused checks that licences which are not allowed, or are none, are refused.
func TestRefused(t *testing.T) {
	mpl := "This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.\n" +
		"If a copy of the MPL was not distributed with this file, You can obtain one at\n" +
		"http://mozilla.org/MPL/2.0/.\n"
	mit, err := os.ReadFile("../../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		files map[string]string
		want  string // empty if the module is allowed
	}{
		{"allowed", map[string]string{"LICENSE": string(mit), "NOTICE": "Made by Contoso."}, ""},
		{"no file", nil, "no licence"},
		{"only a notice", map[string]string{"NOTICE": "Made by Contoso."}, "no licence"},
		{"own terms", map[string]string{"LICENSE": "You may use this on Sundays."}, "not recognized"},
		{"not allowed", map[string]string{"LICENSE": mpl}, "MPL-2.0"},
		{"part not allowed", map[string]string{"LICENSE": string(mit), "LICENSE-PARTS": mpl}, "MPL-2.0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := module{path: "example.org/m", files: test.files}
			if got := fmt.Sprint(errors.Join(m.classify()...)); !strings.Contains(got, cmp.Or(test.want, "<nil>")) {
				t.Errorf("classify reports %s, want %q", got, test.want)
			}
		})
	}
}

func TestOf(t *testing.T) {
	for module, want := range map[string][]string{
		"std":                       {"BSD-3-Clause"},
		"go.yaml.in/yaml/v3":        {"Apache-2.0", "MIT"},
		"github.com/emersion/no-go": nil,
		"graphrelay":                {"MIT"},
	} {
		if got := Of(module); !slices.Equal(got, want) {
			t.Errorf("Of(%s) = %v, want %v", module, got, want)
		}
	}
}

// module is a module with its licences.
type module struct {
	path  string
	files map[string]string // name below the directory of the module -> text
	ids   []string          // SPDX identifiers
}

var (
	// isLicence matches the names of files with the licence of the module that they are in.
	isLicence = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicense)(\.(txt|md))?$`)
	// isText matches these, and the names of files with notices and licences of parts.
	isText = regexp.MustCompile(`(?i)^((.*[-_.])?(licen[cs]e|copying|unlicense|notice|copyright)s?([-_.].*)?)$`)
)

// classify sets the licences of a module, and returns what keeps it from being used.
func (m *module) classify() []error {
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(m.files)) {
		found := licensecheck.Scan([]byte(m.files[name]))
		main := isLicence.MatchString(filepath.Base(name))
		if main && found.Percent < 75 {
			faults = append(faults, fmt.Errorf("%s: %s is not recognized as a licence", m.path, name))
		}
		for _, match := range found.Match {
			if notLinked[m.path+" "+name+" "+match.ID] != "" {
				continue
			}
			if !slices.Contains(allowed, match.ID) {
				faults = append(faults, fmt.Errorf("%s: %s has the licence %s, which is not allowed", m.path, name, match.ID))
			}
			if main && !slices.Contains(m.ids, match.ID) {
				m.ids = append(m.ids, match.ID)
			}
		}
	}
	if len(m.ids) == 0 && len(faults) == 0 {
		faults = append(faults, fmt.Errorf("%s: no licence", m.path))
	}
	slices.Sort(m.ids)
	return faults
}

// linked returns the modules that a program is linked from on any system, this one among
// them, Go's standard library as "std", and packages of npm as "npm:" and their name.
func linked(program string) ([]module, error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	root := strings.TrimSpace(string(out))
	files, err := licencesIn(root, root)
	if err != nil {
		return nil, err
	}
	modules := map[string]module{"std": {path: "std", files: files}}
	for _, system := range []string{"linux", "windows", "darwin"} {
		for _, arch := range []string{"amd64", "arm64"} {
			if err := addLinked(modules, program, "GOOS="+system, "GOARCH="+arch); err != nil {
				return nil, err
			}
		}
	}
	if err := addEmbedded(modules); err != nil {
		return nil, err
	}
	return slices.SortedFunc(maps.Values(modules), func(a, b module) int { return strings.Compare(a.path, b.path) }), nil
}

// addEmbedded adds the packages of npm whose scripts the program's pages have.
func addEmbedded(modules map[string]module) error {
	const vendored = "../look/vendored"
	entries, err := os.ReadDir(vendored)
	if err != nil {
		return err
	}
	for _, e := range entries {
		dir := filepath.Join(vendored, e.Name())
		files, err := licencesIn(dir, dir)
		if err != nil {
			return err
		}
		path := "npm:" + e.Name()
		modules[path] = module{path: path, files: files}
	}
	return nil
}

// addLinked adds what a program is linked from on one system.
func addLinked(modules map[string]module, program string, system ...string) error {
	cmd := exec.Command("go", "list", "-deps", "-json=Dir,Module", program)
	cmd.Env = append(os.Environ(), append(system, "CGO_ENABLED=0")...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("go list: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(out))
	for {
		var p struct {
			Dir    string
			Module *struct {
				Path, Dir string
				Main      bool
			}
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if p.Module == nil {
			continue
		}
		if p.Module.Main {
			p.Dir = p.Module.Dir // its packages have none of their own
		}
		files, err := licencesIn(p.Module.Dir, p.Dir)
		if err != nil {
			return err
		}
		if m, ok := modules[p.Module.Path]; ok {
			maps.Copy(m.files, files)
		} else {
			modules[p.Module.Path] = module{path: p.Module.Path, files: files}
		}
	}
}

// licencesIn reads the licences and notices in the directory of a package and in those above
// it, up to the root of its module.
func licencesIn(root, dir string) (map[string]string, error) {
	files := map[string]string{}
	for ; ; dir = filepath.Dir(dir) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			if e.IsDir() || !isText.MatchString(e.Name()) || filepath.Ext(path) == ".go" {
				continue
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			name, err := filepath.Rel(root, path)
			if err != nil {
				return nil, err
			}
			files[filepath.ToSlash(name)] = clean(string(text))
		}
		if dir == root || len(dir) < len(root) {
			return files, nil
		}
	}
}

// clean returns a text without spaces at the ends of lines, so that equal licences are equal.
func clean(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimRight(line, " \t\r\n"))
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n") + "\n"
}

// render returns the content of THIRD_PARTY_LICENSES. A text that several modules have is
// in it once.
func render(modules []module) string {
	var b strings.Builder
	b.WriteString("Licences of the Go modules, of Go's standard library (std), and of the packages of npm\n" +
		"(npm:) that graphrelay is made from. With \"+\", all licences apply. Their texts follow.\n\n")
	var texts []string
	names := map[string][]string{}
	for _, m := range modules {
		fmt.Fprintf(&b, "%s%-60s %s\n", indent, m.path, strings.Join(m.ids, "+"))
		for _, name := range slices.Sorted(maps.Keys(m.files)) {
			text := m.files[name]
			if names[text] == nil {
				texts = append(texts, text)
			}
			names[text] = append(names[text], m.path+", "+name)
		}
	}
	for _, text := range texts {
		fmt.Fprintf(&b, "\n%s\n%s\n%s\n\n%s", rule, strings.Join(names[text], "\n"), rule, text)
	}
	return b.String()
}
