package api_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"graphrelay/relay/api"
	"graphrelay/relay/operators"
	"graphrelay/relay/queue"
)

// The description is valid OpenAPI 3.1, and so is each schema in it.
func TestDescription(t *testing.T) {
	h, err := api.New(api.Config{Version: "v1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	d := describe(t, h)
	file, err := os.Open("testdata/openapi-3.1.json")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	meta, err := jsonschema.UnmarshalJSON(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.compiler.AddResource("https://spec.openapis.org/openapi-3.1.json", meta); err != nil {
		t.Fatal(err)
	}
	s, err := d.compiler.Compile("https://spec.openapis.org/openapi-3.1.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(any(d.document)); err != nil {
		t.Errorf("%#v", err)
	}
	if version := d.at("openapi"); version != "3.1.0" {
		t.Errorf("it is of OpenAPI %v", version)
	}
	for name := range d.at("components", "schemas").(map[string]any) {
		if _, err := d.schema("components", "schemas", name); err != nil {
			t.Error(err)
		}
	}
}

// Each operation, parameter and field is described.
func TestDescriptionSaysAll(t *testing.T) {
	h, err := api.New(api.Config{})
	if err != nil {
		t.Fatal(err)
	}
	d, fields := describe(t, h), 0
	said := func(v any, at string) {
		text, _ := v.(string)
		if fields++; len(text) < 10 || !strings.HasSuffix(text, ".") && !strings.HasPrefix(at, "/components/schemas/Error") {
			t.Errorf("%s is described as %q", at, text)
		}
	}
	for path, methods := range d.at("paths").(map[string]any) {
		for method, op := range methods.(map[string]any) {
			o, at := op.(map[string]any), path+" "+method
			said(o["description"], at)
			if !strings.Contains(o["description"].(string), "It needs the role ") || o["summary"] == "" {
				t.Errorf("%s: %v", at, o)
			}
			parameters, _ := o["parameters"].([]any)
			for _, p := range parameters {
				p := p.(map[string]any)
				said(p["description"], at+" "+p["name"].(string))
			}
		}
	}
	for name, schema := range d.at("components", "schemas").(map[string]any) {
		properties, _ := schema.(map[string]any)["properties"].(map[string]any)
		for field, p := range properties {
			said(p.(map[string]any)["description"], "/components/schemas/"+name+"/"+field)
		}
	}
	if fields < 80 {
		t.Errorf("only %d things are described", fields)
	}
}

// What a role may not do is refused before anything is read or changed.
func TestRoles(t *testing.T) {
	r := start(t, "one")
	id := r.ids[0]
	for _, c := range []struct {
		role               operators.Role
		method, path, body string
	}{
		{operators.Viewer, "GET", "/messages", ""},
		{operators.Viewer, "GET", "/messages/count", ""},
		{operators.Viewer, "GET", "/messages/" + id, ""},
		{operators.Operator, "GET", "/messages/" + id + "/content", ""},
		{operators.Operator, "POST", "/actions/hold", `{"ids":["` + id + `"]}`},
		{operators.Operator, "POST", "/actions/hold/selection?all=true", ""},
		{operators.Operator, "POST", "/messages/" + id + "/resend", `{"recipients":["bert@example.com"]}`},
		{operators.Viewer, "GET", "/lanes", ""},
		{operators.Operator, "POST", "/lanes/pause", `{"lane":"contoso"}`},
		{operators.Operator, "POST", "/lanes/resume", `{"lane":"contoso"}`},
		{operators.Viewer, "GET", "/nodes", ""},
		{operators.Operator, "POST", "/nodes/drain", `{"node":"a"}`},
		{operators.Operator, "POST", "/nodes/undrain", `{"node":"a"}`},
		{operators.Viewer, "GET", "/relay", ""},
		{operators.Viewer, "GET", "/audits", ""},
		{operators.Viewer, "GET", "/configuration/changes", ""},
		{operators.Admin, "POST", "/configuration/reload", ""},
		{operators.Admin, "POST", "/console/links", ""},
		{operators.Viewer, "GET", "/listeners", ""},
		{operators.Admin, "POST", "/devices/allow", `{"listener":"devices","address":"192.0.2.7","senders":["a@contoso.test"]}`},
		{operators.Operator, "POST", "/devices/block", `{"listener":"devices","address":"192.0.2.7"}`},
		{operators.Operator, "POST", "/devices/remove", `{"listener":"devices","address":"192.0.2.7"}`},
		{operators.Admin, "POST", "/devices/learn", `{"listener":"devices","minutes":5,"network":"192.0.2.0/24","domain":"contoso.test"}`},
		{operators.Operator, "POST", "/devices/learn/close", `{"listener":"devices"}`},
		{operators.Viewer, "GET", "/connections", ""},
		{operators.Operator, "POST", "/connections/check", `{"connection":"contoso"}`},
		{operators.Admin, "POST", "/connections/probe", `{"connection":"contoso","mailbox":"a@contoso.test"}`},
		{operators.Operator, "POST", "/connections/stop", ""},
		{operators.Viewer, "GET", "/incidents", ""},
		{operators.Operator, "POST", "/alerts/test", "{}"},
		{operators.Viewer, "GET", "/attention", ""},
		{operators.Viewer, "GET", "/flow", ""},
	} {
		for role := operators.None; role < c.role; role++ {
			r.person.Role = role
			want := http.StatusForbidden
			if role == operators.None {
				want = http.StatusUnauthorized
			}
			r.want(t, c.method, api.Prefix+c.path, c.body, want, c.role.String())
		}
	}
	if got := r.audits(t); len(got) > 0 || r.live.reloads > 0 || len(r.edge.done) > 0 || r.signIns.running || r.alerts.tests > 0 {
		t.Errorf("done was %q %q, and %d reloads, %d tests", got, r.edge.done, r.live.reloads, r.alerts.tests)
	}
	if m, err := r.ops.Message(t.Context(), id); err != nil || m.State != queue.Queued {
		t.Errorf("it is %+v, %v", m, err)
	}
}

// Where the content of messages is kept from operators, the API does so too.
func TestContentIsKept(t *testing.T) {
	r := start(t, "one")
	h, err := api.New(api.Config{Operations: r.ops, Content: func(p operators.Person) bool { return p.Name != "anna" }})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(asAdmin(h))
	defer server.Close()
	resp, err := http.Get(server.URL + "/api/v1/messages/" + r.ids[0] + "/content")
	if err != nil || resp.StatusCode != http.StatusForbidden {
		t.Fatal(resp, err)
	}
	_ = resp.Body.Close()
}

// Every operation, and every refusal that is special to one.
func TestOperations(t *testing.T) {
	r := start(t, "one", "two")
	id, none := r.ids[0], "/api/v1/messages/0000000000000000"
	r.want(t, "GET", "/api/v1/relay", "", 200, `"v1.2.3"`)
	r.want(t, "GET", "/api/v1/messages?limit=1", "", 200, id, `"next":"`+id+`"`)
	r.want(t, "GET", "/api/v1/messages?after="+id, "", 200, r.ids[1])
	r.want(t, "GET", "/api/v1/messages/count?subject=TWO", "", 200, `{"messages":1}`)
	r.want(t, "GET", "/api/v1/messages/"+id, "", 200, `"events":[`, `"ret":"HDRS"`)
	r.want(t, "GET", none, "", 404, "urn:graphrelay:problem:no-such-message", `"no such message"`)
	r.want(t, "GET", "/api/v1/messages/"+id+"/content", "", 200, "Subject: x\r\n\r\ntext\r\n")
	r.want(t, "GET", none+"/content", "", 404, "no-such-message")
	r.want(t, "POST", "/api/v1/actions/hold", jsonOf(t, map[string]any{"ids": []string{id, "../../relay.key"}}), 200,
		`{"id":"`+id+`","done":true}`, `"done":false`, "no-such-message")
	r.want(t, "POST", "/api/v1/actions/hold", jsonOf(t, map[string]any{"ids": []string{id}, "dry_run": true}), 200, "wrong-state")
	r.want(t, "POST", "/api/v1/messages/"+r.ids[1]+"/resend", `{"recipients":["bert@example.com"]}`, 409, "wrong-state")
	r.want(t, "POST", "/api/v1/messages/"+id+"/resend", `{"recipients":["bert"]}`, 422, "bad-recipients")
	r.want(t, "POST", none+"/resend", `{"recipients":["bert@example.com"]}`, 404, "no-such-message")
	r.want(t, "POST", "/api/v1/actions/release/selection?state=held&dry_run=true", "", 200, `{"messages":1}`)
	r.want(t, "POST", "/api/v1/actions/release/selection?state=held&limit=5", "", 200, `{"messages":1}`)
	r.want(t, "POST", "/api/v1/actions/release/selection?state=sent", "", 409, "wrong-state")
	r.want(t, "POST", "/api/v1/actions/hold", jsonOf(t, map[string]any{"ids": []string{r.ids[1]}}), 200, `"done":true`)
	r.want(t, "POST", "/api/v1/messages/"+r.ids[1]+"/resend", `{"recipients":["bert@example.com"]}`, 200, `{"id":"`)
	r.want(t, "POST", "/api/v1/actions/delete", jsonOf(t, map[string]any{"ids": []string{id}}), 200, `"done":true`)
	r.want(t, "GET", "/api/v1/messages/"+id+"/content", "", 410, "no-content")
	r.want(t, "POST", "/api/v1/lanes/pause", `{"lane":"contoso"}`, 204)
	r.want(t, "POST", "/api/v1/lanes/pause", `{"lane":"contos"}`, 422, "no-such-lane")
	r.want(t, "GET", "/api/v1/lanes", "", 200, `"paused_for":"operator"`)
	r.want(t, "POST", "/api/v1/lanes/resume", `{"lane":"`+lane+`"}`, 409, "paused-as-whole", `"contoso"`)
	r.want(t, "POST", "/api/v1/lanes/resume", `{"lane":"contoso"}`, 200, `{"pauses":1}`)
	r.want(t, "POST", "/api/v1/lanes/resume", `{"lane":"contoso"}`, 409, "not-paused")
	r.want(t, "GET", "/api/v1/nodes", "", 200, `{"nodes":[]}`)
	r.want(t, "POST", "/api/v1/nodes/drain", `{"node":"a"}`, 409, "not-shared")
	r.want(t, "POST", "/api/v1/nodes/undrain", `{"node":"a"}`, 409, "not-shared")
	r.want(t, "GET", "/api/v1/audits?limit=2", "", 200, `"by":"anna (API token)"`)
	r.want(t, "GET", "/api/v1/configuration/changes", "", 200, `"changes":[]`)
	r.want(t, "POST", "/api/v1/configuration/reload", "", 204)
	r.want(t, "POST", "/api/v1/console/links", "", 403, "run graphrelay console there")
	r.person.Way = operators.ByCommand
	r.want(t, "POST", "/api/v1/console/links", "", 200, "token=of-anna")
	r.person.Way = operators.ByToken
	r.devicesAndConnections(t)
	r.want(t, "GET", "/api/v1/incidents", "", 200, `"reference":"K7QMD2"`)
	r.want(t, "GET", "/api/v1/incidents?all=true", "", 200, `"reference":"OVER"`, `"closed":"1970-01-01T00:00:02Z"`)
	r.want(t, "POST", "/api/v1/alerts/test", `{}`, 200, `"result":"queued"`, `"error":"404"`)
	r.want(t, "POST", "/api/v1/alerts/test", `{"channel":"pager"}`, 404, "no-such-channel", "pager")
	r.want(t, "GET", "/api/v1/attention", "", 200, `{"conditions":[{"reference":"K7QMD2","id":"MailHeld"`, `"severity":"info"`)
	r.want(t, "GET", "/api/v1/flow", "", 200, `"at":"1970-01-01T01:00:00Z","over_seconds":60,"accepted":7`, `"failures":[{"reason":"mailbox_full","n":2}]`)
	r.want(t, "GET", "/api/v1/flow?span=day", "", 200, `"at":"1970-01-02T00:00:00Z","over_seconds":600`)
	r.want(t, "GET", "/api/v1/flow?span=week", "", 422)
	r.live.err = refusal("relay.yaml:3: no")
	r.want(t, "GET", "/api/v1/configuration/changes", "", 422, "problem:refused", "relay.yaml:3: no")
	r.want(t, "POST", "/api/v1/configuration/reload", "", 422, "problem:refused")
	r.want(t, "GET", "/api/v1/nonsense", "", 404, "no such operation", "/api/v1/openapi.json")
	r.operationsAnswered(t)
}

// devicesAndConnections tries the operations on listeners, devices and connections.
func (r *relay) devicesAndConnections(t *testing.T) {
	t.Helper()
	r.want(t, "GET", "/api/v1/listeners", "", 200, `"name":"devices"`)
	device := `{"listener":"devices","address":"192.0.2.7"}`
	r.want(t, "POST", "/api/v1/devices/allow", `{"listener":"devices","address":"192.0.2.7","senders":["*@contoso.test"]}`, 200, `"*@contoso.test"`, "anna (API token)")
	r.want(t, "POST", "/api/v1/devices/allow", `{"listener":"other","address":"192.0.2.7","senders":["*@contoso.test"]}`, 422, "request-refused", "no listener other")
	r.want(t, "POST", "/api/v1/devices/allow", `{"listener":"devices","address":"192.0.2","senders":["*@contoso.test"]}`, 422)
	r.want(t, "POST", "/api/v1/devices/block", device, 200, `"blocked":true`)
	r.want(t, "POST", "/api/v1/devices/remove", device, 204)
	r.want(t, "POST", "/api/v1/devices/remove", `{"listener":"devices","address":"192.0.2.8"}`, 404, "not-listed")
	r.want(t, "POST", "/api/v1/devices/learn", `{"listener":"devices","minutes":5,"network":"192.0.2.0/24","domain":"contoso.test"}`, 200, `"192.0.2.0/24"`)
	r.want(t, "POST", "/api/v1/devices/learn", `{"listener":"devices","minutes":61,"network":"192.0.2.0/24","domain":"contoso.test"}`, 422)
	r.want(t, "POST", "/api/v1/devices/learn/close", `{"listener":"devices"}`, 204)
	const by = "anna (API token): "
	if want := []string{by + "allow", by + "block", by + "remove", by + "open for 5m0s", by + "close"}; !slices.Equal(r.edge.done, want) {
		t.Errorf("done was %q", r.edge.done)
	}
	r.want(t, "GET", "/api/v1/connections", "", 200, `"state":"working"`)
	r.want(t, "POST", "/api/v1/connections/stop", "", 409, "no-trial")
	r.want(t, "POST", "/api/v1/connections/check", `{"connection":"contoso"}`, 204)
	r.want(t, "POST", "/api/v1/connections/probe", `{"connection":"contoso","mailbox":"a@contoso.test"}`, 409, "trial-running")
	r.want(t, "POST", "/api/v1/connections/stop", "", 204)
	r.want(t, "POST", "/api/v1/connections/probe", `{"connection":"contoso","mailbox":"a@contoso.test"}`, 204)
	r.want(t, "POST", "/api/v1/connections/check", `{"connection":"none"}`, 404, "no-such-connection")
}

// operationsAnswered sees to it that no operation was left out.
func (r *relay) operationsAnswered(t *testing.T) {
	t.Helper()
	h, err := api.New(api.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for path, methods := range describe(t, h).at("paths").(map[string]any) {
		for _, op := range methods.(map[string]any) {
			id := op.(map[string]any)["operationId"].(string)
			if !r.answered[id+" 200"] && !r.answered[id+" 204"] && !strings.HasSuffix(id, "drain-node") {
				t.Errorf("%s (%s) was not tried", id, path)
			}
		}
	}
}

// What is not understood is refused: a request must not do more than what was meant.
func TestBadRequests(t *testing.T) {
	r := start(t, "one")
	long := strings.Repeat("x", 2000)
	for _, path := range []string{
		"/messages?stat=held", "/messages?state=lost", "/messages?state=", "/messages?lane=", "/messages?lane=a&lane=b", "/messages?since=yesterday",
		"/messages?limit=0", "/messages?within=0", "/messages?within=21", "/messages?limit=201", "/messages?limit=x", "/messages?subject=" + long, "/messages?reason=netwrk", "/messages?subject=%zz",
		"/messages?has_content=perhaps", "/audits?limit=10001", "/messages/" + long, "/messages/count?limit=1",
		"/messages?state=" + strings.Repeat("held,", 9) + "held",
	} {
		r.want(t, "GET", api.Prefix+path, "", 422, `"status":422`)
	}
	for path, bodies := range map[string][]string{
		"/actions/hold":                          {``, `{}`, `{"ids":[]}`, `{"ids":null}`, `{"ids":"x"}`, `{"ids":["x"],"all":true}`, `[]`, `{"ids":["` + long + `"]}`, jsonOf(t, map[string]any{"ids": make([]string, 501)})},
		"/actions/steer":                         {`{"ids":["x"]}`},
		"/actions/hold/selection":                {``},
		"/actions/hold/selection?dry_run=true":   {``},
		"/actions/hold/selection?limit=1":        {``},
		"/actions/hold/selection?all=false":      {``},
		"/actions/hold/selection?lane=&all=true": {``},
		"/actions/hold/selection?al=true":        {``},
		"/lanes/pause":                           {`{"lane":"contoso","seconds":0}`, `{"lane":"contoso","seconds":-1}`, `{"lane":"contoso","seconds":1e20}`, `{"lane":1}`, `{"lane":"` + long + `"}`, `{"lane":"contoso","for":"1h"}`},
		"/lanes/resume":                          {`{"lane":"contoso","x":1}`},
	} {
		for _, body := range bodies {
			if status, answer := r.do(t, "POST", api.Prefix+path, body); status != 422 && status != 400 {
				t.Errorf("%s %.100s: %d %s", path, body, status, answer)
			}
		}
	}
	r.want(t, "POST", "/api/v1/lanes/pause", `{"lane":"`+strings.Repeat("x", 100_000)+`"}`, 413)
	if got := r.audits(t); len(got) > 0 {
		t.Errorf("done was %q", got)
	}
}
