package setup

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

// printed is the folder with what setup prints: the tests of relay/setup compare it.
const printed = "../../relay/setup/testdata"

// cmdlets are those that setup prints, with the parameters that Microsoft's pages give them:
// learn.microsoft.com/powershell/module/MODULE/CMDLET, in August 2026. Those that PowerShell
// itself has are not checked further.
var cmdlets = map[string]string{
	// microsoft.graph.authentication and microsoft.graph.applications
	"Connect-MgGraph":                         "NoWelcome Environment TenantId ClientId Scopes",
	"Get-MgContext":                           "",
	"Get-MgApplication":                       "Filter",
	"New-MgApplication":                       "DisplayName SignInAudience Tags KeyCredentials",
	"Get-MgServicePrincipal":                  "Filter",
	"New-MgServicePrincipal":                  "AppId",
	"Get-MgServicePrincipalAppRoleAssignment": "ServicePrincipalId All",
	"New-MgServicePrincipalAppRoleAssignment": "ServicePrincipalId PrincipalId ResourceId AppRoleId",
	// exchangepowershell
	"Connect-ExchangeOnline":             "ExchangeEnvironmentName",
	"New-ServicePrincipal":               "AppId ObjectId DisplayName",
	"Remove-ServicePrincipal":            "Identity Confirm",
	"Get-Mailbox":                        "Identity",
	"Set-Mailbox":                        "Identity CustomAttribute",
	"New-ManagementScope":                "Name RecipientRestrictionFilter",
	"Remove-ManagementScope":             "Identity Confirm",
	"New-ManagementRoleAssignment":       "Name App Role CustomResourceScope",
	"Remove-ManagementRoleAssignment":    "Identity Confirm",
	"Test-ServicePrincipalAuthorization": "Identity Resource",
	// microsoft.powershell.core and microsoft.powershell.utility
	"Start-Sleep":   "",
	"Select-Object": "First",
	"Where-Object":  "eq",
	"Format-List":   "",
	"Format-Table":  "",
	// the script's own function
	"Wait-For": "",
}

// script is what the grammar finds in a script.
type script struct {
	Faults   []string
	Commands []struct {
		Name       string
		Parameters []string
	}
}

// parsePowerShell parses a script. It is not run: there is no PowerShell here.
func parsePowerShell(t *testing.T, text string) (s script) {
	t.Helper()
	node := harness.NeedTool(t, "node")
	if _, err := os.Stat("testdata/powershell/node_modules/web-tree-sitter"); err != nil {
		harness.SkipUnlessCI(t, "the grammar of PowerShell is not installed; .ci/install installs it")
	}
	cmd := exec.CommandContext(t.Context(), node, "testdata/powershell/parse.js")
	cmd.Stdin, cmd.Stderr = strings.NewReader(text), os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	err = json.NewDecoder(out).Decode(&s)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var (
	aRange = regexp.MustCompile(`^\d+\.\.\d+$`) // which the grammar takes for a command
	// The grammar knows no parameter whose name has a digit in it, and no list of bare words.
	anAttribute = regexp.MustCompile(`CustomAttribute\d+`)
	bareWords   = regexp.MustCompile(`Format-List (\w+), (\w+)`)
)

// faults returns what is wrong with a script.
func (s script) faults() []string {
	list := s.Faults
	for _, c := range s.Commands {
		known, ok := cmdlets[c.Name]
		if !ok && !aRange.MatchString(c.Name) {
			list = append(list, "unknown command "+c.Name)
			continue
		}
		for _, p := range c.Parameters {
			if name, _, _ := strings.Cut(strings.TrimPrefix(p, "-"), ":"); !slices.Contains(strings.Fields(known), name) {
				list = append(list, c.Name+" has no parameter "+p)
			}
		}
	}
	return list
}

// TestPowerShell parses the scripts and the commands for Exchange, and compares each command and
// its parameters with Microsoft's pages.
func TestPowerShell(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(printed, "powershell-*.txt"))
	if err != nil || len(files) != 3 {
		t.Fatalf("%q, %v", files, err)
	}
	seen := map[string]bool{}
	check := func(file, text string) {
		s := parsePowerShell(t, text)
		if len(s.Commands) == 0 {
			t.Errorf("%s: no command in\n%s", file, text)
		}
		for _, fault := range s.faults() {
			t.Errorf("%s: %s", file, fault)
		}
		for _, c := range s.Commands {
			seen[c.Name] = true
		}
	}
	for _, file := range files {
		check(file, harness.ReadFile(t, file))
	}
	for _, file := range []string{"exchange.txt", "exchange-remove.txt"} {
		for line := range strings.Lines(harness.ReadFile(t, filepath.Join(printed, file))) { // which are pasted one by one
			line, command := strings.CutPrefix(strings.TrimRight(line, "\n"), "    ")
			if !command || strings.HasPrefix(line, "#") {
				continue
			}
			line = anAttribute.ReplaceAllString(line, "CustomAttribute")
			check(file, bareWords.ReplaceAllString(line, "Format-List '$1', '$2'"))
		}
	}
	for name := range cmdlets {
		if !seen[name] {
			t.Errorf("setup prints no %s any more", name)
		}
	}
}

