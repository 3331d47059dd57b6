package docs_test

import (
	"html"
	"io/fs"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

var (
	// reference matches what a page of the site links to or loads.
	reference = regexp.MustCompile(`<([a-z]+)[^>]*? (?:href|src)="([^"]*)"`)
	// identifier matches what links can lead to.
	identifier = regexp.MustCompile(` id="([^"]*)"`)
)

// TestSite builds the site, and checks every link, anchor and picture of its pages, that they load
// nothing from other servers, and that the search finds words.
func TestSite(t *testing.T) {
	harness.NeedTool(t, "mkdocs")
	make := harness.NeedTool(t, "make")
	site := filepath.Join(t.TempDir(), "site")
	harness.Tool(t, "", make, "-C", root, "site", "SITE="+site)
	files, pages := map[string]string{}, 0
	err := filepath.WalkDir(site, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(site, path)
		files[filepath.ToSlash(name)] = ""
		if strings.HasSuffix(path, ".html") {
			pages++
			files[filepath.ToSlash(name)] = harness.ReadFile(t, path)
		}
		return err
	})
	if err != nil || pages < 25 {
		t.Fatal(pages, err)
	}
	anchors := map[string]map[string]bool{}
	for name, text := range files {
		anchors[name] = map[string]bool{"": true}
		for _, m := range identifier.FindAllStringSubmatch(text, -1) {
			anchors[name][html.UnescapeString(m[1])] = true
		}
	}
	links := 0
	for name, text := range files {
		if name == "404.html" { // whose links begin at the root of a server
			continue
		}
		for _, m := range reference.FindAllStringSubmatch(text, -1) {
			u, err := url.Parse(html.UnescapeString(m[2]))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if u.IsAbs() || u.Host != "" {
				if m[1] != "a" {
					t.Errorf("%s loads %s", name, m[2])
				}
				continue
			}
			links++
			target := name
			if u.Path != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(name), u.Path))
			}
			if target == "." {
				target = "index.html"
			}
			if known, ok := anchors[target]; !ok {
				t.Errorf("%s links to %s, which the site does not have", name, m[2])
			} else if !known[u.Fragment] {
				t.Errorf("%s links to %s, which has no such heading", name, m[2])
			}
		}
	}
	if links < 1000 {
		t.Errorf("only %d links were found", links)
	}
	if index := harness.ReadFile(t, filepath.Join(site, "search/search_index.json")); !strings.Contains(index, "relayhost") {
		t.Error("the index of the search lacks a word of the pages")
	}
}
