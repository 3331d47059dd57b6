package setup

import (
	"cmp"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"text/template"

	"graphrelay/graph"
	"graphrelay/relay/config"
	"graphrelay/relay/credential"
)

// The scripts that do the part in Entra.
const (
	ScriptPowerShell = "powershell" // Microsoft Graph PowerShell
	ScriptAzureCLI   = "azcli"      // a shell with az
)

//go:embed script.ps1.tmpl
var powerShellText string

//go:embed script.sh.tmpl
var azureCLIText string

var scriptTemplates = map[string]*template.Template{
	ScriptPowerShell: scriptTemplate(ScriptPowerShell, powerShellText),
	ScriptAzureCLI:   scriptTemplate(ScriptAzureCLI, azureCLIText),
}

func scriptTemplate(name, text string) *template.Template {
	return template.Must(template.New(name).Funcs(template.FuncMap{
		"ps":     psQuote,
		"sh":     func(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" },
		"base64": base64.StdEncoding.EncodeToString,
	}).Parse(text))
}

// scriptClouds are the names that PowerShell and az have for the clouds.
var scriptClouds = map[config.Cloud][2]string{
	config.CloudGlobal:   {"Global", "AzureCloud"},
	config.CloudUSGov:    {"USGov", "AzureUSGovernment"},
	config.CloudUSGovDoD: {"USGovDoD", "AzureUSGovernment"},
	config.CloudChina:    {"China", "AzureChinaCloud"},
}

// quoted returns a path as a shell, PowerShell and cmd read it.
func quoted(path string) string {
	if strings.Contains(path, " ") {
		return `"` + path + `"`
	}
	return path
}

// script prints the script, which makes the application with the same marker, keys and grants as
// register does. It can be run again, and makes only what is not there yet.
func (r *run) script(store *credential.Store) error {
	c := r.state.Choices
	if r.state.Registered || r.state.AppID != "" {
		return fmt.Errorf("the application is registered already, client ID %s; undo the set-up first (--undo)", r.state.ClientID)
	}
	registration, err := r.registration(store, graph.ServicePrincipal{})
	if err != nil {
		return err
	}
	body, err := json.Marshal(registration)
	if err != nil {
		return err
	}
	_, graphURL := r.endpoints()
	names := scriptClouds[cmp.Or(c.Cloud, config.CloudGlobal)]
	adminApp, tenant := c.AdminApp, c.Tenant
	if adminApp == commandLineTools { // which PowerShell uses by itself
		adminApp = ""
	}
	if tenant == anyTenant {
		tenant = ""
	}
	return scriptTemplates[r.o.Script].Execute(r.o.ScriptTo, map[string]any{
		"C": c, "Marker": r.state.Marker, "Registration": registration, "Body": string(body), "Tenant": tenant, "AdminApp": adminApp, "Roles": c.roles(),
		"Graph": graphURL, "GraphApp": graph.GraphAppID, "PowerShellCloud": names[0], "AzureCloud": names[1],
		"Filter": "tags/any(t:t eq '" + r.state.Marker + "')", "FilterEscaped": url.PathEscape("tags/any(t:t eq '" + r.state.Marker + "')"),
		"Next": r.program() + " setup --config " + quoted(r.o.Config),
	})
}
