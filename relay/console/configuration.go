package console

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"graphrelay/relay/config"
	"graphrelay/relay/operations"
	"graphrelay/relay/operators"
)

// Configuration is that of the running relay.
type Configuration interface {
	// Settings returns the configuration in use, without the text of secrets.
	Settings() []config.Setting
	// ReloadFault returns why the last reload failed, one fault on each line; empty: it did not.
	ReloadFault() string
	// ReloadFile replaces the configuration in use with that of the file, and records which person
	// of ctx asked for it. It returns an operations.Refusal if the relay does not take the file.
	ReloadFile(ctx context.Context) error
	// DiffFile returns what that would change, or an operations.Refusal.
	DiffFile(ctx context.Context) (operations.Difference, error)
}

// configurationPage shows the configuration in use, and what a reload would change.
func configurationPage() page {
	return page{path: "configuration", name: "Configuration", file: "configuration.html", view: (*Console).configuration, actions: []action{
		{path: "configuration/reload", role: operators.Admin, do: (*Console).reload},
	}}
}

type configurationView struct {
	Sections []section
	All      bool     // the defaults are shown too
	Fault    []string // of the last reload, a line each; empty: it succeeded
	operations.Difference
	Refused []string // why the file would not be taken
	Reloads bool     // the person may reload
}

// section is a part of the configuration whose keys begin alike.
type section struct {
	Name     string
	Settings []config.Setting
}

func (c *Console) configuration(r *http.Request) (any, error) {
	v := configurationView{All: r.URL.Query().Get("show") == "all", Reloads: operators.Of(r.Context()).Role >= operators.Admin}
	for _, s := range c.cfg.Configuration.Settings() {
		if s.Default && !v.All {
			continue
		}
		name, _, _ := strings.Cut(s.Key, ".")
		if !strings.Contains(s.Key, ".") {
			name = "general"
		}
		if n := len(v.Sections); n == 0 || v.Sections[n-1].Name != name {
			v.Sections = append(v.Sections, section{Name: name})
		}
		last := &v.Sections[len(v.Sections)-1]
		last.Settings = append(last.Settings, s)
	}
	v.Fault = lines(c.cfg.Configuration.ReloadFault())
	var err error
	v.Difference, err = c.cfg.Configuration.DiffFile(r.Context())
	var refusal operations.Refusal
	if errors.As(err, &refusal) {
		v.Refused = lines(string(refusal))
	} else if err != nil {
		v.Refused = lines(errorText(err))
	}
	return v, nil
}

// lines returns the lines of a text that are not empty.
func lines(text string) (all []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all
}

func (c *Console) reload(r *http.Request) (done string, err error) {
	if err := c.cfg.Configuration.ReloadFile(r.Context()); err != nil {
		return "", errors.New("the configuration in use stays, since the relay does not take the file:\n" + err.Error())
	}
	return "The relay has read its configuration again.", nil
}
