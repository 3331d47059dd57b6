package simulator_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"graphrelay/graph/simulator"
)

// in starts a simulator in a world, in which sent items are in Sent Items at once.
func in(t *testing.T, w simulator.World) *client {
	t.Helper()
	return start(t, simulator.Options{SendDelay: -1, World: w})
}

func (c *client) change(change func(*simulator.World)) {
	c.t.Helper()
	if err := c.sim.ChangeWorld(change); err != nil {
		c.t.Fatal(err)
	}
}

// Each field of World names its sources, and docs/graph.md has it.
func TestWorldNamesItsSources(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "world.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/graph.md")
	if err != nil {
		t.Fatal(err)
	}
	mark := regexp.MustCompile(`\[(documented|reported|assumed)`)
	fields := file.Scope.Lookup("World").Decl.(*ast.TypeSpec).Type.(*ast.StructType).Fields.List
	if len(fields) != len(simulator.WorldNames()) {
		t.Errorf("%d fields, %d names", len(fields), len(simulator.WorldNames()))
	}
	comment := ""
	for n, field := range fields {
		if field.Doc != nil {
			comment = field.Doc.Text()
		}
		name := field.Names[0].Name
		if !strings.Contains(comment, name) || !mark.MatchString(comment) {
			t.Errorf("the comment of %s does not name it and its source: %s", name, comment)
		}
		if !strings.Contains(string(page), "`"+simulator.WorldNames()[n]+"`") {
			t.Errorf("docs/graph.md does not have %s", simulator.WorldNames()[n])
		}
	}
}

