package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"graphrelay/relay/reason"
)

// refusing are the packages that make answers of SMTP.
var refusing = []string{"relay/smtpd", "relay/access", "relay/devices"}

// TestAnswersAreExplained checks that docs/troubleshooting.md has an entry for each negative answer
// that the code can give: the text up to the semicolon, with "..." for what varies.
func TestAnswersAreExplained(t *testing.T) {
	page := strings.ReplaceAll(read(t, "docs/troubleshooting.md"), "\n", " ")
	seen := 0
	for _, dir := range refusing {
		for _, said := range answers(t, filepath.Join(root, dir)) {
			seen++
			for _, part := range varying.Split(said, -1) {
				if part = strings.TrimSpace(part); len(part) > 3 && !strings.Contains(page, part) {
					t.Errorf("docs/troubleshooting.md has no entry for the answer %q of %s: %q is missing", said, dir, part)
				}
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d answers were found", seen)
	}
}

// varying matches what stands for a value in a text.
var varying = regexp.MustCompile(`%[a-z]`)

// answers returns the texts of the refusals that a package makes: the literals in functions with a
// Refusal, and those in calls of functions that make one from a text.
func answers(t *testing.T, dir string) (all []string) {
	t.Helper()
	files := parseDir(t, dir)
	makers := map[string]bool{}
	for _, f := range files {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && hasRefusal(fn) && takesText(fn) {
				makers[fn.Name.Name] = true
			}
		}
	}
	for _, f := range files {
		for _, d := range f.Decls {
			if hasRefusal(d) {
				all = append(all, sentences(d)...)
				continue
			}
			ast.Inspect(d, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					if name, ok := call.Fun.(*ast.Ident); ok && makers[name.Name] {
						all = append(all, sentences(call)...)
					}
				}
				return true
			})
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func parseDir(t *testing.T, dir string) (files []*ast.File) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, source, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

// hasRefusal reports whether a declaration has a composite literal of a Refusal with a code.
func hasRefusal(d ast.Node) (found bool) {
	ast.Inspect(d, func(n ast.Node) bool {
		c, ok := n.(*ast.CompositeLit)
		if !ok || len(c.Elts) < 4 {
			return true
		}
		switch name := c.Type.(type) {
		case *ast.Ident:
			found = found || name.Name == "Refusal"
		case *ast.SelectorExpr:
			found = found || name.Sel.Name == "Refusal"
		}
		return true
	})
	return found
}

// takesText reports whether a function has a parameter that is a string.
func takesText(fn *ast.FuncDecl) bool {
	return slices.ContainsFunc(fn.Type.Params.List, func(f *ast.Field) bool {
		name, ok := f.Type.(*ast.Ident)
		return ok && name.Name == "string"
	})
}

// sentences returns the literals that begin like a sentence, up to their semicolon.
func sentences(n ast.Node) (all []string) {
	sentence := regexp.MustCompile(`^(?:[A-Z]|%s is )[^;]* [^;]*`)
	ast.Inspect(n, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			text, err := strconv.Unquote(lit.Value)
			if said := sentence.FindString(text); err == nil && said != "" {
				all = append(all, said)
			}
		}
		return true
	})
	return all
}

// TestFaultsAtStartAreExplained checks that what docs/troubleshooting.md quotes of a start that fails is in
// the code.
func TestFaultsAtStartAreExplained(t *testing.T) {
	_, section, found := strings.Cut(read(t, "docs/troubleshooting.md"), "## When the relay does not start")
	section, _, ended := strings.Cut(section, "\n## ")
	if !found || !ended {
		t.Fatal("there is no such section")
	}
	var code strings.Builder
	for _, dir := range []string{"relay/queue/sqlite", "relay/queue/postgres"} {
		paths, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if source, err := os.ReadFile(path); err == nil && !strings.HasSuffix(path, "_test.go") {
				code.Write(source)
			}
		}
	}
	rows := regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(section, -1)
	if len(rows) < 5 {
		t.Fatalf("only %d messages were found", len(rows))
	}
	for _, m := range rows {
		if !strings.Contains(code.String(), m[1]) {
			t.Errorf("docs/troubleshooting.md quotes %q, which is never said", m[1])
		}
	}
}

// TestReasonsHaveARemedy checks that the table to which docs/troubleshooting.md leads has a row for each
// reason for which a message waits, is held or has failed.
func TestReasonsHaveARemedy(t *testing.T) {
	_, section, _ := strings.Cut(read(t, "docs/operations.md"), "## Why a message waits or failed")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, r := range reason.All() {
		if r.Words() != "" && !strings.Contains(section, "`"+string(r)+"`") {
			t.Errorf("the table has no row for %s", r)
		}
	}
}
