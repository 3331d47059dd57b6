package reason_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"graphrelay/relay/reason"
)

// constants returns the values of the constants of type Reason in a directory.
func constants(t *testing.T, dir string) (values []reason.Reason) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in %s: %v", dir, err)
	}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Reason" && len(spec.Values) == 1 {
				text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				values = append(values, reason.Reason(text))
			}
			return true
		})
	}
	return values
}

// TestAll checks that All has each constant once, and those of package graph.
func TestAll(t *testing.T) {
	all := reason.All()
	own := constants(t, ".")
	if a, b := sorted(all), sorted(own); !slices.Equal(a, b) || len(slices.Compact(a)) != len(b) {
		t.Errorf("All is %q, the constants are %q", all, own)
	}
	graph := constants(t, "../../graph")
	if len(graph) < 10 {
		t.Errorf("package graph has the reasons %q alone", graph)
	}
	for _, r := range graph {
		if !slices.Contains(all, r) {
			t.Errorf("the reason %s of package graph is not in the list", r)
		}
	}
}

// TestWords checks that each reason has a sentence for people, each one its own, and that nothing
// else has one.
func TestWords(t *testing.T) {
	seen := map[string]reason.Reason{}
	for _, list := range []struct {
		of    []reason.Reason
		words func(reason.Reason) string
	}{
		{reason.OfMessages(), reason.Reason.Words},
		{reason.Refusals(), reason.Reason.RefusalWords},
	} {
		for _, r := range reason.All() {
			words := list.words(r)
			if !slices.Contains(list.of, r) {
				if words != "" {
					t.Errorf("%s has the words %q, where it cannot be", r, words)
				}
				continue
			}
			if !sentence.MatchString(words) || strings.Contains(words, "_") {
				t.Errorf("the words of %s are no sentence: %q", r, words)
			}
			if other, ok := seen[words]; ok {
				t.Errorf("%s and %s have the same words: %q", r, other, words)
			}
			seen[words] = r
		}
	}
}

var sentence = regexp.MustCompile(`^[A-Z][^.]+ [^.]+\.$`)

func sorted(list []reason.Reason) []reason.Reason {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}
