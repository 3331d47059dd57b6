package readers

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

// otherReaders returns the commands of the other readers, each of which reads paths and
// prints a line of JSON for each.
func otherReaders(t *testing.T) map[string][]string {
	t.Helper()
	python, node := harness.NeedTool(t, "python3"), harness.NeedTool(t, "node")
	if _, err := os.Stat("testdata/js/node_modules/postal-mime"); err != nil {
		harness.SkipUnlessCI(t, "mailparser and postal-mime are not installed; .ci/install installs them")
	}
	return map[string][]string{
		"python":      {python, "testdata/read.py"},
		"mailparser":  {node, "testdata/js/read.js", "mailparser"},
		"postal-mime": {node, "testdata/js/read.js", "postal-mime"},
	}
}

func runReader(t *testing.T, command, paths []string) []reading {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Stdin = strings.NewReader(strings.Join(paths, "\n") + "\n")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	var all []reading
	for line := range bytes.Lines(out) {
		var r reading
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%s: %v in %q", command, err, line)
		}
		all = append(all, r)
	}
	if len(all) != len(paths) {
		t.Fatalf("%s: read %d of %d messages", command, len(all), len(paths))
	}
	return all
}
