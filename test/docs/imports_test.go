package docs_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// layers are the packages from the top of the picture in docs/architecture.md to its
// bottom. A package imports only packages of lower layers. internal/... is below all.
var layers = [][]string{
	{"cmd/graphrelay", "tools/sbom", "tools/vulncheck"},
	{"relay/demo", "relay/sendtest", "relay/sendmail"},
	{"relay"},
	{"relay/setup", "relay/api", "relay/imports"},
	{"relay/console"},
	{"relay/operators"},
	{"relay/access", "relay/admin", "relay/certificate", "relay/control", "relay/tracing", "relay/queueview"},
	{"relay/operations"},
	{"relay/trial"},
	{"relay/mailboxes", "relay/stranger", "relay/probe", "relay/delivery/graphmail", "relay/queue/sqlite", "relay/queue/postgres", "relay/queue/queuetest"},
	{"relay/alert", "relay/pickup", "relay/connection", "relay/devices", "relay/delivery", "relay/reports", "relay/flow", "relay/quota"},
	{"relay/config", "relay/bounce"},
	{"relay/smtpd", "relay/signature", "relay/credential", "relay/attention"},
	{"relay/verdict", "relay/gossip", "relay/refusals"},
	{"relay/queue"},
	{"relay/reason", "mime", "graph/entra", "graph/simulator"},
	{"graph"},
}

// standalone packages import nothing of this module but internal/... and what is listed.
var standalone = map[string][]string{"mime": nil, "graph": nil, "graph/entra": {"graph"}, "graph/simulator": nil, "relay/reason": nil}

const module = "graphrelay/"

// TestImportsPointDown holds the code against the picture in docs/architecture.md.
func TestImportsPointDown(t *testing.T) {
	layer := map[string]int{}
	for n, packages := range layers {
		for _, p := range packages {
			layer[p] = n
		}
	}
	seen := map[string]bool{}
	for file, imports := range importsOfModule(t) {
		from := filepath.ToSlash(filepath.Dir(file))
		if strings.HasPrefix(from, "test/") {
			continue
		}
		seen[from] = true
		above, known := layer[from]
		if !known && !strings.HasPrefix(from, "internal/") {
			t.Errorf("%s is in no layer: add it here and to docs/architecture.md", from)
			continue
		}
		for _, to := range imports {
			switch allowed, alone := standalone[from]; {
			case strings.HasPrefix(to, "internal/"):
			case strings.HasPrefix(from, "internal/"):
				t.Errorf("%s imports %s: internal packages know nothing of the others", file, to)
			case alone && !slices.Contains(allowed, to):
				t.Errorf("%s imports %s: %s stands alone", file, to, from)
			case layer[to] <= above:
				t.Errorf("%s imports %s, which is not below it", file, to)
			}
		}
	}
	for p := range layer {
		if !seen[p] {
			t.Errorf("there is no package %s", p)
		}
	}
}

// importsOfModule returns the packages of this module that each Go file imports, tests
// aside, all as paths below root.
func importsOfModule(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == "node_modules" || d.Name() == ".git") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		all[name] = []string{}
		for _, i := range f.Imports {
			if p, _ := strconv.Unquote(i.Path.Value); strings.HasPrefix(p, module) {
				all[name] = append(all[name], strings.TrimPrefix(p, module))
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
