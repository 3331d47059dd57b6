package docs_test

import (
	"go/ast"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestParserAnswersAreExplained checks that docs/troubleshooting.md has each negative answer that go-smtp
// gives by itself. In a row with "..." the word in its place has to stand outside the answer.
func TestParserAnswersAreExplained(t *testing.T) {
	rows := strings.Split(read(t, "docs/troubleshooting.md"), "\n")
	seen := 0
	for _, f := range parseDir(t, goSMTP(t)) {
		for _, answer := range negative(f) {
			if strings.Contains(answer, "LMTP") {
				continue // the relay is no LMTP server
			}
			seen++
			if !explained(rows, answer) {
				t.Errorf("docs/troubleshooting.md has no entry for the answer %q of go-smtp", answer)
			}
		}
	}
	if seen < 60 {
		t.Errorf("only %d answers were found", seen)
	}
}

// goSMTP returns the folder with the source of go-smtp.
func goSMTP(t *testing.T) string {
	t.Helper()
	list := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/emersion/go-smtp")
	list.Dir = root
	dir, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(dir))
}

// explained reports whether a row has the parts of an answer that do not vary, or the answer with
// "..." in place of a keyword, and the keyword.
func explained(rows []string, answer string) bool {
	keyword := regexp.MustCompile(`[A-Z][A-Z0-9-]+`).FindString(answer)
	for _, row := range rows {
		whole := true
		for _, part := range varying.Split(answer, -1) {
			whole = whole && strings.Contains(row, strings.TrimSpace(part))
		}
		short := keyword != "" && strings.Contains(row, strings.Replace(answer, keyword, "...", 1)) && strings.Contains(row, keyword)
		if strings.HasPrefix(row, "| ") && (whole || short) {
			return true
		}
	}
	return false
}

// negative returns the texts of the answers with a code from 400 on.
func negative(f *ast.File) (all []string) {
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			name, ok := n.Fun.(*ast.SelectorExpr)
			if !ok || len(n.Args) < 3 || name.Sel.Name != "writeResponse" && name.Sel.Name != "protocolError" || !isNegative(n.Args[0]) {
				break
			}
			text := n.Args[2]
			if made, ok := text.(*ast.CallExpr); ok { // fmt.Sprintf
				text = made.Args[0]
			}
			all = append(all, literal(text)...)
		case *ast.KeyValueExpr:
			if name, ok := n.Key.(*ast.Ident); ok && name.Name == "Message" {
				all = append(all, literal(n.Value)...)
			}
		}
		return true
	})
	return all
}

func isNegative(code ast.Expr) bool {
	lit, ok := code.(*ast.BasicLit)
	if !ok {
		return false
	}
	n, err := strconv.Atoi(lit.Value)
	return err == nil && n >= 400
}
