package config

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// topics has the sections of docs/configuration-errors.md, and the files of this package whose texts
// each has.
var topics = []struct{ title, more, files string }{
	{"The file", "[config.example.yaml](../config.example.yaml) has all keys and their form.", "load.go document.go syntax.go strict.go keys.go values.go choices.go placeholders.go validate.go"},
	{"Secrets and files", "[security.md](security.md) says which files must be private.", "secret.go files.go"},
	{"Listeners", "[setup.md](setup.md) and [devices.md](devices.md) have examples.", "listeners.go networks.go proxy.go"},
	{"TLS", "[operations.md](operations.md#tls) has how certificates are made and renewed.", "tls.go certificates.go certstore.go ../../internal/certstore/certstore.go ../../internal/certstore/key.go ../../internal/certstore/machine_other.go"},
	{"Connections to Microsoft 365", "[sign-in.md](sign-in.md) has each way to sign in.", "connections.go credential.go signin.go clouds.go"},
	{"Owners' mailboxes and clients' credentials", "[mailboxes.md](mailboxes.md) has both.", "mailboxes.go passthrough.go"},
	{"Senders and recipients", "[senders.md](senders.md) explains the rules.", "senders.go pattern.go recipients.go"},
	{"Signatures", "[signatures.md](signatures.md) has examples.", "signatures.go"},
	{"The queue and the pickup folder", "[queue.md](queue.md), [nodes.md](nodes.md) and [pickup.md](pickup.md) have more.", "queue.go pickup.go"},
	{"Operators and the admin address", "[operators.md](operators.md) and [console.md](console.md) have more.", "admin.go operators.go"},
	{"Alerts", "[alerts.md](alerts.md) has examples of each channel.", "alerts.go"},
}

const pageHead = `# Faults of a configuration

Each fault that ` + "`graphrelay check`" + `, ` + "`serve`" + ` and ` + "`reload`" + ` find in a configuration file is on this page, as is
each warning. An entry names the file, the line and the key, and then what is wrong, a semicolon, and
what to do:

` + "```text" + `
relay.yaml:14: delivery.retry_delays: is a single value; write a list, such as [one, two]
` + "```" + `

Search this page for words of the first part. ` + "`...`" + ` stands for a value of your file.
`

// TestFaultsPage compares docs/configuration-errors.md with the texts in this package; -update
// writes it. A text that says what to do has a semicolon.
func TestFaultsPage(t *testing.T) {
	var page strings.Builder
	page.WriteString(pageHead)
	known := []string{"errors.go", "shown.go", "diff.go", "schema.go"}
	for _, topic := range topics {
		fmt.Fprintf(&page, "\n## %s\n\n%s\n\n| what is wrong | what to do |\n| --- | --- |\n", topic.title, topic.more)
		var rows []string
		for _, name := range strings.Fields(topic.files) {
			known = append(known, name)
			rows = append(rows, faultRows(t, name)...)
		}
		slices.SortFunc(rows, func(a, b string) int { return cmp.Compare(strings.ToLower(a), strings.ToLower(b)) })
		for _, row := range slices.Compact(rows) {
			page.WriteString(row + "\n")
		}
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if !slices.Contains(known, name) && !strings.HasSuffix(name, "_test.go") && len(faultRows(t, name)) > 0 {
			t.Errorf("the texts of %s belong to no section", name)
		}
	}
	compare(t, filepath.Join("..", "..", "docs", "configuration-errors.md"), page.String())
}

// faultRows returns a row for each text of a file that says what is wrong and what to do.
func faultRows(t *testing.T, name string) (rows []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		lit, ok := n.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return true
		}
		text, err := strconv.Unquote(lit.Value)
		if err != nil {
			t.Fatal(err)
		}
		wrong, remedy, found := strings.Cut(text, "; ")
		if found && strings.Contains(wrong, " ") {
			rows = append(rows, "| "+cell(wrong)+" | "+cell(remedy)+" |")
		}
		return true
	})
	return rows
}

// cell writes a format of package fmt as a cell of a table.
func cell(format string) string {
	text := regexp.MustCompile(`%(\[\d\])?[-+#.\d]*[a-zA-Z]`).ReplaceAllString(format, "...")
	if text == "..." {
		return "what the entry says"
	}
	return strings.NewReplacer("%%", "%", `\`, `\\`, "|", `\|`, "*", `\*`, "<", `\<`, "_", `\_`, "[", `\[`, "`", "\\`").Replace(text)
}
