package setup

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"graphrelay/relay/config"
)

//go:embed relay.yaml.tmpl
var configurationText string

// configurationTemplate makes the configuration. quote writes a text as YAML, of which JSON is
// a part.
var configurationTemplate = template.Must(template.New("relay.yaml").Funcs(template.FuncMap{
	"quote": func(s string) (string, error) { b, err := json.Marshal(s); return string(b), err },
	"list": func(l []string) (string, error) {
		b, err := json.Marshal(l)
		return strings.ReplaceAll(string(b), `","`, `", "`), err
	},
}).Parse(configurationText))

// configuration returns the text of relay.yaml. hash is that of the programs' password.
func (r *run) configuration(hash string) ([]byte, error) {
	c := r.state.Choices
	folder := r.keyFolder()
	if relative, err := filepath.Rel(filepath.Dir(r.o.Config), folder); err == nil && !strings.HasPrefix(relative, "..") {
		folder = filepath.ToSlash(relative)
	}
	connection, _, _ := strings.Cut(c.Domains[0], ".")
	senders := c.Mailboxes
	if c.Scope == Tenant {
		senders = nil
		for _, d := range c.Domains {
			senders = append(senders, "*@"+d)
		}
	}
	cloud := c.Cloud
	if cloud == config.CloudGlobal {
		cloud = ""
	}
	var b bytes.Buffer
	err := configurationTemplate.Execute(&b, map[string]any{
		"Day": time.Now().Format(time.DateOnly), "C": c, "S": r.state, "Hash": hash, "KeyFolder": folder, "Connection": connection,
		"Senders": senders, "Mailbox": r.mailbox(), "Cloud": string(cloud), "Devices": c.Clients != Programs, "Programs": c.Clients != Devices,
		"Service": r.o.Service, "Limited": c.Scope == Limited, "Directory": c.ReadUsers == "yes",
	})
	return b.Bytes(), err
}
