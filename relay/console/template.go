package console

import (
	"embed"
	"html/template"
	"maps"
	"reflect"
	"strings"
	"time"

	"graphrelay/internal/look"
	"graphrelay/internal/text"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
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
		"action": func(a queue.Action) string { return actionNames[a] },
		"stamp":  func(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05.000") },
		"less":   func(a, b int) int { return a - b },
		"more":   func(a, b int) int { return a + b },
		"clock":  func(t time.Time) string { return t.Local().Format("15:04") },
		// of a float64, and a pointer to one
		"seconds": func(v any) string { return look.Duration(time.Duration(toFloat(v) * float64(time.Second))) },
		"count":   func(v any) string { return look.Count(int64(toFloat(v))) },
		"tally":   newTally,
		"meter":   newMeter,
		"within":  within,
		"budget":  budget,
		"remedy":  pauseRemedy,
		"halves":  halves,
		"linked":  linked,
		"clocked": func(t time.Time) string { return t.Local().Format(time.DateTime) },
		"shorten": func(s string) string { return text.Shorten(s, 120) },
		"forever": func(t time.Time) bool { return !t.Before(queue.Forever) },
		"reason":  func(s string) reason.Reason { return reason.Reason(s) },
	})
	all := map[string]*template.Template{}
	for _, p := range append(pages(), errorPage) {
		t := template.New("console").Funcs(funcs)
		all[p.file] = template.Must(t.ParseFS(templateFiles, "templates/layout.html", "templates/parts.html", "templates/"+p.file))
	}
	return all
}

// halves returns an address in parts after which a line may break: before its domain rather than
// within a word.
func halves(address string) []string { return strings.SplitAfter(address, "@") }

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

// toFloat returns a number of any type that templates pass, or what such a pointer points to.
func toFloat(v any) float64 {
	switch r := reflect.Indirect(reflect.ValueOf(v)); {
	case r.CanInt():
		return float64(r.Int())
	case r.CanFloat():
		return r.Float()
	}
	return 0
}
