package attention

import (
	"os"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// TestCatalogueIsPrometheus compares the catalogue with the alert rules: what both know has the
// same name, threshold, delay, severity and summary, in the same order.
func TestCatalogueIsPrometheus(t *testing.T) {
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr, For string
				Labels           map[string]string
				Annotations      map[string]string
			}
		}
	}
	data, err := os.ReadFile("../../deploy/prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	kinds := Catalogue()
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			k := kinds[0]
			kinds = kinds[1:]
			want := time.Duration(0)
			if r.For != "" {
				if want, err = time.ParseDuration(r.For); err != nil {
					t.Fatal(err)
				}
			}
			if k.ID != r.Alert || k.PromQL() != r.Expr || k.For != want || string(k.Severity) != r.Labels["severity"] || k.Summary != r.Annotations["summary"] {
				t.Errorf("the catalogue has\n%s: %s for %s, %s, %q\nand the rules\n%s: %s for %s, %s, %q",
					k.ID, k.PromQL(), k.For, k.Severity, k.Summary, r.Alert, r.Expr, want, r.Labels["severity"], r.Annotations["summary"])
			}
		}
	}
	for _, k := range kinds {
		if k.PromQL() != "" {
			t.Errorf("%s has an expression, but no rule", k.ID)
		}
	}
}

// TestCatalogueIsComplete sees that an operator is told enough, and that each kind can be found.
func TestCatalogueIsComplete(t *testing.T) {
	docs, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, k := range Catalogue() {
		switch {
		case seen[k.ID]:
			t.Errorf("%s is there twice", k.ID)
		case k.Summary == "" || k.Remedy == "" || k.Severity == "" || k.Clear <= 0:
			t.Errorf("%s lacks something", k.ID)
		case k.Metric != "" && k.cause == nil:
			t.Errorf("%s explains no cause", k.ID)
		case !k.Outside && k.Metric == "" && finders[k.ID] == nil:
			t.Errorf("nothing finds %s", k.ID)
		}
		if !strings.Contains(string(docs), "\n| "+k.ID+" |") {
			t.Errorf("docs/operations.md has no row for %s", k.ID)
		}
		seen[k.ID] = true
	}
	for id := range explainers {
		if !seen[id] {
			t.Errorf("an explainer is for %s, which is no kind", id)
		}
	}
	for id := range finders {
		if !seen[id] {
			t.Errorf("a finder is for %s, which is no kind", id)
		}
	}
}