func TestSetWorld(t *testing.T) {
	var w simulator.World
	for _, text := range []string{"filterLag=4s", "filterStatus=504", "newIdOnSend", "deleteTo=recoverable", "messageSize=36700160",
		"elsewhere=a@contoso.test,b@contoso.test", "returns=*:5.7.232", "pace=30", "sharedScopes=false"} {
		if err := w.Set(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	want := simulator.World{FilterLag: 4 * time.Second, FilterStatus: 504, NewIDOnSend: true, DeleteTo: "recoverable", MessageSize: simulator.DefaultMessageSize,
		Elsewhere: []string{"a@contoso.test", "b@contoso.test"}, Returns: map[string]string{"*": "5.7.232"}, Pace: 30}
	if !reflect.DeepEqual(w, want) {
		t.Errorf("set %+v, want %+v", w, want)
	}
	for _, text := range []string{"filterLg=4s", "filterLag=4", "filterStatus=200", "newIdOnSend=maybe", "deleteTo=trash", "deviceCode=no", "keyLag=-1s", "pace=-1",
		"returns=a", "droppedProperties=nothing", ""} {
		if err := w.Set(text); err == nil {
			t.Errorf("accepted %q", text)
		}
	}
	for _, name := range simulator.WorldNames() {
		fresh := simulator.World{}
		value := map[reflect.Kind]string{reflect.Bool: "true", reflect.Int: "500", reflect.Int64: "5", reflect.Map: "a:b", reflect.Slice: "from", reflect.String: "deleted"}
		field, _ := reflect.TypeFor[simulator.World]().FieldByNameFunc(func(f string) bool { return strings.EqualFold(f, name) })
		text := value[field.Type.Kind()]
		switch {
		case field.Type == reflect.TypeFor[time.Duration]():
			text = "5s"
		case name == "deviceCode":
			text = simulator.DeviceCodeSilent
		}
		if err := fresh.Set(name + "=" + text); err != nil || reflect.ValueOf(fresh).IsZero() {
			t.Errorf("%s=%s: %v, set %+v", name, text, err, fresh)
		}
	}
}

func TestWorldOverHTTP(t *testing.T) {
	c := in(t, simulator.World{Elsewhere: []string{"x@contoso.test", "y@contoso.test"}, Returns: map[string]string{"*": "5.1.8"}})
	before := c.sim.World()
	set := func(method, body string) reply {
		req, err := http.NewRequest(method, c.base+"/_simulator/world", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		return c.do(req)
	}
	patch := func(body string) reply { return set("PATCH", body) }
	if r := patch(`{"filterLag":"2s","elsewhere":["z@contoso.test"],"returns":{"a@b.test":"5.7.232"}}`); r.status != 200 || !strings.Contains(string(r.body), `"filterLag": "2s"`) {
		t.Errorf("%d %s", r.status, r.body)
	}
	w := c.sim.World()
	if w.FilterLag != 2*time.Second || len(w.Elsewhere) != 1 || len(w.Returns) != 2 {
		t.Errorf("world %+v", w)
	}
	if before.Elsewhere[0] != "x@contoso.test" || len(before.Returns) != 1 {
		t.Errorf("a copy changed: %+v", before)
	}
	for _, body := range []string{`{"filterLg":"2s"}`, `{"filterLag":2}`, `{"filterStatus":99}`} {
		if r := patch(body); r.status != 400 {
			t.Errorf("%s: %d", body, r.status)
		}
	}
	var read simulator.World
	if err := json.Unmarshal(c.plainCall("GET", c.base+"/_simulator/world").body, &read); err != nil || !reflect.DeepEqual(read, w) {
		t.Errorf("read %+v, error %v", read, err)
	}
	if r := set("PUT", `{"pace":30}`); r.status != 200 || !reflect.DeepEqual(c.sim.World(), simulator.World{Pace: 30}) {
		t.Errorf("%d, set %+v", r.status, c.sim.World())
	}
	c.sim.Reset()
	if got := c.sim.World(); got.FilterLag != 0 || len(got.Elsewhere) != 2 {
		t.Errorf("after a reset %+v", got)
	}
}

// Items of a mailbox's owner: the simulator shows what was done to them.
func TestPlantedItems(t *testing.T) {
	c := in(t, simulator.World{})
	plant := func(folder, subject string) string {
		t.Helper()
		id, err := c.sim.Plant(simulator.Message{Mailbox: mailbox, Folder: folder, Subject: subject, To: []simulator.Address{{Address: "eve@fabrikam.test"}}})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	read, sent, deleted, changed, filed := plant("", "read"), plant("", "sent"), plant(simulator.SentItems, "deleted"), plant("", "changed"), plant("", "filed")
	plant(simulator.Inbox, "received")
	c.want(c.get("/messages/"+read+"?$expand=attachments"), 200, "")
	if got := c.get("/mailFolders/inbox/messages").object()["value"].([]any); len(got) != 1 || got[0].(object)["isDraft"] != false {
		t.Errorf("inbox %v", got)
	}
	if touched := c.sim.Touched(); len(touched) != 0 {
		t.Errorf("touched by reading: %+v", touched)
	}
	c.want(c.send(sent), 202, "")
	if l := c.sim.Ledger(); len(l) != 1 || !l[0].Planted {
		t.Errorf("ledger %+v", l)
	}
	c.want(c.do(c.request("DELETE", "/messages/"+deleted, "", nil)), 204, "")
	c.want(c.patch(changed, object{"isRead": false}), 200, "")
	c.want(c.json("POST", "/messages/"+filed+"/attachments", file("a", nil)), 201, "")
	var touched []simulator.Touch
	if err := json.Unmarshal(c.plainCall("GET", c.base+"/_simulator/touched").body, &touched); err != nil {
		t.Fatal(err)
	}
	want := []simulator.Touch{
		{ID: sent, Mailbox: mailbox, Folder: simulator.Drafts, Subject: "sent", What: simulator.TouchSent},
		{ID: deleted, Mailbox: mailbox, Folder: simulator.SentItems, Subject: "deleted", What: simulator.TouchDeleted},
		{ID: changed, Mailbox: mailbox, Folder: simulator.Drafts, Subject: "changed", What: simulator.TouchChanged},
		{ID: filed, Mailbox: mailbox, Folder: simulator.Drafts, Subject: "filed", What: simulator.TouchChanged},
	}
	if !reflect.DeepEqual(touched, want) {
		t.Errorf("touched %+v, want %+v", touched, want)
	}
	for _, m := range []simulator.Message{{Mailbox: mailbox, Folder: "Archive"}, {Mailbox: "missing@contoso.test"}, {Mailbox: mailbox, Properties: []simulator.Property{{ID: "x"}}}} {
		if _, err := c.sim.Plant(m); err == nil {
			t.Errorf("planted %+v", m)
		}
	}
}
