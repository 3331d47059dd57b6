package docs_test

import (
	"go/parser"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"graphrelay/relay/config"
	"graphrelay/test/harness"
)

// minimal is a configuration to which a document's sample is added. The domains are those of
// samples without connections.
const minimal = `
listeners:
  - {name: minimal, address: "127.0.0.1:2599", auth: none, networks: [127.0.0.1]}
connections:
  - name: minimal
    tenant: 33333333-3333-3333-3333-333333333333
    client_id: 44444444-4444-4444-4444-444444444444
    client_secret_file: minimal.secret
    domains: [contoso.test, contoso.com, example.com]
`

// someHash stands for the hash that a sample leaves out.
const someHash = `"$2a$10$A9C6M.RFx7AI6SV4e3AgRe78ndbdT/fHG1PjyvwS4FRa4hnaHwWo2"`

// TestConfigurationSamples reads each part of a configuration that a document shows, together
// with a minimal configuration. A sample may be a listener, or keys of a connection.
func TestConfigurationSamples(t *testing.T) {
	t.Setenv("AZURE_FEDERATED_TOKEN_FILE", "token") // as a cluster sets it
	samples := 0
	for _, name := range pages(t) {
		for _, b := range blocks(t, name, "yaml") {
			samples++
			text := strings.ReplaceAll(b.text, "password_hash: ...", "password_hash: "+someHash)
			merged, err := merge(text)
			if err == nil {
				_, err = config.Parse(merged, "relay.yaml")
			}
			if err != nil {
				t.Errorf("%s: %v\n%s\nas part of\n%s", b, err, b.text, merged)
			}
		}
	}
	if samples < 9 {
		t.Errorf("only %d samples were found", samples)
	}
}

// merge adds a sample to the minimal configuration.
func merge(sample string) ([]byte, error) {
	var base map[string]any
	if err := yaml.Unmarshal([]byte(minimal), &base); err != nil {
		return nil, err
	}
	var added any
	if err := yaml.Unmarshal([]byte(sample), &added); err != nil {
		return nil, err
	}
	switch part := added.(type) {
	case []any:
		base["listeners"] = part
	case map[string]any:
		if _, ok := part["sign_in"]; ok {
			connection := base["connections"].([]any)[0].(map[string]any)
			delete(connection, "client_secret_file")
			for key, value := range part {
				connection[key] = value
			}
			break
		}
		for key, value := range part {
			base[key] = value
		}
	}
	return yaml.Marshal(base)
}

// TestOtherFiles checks that the configurations of other programs in the documents are files
// with which a test sends mail.
func TestOtherFiles(t *testing.T) {
	var tests strings.Builder
	files, err := filepath.Glob("../clients/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(files, "../nodes/cluster_linux_test.go") {
		tests.WriteString(harness.ReadFile(t, path))
	}
	seen := 0
	for _, name := range pages(t) {
		for _, b := range blocks(t, name, "conf") {
			seen++
			path, _, _ := strings.Cut(strings.TrimPrefix(b.text, "# "), "\n")
			named := func(text string) bool { return strings.Contains(tests.String(), `"`+text+`"`) }
			dir, base := filepath.Split(path)
			if !strings.HasPrefix(path, "/etc/") && !strings.HasPrefix(path, "~/.") || !named(path) && (!named(dir) || !named(base)) {
				t.Errorf("%s: the first line is %q, want # and the path of a file that a test of test/clients or test/nodes uses", b, path)
			}
		}
	}
	if seen == 0 {
		t.Error("no file was found")
	}
}

// TestSystemdSamples has systemd check the unit with each drop-in that a document shows.
func TestSystemdSamples(t *testing.T) {
	analyze := harness.NeedTool(t, "systemd-analyze")
	unit := strings.ReplaceAll(harness.ReadFile(t, filepath.Join(root, "deploy/graphrelay.service")), "/usr/local/bin/graphrelay", harness.ProgramPath(t))
	seen := 0
	for _, name := range pages(t) {
		for _, b := range blocks(t, name, "ini") {
			if !strings.HasPrefix(b.text, "[") {
				continue // php.ini
			}
			seen++
			path := filepath.Join(t.TempDir(), "graphrelay.service")
			if err := os.WriteFile(path, []byte(unit+"\n"+b.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if out := harness.Tool(t, "", analyze, "verify", "--man=no", path); out != "" {
				t.Errorf("%s: %s", b, out)
			}
		}
	}
	if seen == 0 {
		t.Error("no drop-in was found")
	}
}

// alert matches a row of the table of alerts: its name and expression.
var alert = regexp.MustCompile("(?m)^\\| (\\w+) \\| `([^`]*(?:graphrelay_|process_|up\\{)[^`]*)` \\|")

// TestAlerts has promtool run the tests of the alerts, which docs/operations.md has to list as
// they are, and of which each has a test.
func TestAlerts(t *testing.T) {
	promtool := harness.NeedTool(t, "promtool")
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	unmarshal(t, "deploy/prometheus/alerts.yml", &rules)
	files := []string{"deploy/prometheus/alerts_test.yml", "deploy/prometheus/alerts_days_test.yml"}
	var names []string
	for _, file := range files {
		var of struct{ Tests []struct{ Name string } }
		unmarshal(t, file, &of)
		for _, test := range of.Tests {
			names = append(names, test.Name)
		}
	}
	var here, listed []string
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			here = append(here, r.Alert+": "+r.Expr)
			if !slices.Contains(names, r.Alert) {
				t.Errorf("%s has no test", r.Alert)
			}
		}
	}
	for _, m := range alert.FindAllStringSubmatch(read(t, "docs/operations.md"), -1) {
		listed = append(listed, m[1]+": "+strings.ReplaceAll(m[2], `\|`, "|"))
	}
	if !slices.Equal(here, listed) {
		t.Errorf("docs/operations.md lists\n%s\nand the rules are\n%s", strings.Join(listed, "\n"), strings.Join(here, "\n"))
	}
	harness.Tool(t, "", promtool, "check", "rules", filepath.Join(root, "deploy/prometheus/alerts.yml"))
	for _, file := range files {
		harness.Tool(t, "", promtool, "test", "rules", filepath.Join(root, file))
	}
}

