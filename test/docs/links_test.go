package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// root is the folder of the repository.
const root = "../.."

// pages returns the documents whose links are checked, as paths below root.
func pages(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			name, err := filepath.Rel(root, path)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, filepath.ToSlash(name))
		}
	}
	if len(names) == 0 {
		t.Fatal("there are no documents")
	}
	return names
}

// read returns a document without its blocks.
func read(t *testing.T, name string) string {
	t.Helper()
	var prose strings.Builder
	open := false
	lines(t, name, func(_ int, line, _ string, fence bool) {
		if open = open != fence; !open && !fence {
			prose.WriteString(line + "\n")
		}
	})
	return prose.String()
}

// link matches the target of a Markdown link.
var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestLinks checks that each relative link of a document names a file of the
// repository, and that its #fragment is a heading of the document it names.
func TestLinks(t *testing.T) {
	links := 0
	for _, name := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, name), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			links++
			file, anchor, _ := strings.Cut(m[1], "#")
			target := name
			if file != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(name), file))
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s links to %s, which does not exist", name, m[1])
				continue
			}
			if anchor != "" && !anchors(read(t, target))[anchor] {
				t.Errorf("%s links to %s, which has no such heading", name, m[1])
			}
		}
	}
	if links == 0 {
		t.Error("no link was found")
	}
}

// heading matches a Markdown heading.
var heading = regexp.MustCompile(`(?m)^#{1,6} +(.+?) *$`)

// anchors returns the fragments by which GitHub links to the headings of a document.
func anchors(text string) map[string]bool {
	known := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		base := anchor(m[1])
		name := base
		for n := 1; known[name]; n++ {
			name = fmt.Sprintf("%s-%d", base, n)
		}
		known[name] = true
	}
	return known
}

// anchor drops the punctuation of a heading and joins its words with hyphens.
func anchor(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, text)
}

func TestAnchor(t *testing.T) {
	for text, want := range map[string]string{
		"As a service of systemd":    "as-a-service-of-systemd",
		"1. Accept (`relay/smtpd`)":  "1-accept-relaysmtpd",
		"What waits (`TestBacklog`)": "what-waits-testbacklog",
		"add_domain":                 "add_domain",
	} {
		if got := anchor(text); got != want {
			t.Errorf("the anchor of %q is %q, want %q", text, got, want)
		}
	}
}

// sourcePath matches a path of the repository between backticks, such as
// `relay/delivery/plan.go`, `relay/config` or `deploy/fail2ban/*`.
var sourcePath = regexp.MustCompile("`((?:\\.ci|cmd|deploy|docs|graph|internal|mime|relay|test)/[\\w./*-]+)`")

// TestPaths checks that each path of the repository that a document names exists. Of a
// dialog, documents may leave out the extension.
func TestPaths(t *testing.T) {
	paths := 0
	for _, name := range pages(t) {
		for _, m := range sourcePath.FindAllStringSubmatch(read(t, name), -1) {
			paths++
			found := false
			for _, suffix := range []string{"", ".dialog"} {
				matches, err := filepath.Glob(filepath.Join(root, m[1]+suffix))
				if err != nil {
					t.Fatal(err)
				}
				found = found || len(matches) > 0
			}
			if !found {
				t.Errorf("%s names %s, which does not exist", name, m[1])
			}
		}
	}
	if paths == 0 {
		t.Error("no path was found")
	}
}
