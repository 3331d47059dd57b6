package console

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"graphrelay/relay/config"
	"graphrelay/relay/operations"
	"graphrelay/relay/operators"
)

// testConfiguration is a configuration with a fixed content.
type testConfiguration struct {
	settings   []config.Setting
	fault      string // of the last reload
	difference operations.Difference
	err        error
	asked      *[]string
}

func (c testConfiguration) Settings() []config.Setting { return c.settings }
func (c testConfiguration) ReloadFault() string        { return c.fault }

func (c testConfiguration) ReloadFile(ctx context.Context) error {
	*c.asked = append(*c.asked, operators.Of(ctx).String()+" reloads")
	return nil
}

func (c testConfiguration) DiffFile(context.Context) (operations.Difference, error) {
	return c.difference, c.err
}

func TestConfiguration(t *testing.T) {
	inUse := testConfiguration{
		settings:   []config.Setting{{Key: "hostname", Value: "relay.contoso.test"}, {Key: "users[crm].password_hash", Value: "[redacted]"}, {Key: "limits.recipients", Value: "500", Default: true}},
		fault:      "relay.yaml:3: limits.x: is " + hostile + "\nrelay.yaml:4: is wrong too",
		difference: operations.Difference{File: "/etc/graphrelay/relay.yaml", Changes: []config.Change{{Key: "hostname", From: "relay.contoso.test", To: hostile}}},
	}
	c, mux := testConsole(testRelay{})
	c.cfg.Configuration = inUse
	body := as(mux, operators.Viewer, http.MethodGet, "/console/configuration", nil).Body.String()
	for _, want := range []string{"users[crm].password_hash", "[redacted]", "The last reload failed", "<li>relay.yaml:4: is wrong too</li>", "&lt;script&gt;"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, never := range []string{"<script>alert", "limits.recipients", "configuration/reload"} {
		if strings.Contains(body, never) {
			t.Errorf("a viewer sees %q", never)
		}
	}
	if body := as(mux, operators.Admin, http.MethodGet, "/console/configuration?show=all", nil).Body.String(); !strings.Contains(body, "limits.recipients") || !strings.Contains(body, "configuration/reload") {
		t.Error("an administrator does not see all settings and the button")
	}
	inUse.err = operations.Refusal("relay.yaml:9: is wrong\n")
	c.cfg.Configuration = inUse
	if body := as(mux, operators.Admin, http.MethodGet, "/console/configuration", nil).Body.String(); !strings.Contains(body, "would not take the file") || !strings.Contains(body, "<li>relay.yaml:9: is wrong</li>") {
		t.Error("the page does not say what is wrong with the file")
	}
}

func TestReload(t *testing.T) {
	var asked []string
	c, mux := testConsole(testRelay{})
	c.cfg.Configuration = testConfiguration{asked: &asked}
	if w := as(mux, operators.Operator, http.MethodPost, "/console/configuration/reload", url.Values{}); w.Code != http.StatusForbidden || len(asked) > 0 {
		t.Errorf("an operator reloads: %d", w.Code)
	}
	as(mux, operators.Admin, http.MethodPost, "/console/configuration/reload", url.Values{})
	if !slices.Equal(asked, []string{"anna (console) reloads"}) {
		t.Errorf("asked %q", asked)
	}
}
