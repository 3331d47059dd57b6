package docs_test

import (
	"go/ast"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestLogIsExplained checks that docs/log.md has a row for each text with which the code logs a
// warning or an error.
func TestLogIsExplained(t *testing.T) {
	page := strings.ReplaceAll(read(t, "docs/log.md"), "\n", " ")
	seen := 0
	for _, top := range []string{"cmd", "relay", "graph", "mime", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() || d.Name() == "testdata" {
				return err
			}
			for _, f := range parseDir(t, path) {
				for _, text := range logged(f) {
					seen++
					if text, _, _ = strings.Cut(text, ":"); !strings.Contains(page, "`"+text) {
						t.Errorf("docs/log.md has no entry %q, which %s logs", text, path)
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if seen < 80 {
		t.Errorf("only %d entries were found", seen)
	}
}

// logged returns the texts of a file's warnings and errors: literals that a logger is given, and
// those that it gets by the field fault of a recurring.
func logged(f *ast.File) (all []string) {
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			s, ok := n.Fun.(*ast.SelectorExpr)
			if !ok || len(n.Args) == 0 || !isLogger(s.X) {
				break
			}
			if name := s.Sel.Name; name == "Warn" || name == "Error" {
				all = append(all, literal(n.Args[0])...)
			}
		case *ast.KeyValueExpr:
			if name, ok := n.Key.(*ast.Ident); ok && name.Name == "fault" {
				all = append(all, literal(n.Value)...)
			}
		}
		return true
	})
	return all
}

// isLogger reports whether an expression is called like a logger: log, x.log, x.Log or x.Log().
func isLogger(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.CallExpr:
		return isLogger(x.Fun)
	case *ast.SelectorExpr:
		return strings.EqualFold(x.Sel.Name, "log")
	case *ast.Ident:
		return strings.EqualFold(x.Name, "log")
	}
	return false
}

// literal returns the text of a literal, or that with which a sum begins.
func literal(x ast.Expr) []string {
	switch x := x.(type) {
	case *ast.BinaryExpr:
		return literal(x.X)
	case *ast.BasicLit:
		if text, err := strconv.Unquote(x.Value); err == nil && x.Kind == token.STRING {
			return []string{text}
		}
	}
	return nil
}
