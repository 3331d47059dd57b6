package setup

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"graphrelay/graph/simulator"
)

// fakeAzure names the environment variable with the administrator's token, with which this
// program stands in for az.
const fakeAzure = "TEST_FAKE_AZURE"

// azure does what az rest does, as far as the script needs it.
func azure(args []string) int {
	flags := map[string]string{}
	for i := 1; i+1 < len(args); i += 2 {
		flags[args[i]] = args[i+1]
	}
	if resource := flags["--resource"]; args[0] != "rest" || resource == "" || !strings.HasPrefix(flags["--url"], resource+"/v1.0/") {
		fmt.Fprintf(os.Stderr, "az %s: no token for that\n", args) // az finds out the resource of its clouds' own endpoints alone
		return 1
	}
	request, err := http.NewRequest(strings.ToUpper(flags["--method"]), flags["--url"], strings.NewReader(flags["--body"]))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	request.Header.Set("Authorization", "Bearer "+os.Getenv(fakeAzure))
	if name, value, ok := strings.Cut(flags["--headers"], "="); ok {
		request.Header.Set(name, value)
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer reply.Body.Close()
	body, _ := io.ReadAll(reply.Body)
	var answer any
	if err := json.Unmarshal(body, &answer); err != nil || reply.StatusCode >= 300 {
		fmt.Fprintf(os.Stderr, "%s: %s\n", reply.Status, body)
		return 1
	}
	if flags["--output"] == "tsv" {
		fmt.Println(query(answer, flags["--query"]))
	}
	return 0
}

var filtered = regexp.MustCompile(`^(\w+)\[\?(\w+)=='([^']*)'\]\.(\w+) \| \[0\]$`)

// query evaluates the forms of JMESPath that the script has.
func query(answer any, path string) string {
	path = strings.TrimSuffix(path, " || ''")
	object, _ := answer.(map[string]any)
	if m := filtered.FindStringSubmatch(path); m != nil {
		list, _ := object[m[1]].([]any)
		for _, item := range list {
			if of := item.(map[string]any); of[m[2]] == m[3] {
				return fmt.Sprint(of[m[4]])
			}
		}
		return ""
	}
	if name, ok := strings.CutPrefix(path, "value[0]."); ok {
		list, _ := object["value"].([]any)
		if len(list) == 0 {
			return ""
		}
		object, path = list[0].(map[string]any), name
	}
	return fmt.Sprint(object[path])
}

// skipUnlessCI skips a test that lacks something. In CI it fails the test instead.
func skipUnlessCI(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// TestAzureScript runs the script for a shell, twice, and goes on with the command that it
// prints.
func TestAzureScript(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		skipUnlessCI(t, "there is no sh here")
	}
	w := newTenant(t, simulator.World{})
	o := w.options(Choices{Scope: Tenant})
	var script bytes.Buffer
	o.Script, o.ScriptTo = ScriptAzureCLI, &script
	w.run(o)
	bin := t.TempDir()
	self, err := os.Executable()
	if err == nil {
		err = os.Symlink(self, filepath.Join(bin, "az"))
	}
	if err != nil {
		t.Skip(err)
	}
	printed := ""
	for range 2 {
		c := shell(script.String())
		c.Env = append(os.Environ(), fakeAzure+"="+os.Getenv(o.AdminTokenEnv), "PATH="+bin+":"+os.Getenv("PATH"))
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		printed = string(out)
	}
	app := w.one()
	if got := strings.Join(app.Roles, " "); got != "Mail.ReadWrite Mail.Send User.Read.All" || len(app.Keys) != 2 {
		t.Errorf("made: %+v", app)
	}
	for flag, to := range map[string]*string{"client-id": &o.Choices.ClientID, "app-object-id": &o.Choices.AppObjectID,
		"principal-id": &o.Choices.PrincipalID, "tenant": &o.Choices.Tenant} {
		_, rest, _ := strings.Cut(printed, "--"+flag+" ")
		*to, _, _ = strings.Cut(strings.TrimSpace(rest), " ")
	}
	if o.Choices.ClientID != app.AppID || o.Choices.AppObjectID != app.ObjectID || o.Choices.PrincipalID != app.Principal {
		t.Fatalf("printed:\n%s", printed)
	}
	o.Script, o.AdminTokenEnv = "", ""
	w.run(o)
	w.config()
	// Undo finds the application by the mark that the script gave it.
	o.AdminTokenEnv = "TEST_ADMIN_TOKEN"
	if err := Undo(t.Context(), o, true); err != nil || len(w.apps()) > 0 {
		t.Errorf("undo: %v, %d left", err, len(w.apps()))
	}
}
