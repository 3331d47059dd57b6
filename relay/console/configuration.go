package console

import (
	"net/http"
	"strings"

	"graphrelay/relay/config"
)

// configurationPage shows the configuration in use.
func configurationPage() page {
	return page{path: "configuration", name: "Configuration", file: "configuration.html", view: (*Console).configuration}
}

type configurationView struct {
	Sections []section
	All      bool     // the defaults are shown too
	Fault    []string // of the last reload, a line each; empty: it succeeded
}

// section is a part of the configuration whose keys begin alike.
type section struct {
	Name     string
	Settings []config.Setting
}

func (c *Console) configuration(r *http.Request) (any, error) {
	v := configurationView{All: r.URL.Query().Get("show") == "all", Fault: lines(c.cfg.Live.ReloadFault())}
	for _, s := range c.cfg.Live.Settings() {
		if s.Default && !v.All {
			continue
		}
		name, _, found := strings.Cut(s.Key, ".")
		if !found {
			name = "general"
		}
		if n := len(v.Sections); n == 0 || v.Sections[n-1].Name != name {
			v.Sections = append(v.Sections, section{Name: name})
		}
		last := &v.Sections[len(v.Sections)-1]
		last.Settings = append(last.Settings, s)
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
