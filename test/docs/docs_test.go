package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"graphrelay/relay/config"
	"graphrelay/relay/delivery/graphmail"
	"graphrelay/relay/reason"
)

// What docs/devices.md shows of a configuration is one.
func TestDevicesConfiguration(t *testing.T) {
	samples := blocks(t, "docs/devices.md", "yaml")
	if len(samples) != 1 {
		t.Fatalf("the document shows %d configurations", len(samples))
	}
	cfg, err := config.Parse([]byte(samples[0].text), "relay.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if l := cfg.Listeners; len(l) != 3 || l[0].AddDomain == "" || l[0].PlainAuth() || !l[1].PlainAuth() || l[2].PlainAuth() {
		t.Errorf("the listeners are %+v", l)
	}
}

// The configurations that go with the examples for containers are ones, and the files that those
// mount are there.
func TestContainerExamples(t *testing.T) {
	for _, name := range []string{"compose", "kubernetes/sqlite", "kubernetes/postgresql"} {
		path := "../../deploy/" + name + "/relay.yaml"
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := config.Parse(data, path); err != nil {
			t.Error(err)
		}
	}
	data, err := os.ReadFile("../../deploy/compose/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	mounts := regexp.MustCompile(`- (\.[^:\s]+):/`).FindAllStringSubmatch(string(data), -1)
	if len(mounts) < 5 {
		t.Errorf("only %d files are mounted", len(mounts))
	}
	for _, m := range mounts {
		if _, err := os.Stat(filepath.Join("../../deploy/compose", m[1])); err != nil && m[1] != "./contoso.secret" {
			t.Error(err)
		}
	}
}

// Each test that the documents name for a promise is there: one that was renamed or
// removed would leave the promise without one, unseen.
func TestDocumentsNameTests(t *testing.T) {
	defined := testNames(t)
	documents, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, path := range append(documents, "../../README.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w+`).FindAllString(string(text), -1) {
			if named++; !defined[m] {
				t.Errorf("%s names %s, which is no test", path, m)
			}
		}
	}
	if named == 0 {
		t.Error("no test is named")
	}
}

// testNames returns the names of all tests and fuzz targets.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	defined := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		code, err := os.ReadFile(path)
		for _, m := range function.FindAllSubmatch(code, -1) {
			defined[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return defined
}

// TestReasonsAreExplained checks that docs/operations.md names each reason for which mail is
// refused, waits, is held or fails.
func TestReasonsAreExplained(t *testing.T) {
	text := read(t, "docs/operations.md")
	for _, r := range reason.All() {
		if !strings.Contains(text, "`"+string(r)+"`") {
			t.Errorf("docs/operations.md does not explain the reason %s", r)
		}
	}
}

// TestLossesAreExplained checks that docs/operations.md explains each kind of loss.
func TestLossesAreExplained(t *testing.T) {
	text := read(t, "docs/operations.md")
	for _, kind := range graphmail.Losses() {
		if !strings.Contains(text, "\n| `"+string(kind)+"` |") {
			t.Errorf("docs/operations.md does not explain the loss %s", kind)
		}
	}
}

// TestMetricsExist checks that each metric that a document names is one of the program's.
func TestMetricsExist(t *testing.T) {
	known := map[string]bool{}
	quoted := regexp.MustCompile(`"(graphrelay_[a-z_]+)"`)
	err := filepath.WalkDir(filepath.Join(root, "relay"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		code, err := os.ReadFile(path)
		for _, m := range quoted.FindAllSubmatch(code, -1) {
			known[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, name := range pages(t) {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`graphrelay_[a-z_]+`).FindAllString(string(text), -1) {
			if named++; !known[m] {
				t.Errorf("%s names the metric %s, which does not exist", name, m)
			}
		}
	}
	if named == 0 {
		t.Error("no metric is named")
	}
}

// answer matches an SMTP answer with its text, as the documents quote it.
var answer = regexp.MustCompile("`[2-5][0-9]{2} (?:[245]\\.[0-9]+\\.[0-9]+ )?([A-Z][^`]+)`")

// TestAnswersExist checks that the SMTP answers that the documents quote are given: the
// text of each, apart from what "..." stands for, is in the code, in that of go-smtp, or in a dialog.
func TestAnswersExist(t *testing.T) {
	var known strings.Builder
	for _, dir := range []string{filepath.Join(root, "relay"), goSMTP(t)} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || strings.HasSuffix(path, "_test.go") || !strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, ".dialog") {
				return err
			}
			text, err := os.ReadFile(path)
			known.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	quoted := 0
	for _, name := range pages(t) {
		for _, m := range answer.FindAllStringSubmatch(read(t, name), -1) {
			quoted++
			for part := range strings.SplitSeq(m[1], "...") {
				if !strings.Contains(known.String(), strings.TrimSpace(part)) {
					t.Errorf("%s quotes the answer %q, which is never given", name, m[1])
				}
			}
		}
	}
	if quoted == 0 {
		t.Error("no answer is quoted")
	}
}

// settingKey matches a key of a section of the configuration, such as `limits.timeout`.
var settingKey = regexp.MustCompile("`(limits|queue|delivery|admin|log|mailboxes|tls)\\.([a-z_]+)[^`/]*`")

// TestKeysExist checks that each key of a section that a document names exists.
func TestKeysExist(t *testing.T) {
	known := map[string]bool{}
	sections := reflect.TypeFor[config.Config]()
	for i := range sections.NumField() {
		section := sections.Field(i)
		if section.Type.Kind() != reflect.Struct {
			continue
		}
		for j := range section.Type.NumField() {
			known[section.Tag.Get("yaml")+"."+section.Type.Field(j).Tag.Get("yaml")] = true
		}
	}
	named := 0
	for _, name := range pages(t) {
		for _, m := range settingKey.FindAllStringSubmatch(read(t, name), -1) {
			key := m[1] + "." + m[2]
			if m[2] == "db" { // a database
				continue
			}
			if named++; !known[key] {
				t.Errorf("%s names the key %s, which does not exist", name, key)
			}
		}
	}
	if named == 0 {
		t.Error("no key is named")
	}
}