func unmarshal(t *testing.T, name string, v any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(harness.ReadFile(t, filepath.Join(root, name))), v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// TestCodeSamples checks the syntax of code in other languages.
func TestCodeSamples(t *testing.T) {
	for _, name := range pages(t) {
		for _, b := range blocks(t, name, "go", "python", "js") {
			t.Run(b.lang, func(t *testing.T) {
				switch b.lang {
				case "go":
					if _, err := parser.ParseExpr("func() {\n" + b.text + "}"); err != nil {
						t.Errorf("%s: %v", b, err)
					}
				case "python":
					harness.Tool(t, b.text, harness.NeedTool(t, "python3"), "-c", "import ast, sys; ast.parse(sys.stdin.read())")
				case "js":
					harness.Tool(t, b.text, harness.NeedTool(t, "node"), "--check", "-")
				}
			})
		}
	}
}

// cmdlets are the commands of PowerShell in the documents. None can be run: they need a tenant,
// or Windows.
var cmdlets = []string{
	"Add-MailboxPermission", "Add-MpPreference", "Add-RecipientPermission", "Add-Type", "Connect-ExchangeOnline", "Connect-MgGraph", "Copy-Item",
	"Export-Certificate", "Format-List", "Get-Certificate", "Get-ChildItem", "Get-Content", "Get-Credential", "Get-Date", "Get-MailboxPlan", "Get-MgServicePrincipal", "Get-NetTCPConnection",
	"Get-WinEvent", "Import-PfxCertificate", "Install-Module", "New-CertificateNotificationTask", "New-Item", "New-ManagementRoleAssignment", "New-ManagementScope", "New-MgServicePrincipalAppRoleAssignment",
	"New-NetFirewallRule", "New-SelfSignedCertificate", "New-ServicePrincipal", "Read-Host", "Remove-Item", "Select-Object", "Send-MailMessage", "Set-Location", "Set-Mailbox",
	"Set-MailboxPlan", "Set-OrganizationConfig", "Sort-Object", "Start-Process", "Test-ServicePrincipalAuthorization", "Where-Object",
}

// TestPowerShell checks that the commands of PowerShell are spelled as they are known, and those of
// graphrelay for their flags.
func TestPowerShell(t *testing.T) {
	program := regexp.MustCompile(`(?m)^(?:\.\\graphrelay\.exe|graphrelay) (.*)$`)
	named := regexp.MustCompile(`(?m)(?:^ *|[(|=] ?)([A-Z][a-z]+-[A-Z]\w+)`)
	seen := map[string]bool{}
	for _, name := range pages(t) {
		for _, b := range blocks(t, name, "powershell") {
			found := named.FindAllStringSubmatch(b.text, -1)
			own := program.FindAllStringSubmatch(b.text, -1)
			if len(found)+len(own) == 0 && !strings.HasPrefix(b.text, "icacls ") {
				t.Errorf("%s has no command", b)
			}
			for _, m := range own {
				checkFlags(t, name, m[1])
			}
			for _, m := range found {
				if seen[m[1]] = true; !slices.Contains(cmdlets, m[1]) {
					t.Errorf("%s: %s is not in the list of this test", b, m[1])
				}
			}
			for _, pair := range []string{"()", "{}", `""`} {
				if open, end := strings.Count(b.text, pair[:1]), strings.Count(b.text, pair[1:]); open != end || pair == `""` && open%2 != 0 {
					t.Errorf("%s: %d of %s, and %d of %s", b, open, pair[:1], end, pair[1:])
				}
			}
		}
	}
	for _, c := range cmdlets {
		if !seen[c] {
			t.Errorf("no document has %s any longer", c)
		}
	}
}
