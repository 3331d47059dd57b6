package console

import (
	"embed"
	"html/template"
	"maps"
	"time"

	"graphrelay/internal/look"
	"graphrelay/relay/queue"
)

//go:embed templates
var templateFiles embed.FS

// parseTemplates returns the template of each page, with the layout and the parts that all share.
func (c *Console) parseTemplates() map[string]*template.Template {
	funcs := look.Funcs()
	maps.Copy(funcs, template.FuncMap{
		"ago":    func(t time.Time) string { return ago(t, c.now()) },
		"age":    func(t time.Time) string { return coarse(c.now().Sub(t)) },
		"exact":  exact,
		"iso":    func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"plural": plural,
		"tone":   tone,
	})
	all := map[string]*template.Template{}
	for _, p := range append(pages(), errorPage) {
		t := template.New("console").Funcs(funcs)
		all[p.file] = template.Must(t.ParseFS(templateFiles, "templates/layout.html", "templates/parts.html", "templates/"+p.file))
	}
	return all
}

// tone returns the class of the badge of a state, which is that of what it means to an operator.
func tone(s queue.State) string {
	switch s {
	case queue.Sent:
		return "good"
	case queue.Queued, queue.Delivering:
		return "info"
	case queue.Deferred, queue.Held:
		return "warn"
	case queue.Returned, queue.Failed:
		return "bad"
	case queue.Deleted:
	}
	return ""
}