// TestPowerShellFaults: what is wrong is found.
func TestPowerShellFaults(t *testing.T) {
	for text, want := range map[string]string{
		"foreach ($i in 1..3 { $i }":                           "line 1",
		"$x = @{ A = 'b'":                                      "line 1",
		"New-MgApplications -DisplayName 'x'":                  "unknown command New-MgApplications",
		"New-MgServicePrincipal -ApplicationId 'x'":            "New-MgServicePrincipal has no parameter -ApplicationId",
		"Wait-For { New-MgServicePrincipal -Client 1 }":        "New-MgServicePrincipal has no parameter -Client",
		"\"a $((Get-MgContexts).TenantId)\"":                   "unknown command Get-MgContexts",
		"Remove-ManagementScope 'x' -Really:$false":            "Remove-ManagementScope has no parameter -Really",
		"Remove-ManagementScope -Identity 'x' -Confirm:$false": "",
	} {
		got := strings.Join(parsePowerShell(t, text).faults(), "; ")
		if !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: found %q, want %q", text, got, want)
		}
	}
}

// azCommands are those of the script for a shell, with the flags that the reference of the Azure
// CLI gives them (learn.microsoft.com/cli/azure/reference-index, az rest; az login; az cloud set).
var azCommands = map[string]string{
	"rest":      "--resource --method --url --headers --query --output --body",
	"login":     "--allow-no-subscriptions --tenant",
	"cloud set": "--name",
}

var azCall = regexp.MustCompile(`\baz ((?:cloud )?[a-z]+)([^;&|]*)`)

// TestAzureCLI has shells and ShellCheck read the script, and compares its calls of az with the
// reference. That it does its work against the simulator shows TestAzureScript of relay/setup.
func TestAzureCLI(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(printed, "azcli-*.txt"))
	if err != nil || len(files) != 2 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, file := range files {
		text := harness.ReadFile(t, file)
		for _, reader := range [][]string{{"sh", "-n"}, {"bash", "-n"}, {"shellcheck", "--shell", "sh", "-"}} {
			harness.Tool(t, text, harness.NeedTool(t, reader[0]), reader[1:]...)
		}
		calls := 0
		for line := range strings.Lines(text) {
			line, _, _ = strings.Cut(line, "--body") // what follows is JSON
			for _, call := range azCall.FindAllStringSubmatch(line, -1) {
				if calls++; azCommands[call[1]] == "" && call[1] != "rest" {
					t.Errorf("%s: az %s is not known", file, call[1])
				}
				for _, flag := range regexp.MustCompile(`\s(--?[a-z-]+)`).FindAllStringSubmatch(call[2], -1) {
					if !slices.Contains(strings.Fields(azCommands[call[1]]), flag[1]) {
						t.Errorf("%s: az %s has no flag %s", file, call[1], flag[1])
					}
				}
			}
		}
		if calls < 5 {
			t.Errorf("%s: only %d calls of az were found", file, calls)
		}
	}
	broken := exec.Command(harness.NeedTool(t, "shellcheck"), "--shell", "sh", "-")
	broken.Stdin = bytes.NewReader([]byte("cat $1 | grep [\n"))
	if broken.Run() == nil {
		t.Error("ShellCheck finds nothing wrong with what is wrong")
	}
}
