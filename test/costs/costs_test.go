// Package costs compares what the hot paths of the relay take for each message with what they
// took before: allocations, bytes that are written and calls that write them, and requests. Times depend on the machine
// and are left to the benchmarks.
package costs

import (
	"flag"
	"os"
	"testing"

	"graphrelay/internal/race"
)

const file = "testdata/costs.txt"

var update = flag.Bool("update", false, "write testdata/costs.txt")

// TestCosts fails if a path takes more than the margin more or less than testdata/costs.txt
// has. Less is a reason to write the file anew, so that it stays so.
func TestCosts(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	if testing.Short() {
		t.Skip("takes seconds")
	}
	baseline := readBaseline(t)
	measured := map[string]costs{}
	for _, p := range paths {
		if !t.Run(p.name, func(t *testing.T) { measured[p.name] = p.cost(t) }) {
			return
		}
	}
	t.Logf("measured:\n%s", format(measured))
	if *update {
		if err := os.WriteFile(file, format(measured), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, d := range differences(baseline, measured) {
		t.Error(d)
	}
	if t.Failed() {
		t.Log("if that is meant, run go test ./test/costs -update and commit the file")
	}
}

// readBaseline returns what is to be compared with. It skips the test if that is of another
// release of Go, but not in CI.
func readBaseline(t *testing.T) map[string]costs {
	t.Helper()
	if *update {
		return nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	release, baseline, err := parse(string(text))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if release == goRelease() {
		return baseline
	}
	if os.Getenv("CI") == "" {
		t.Skipf("%s is of %s, and this is %s", file, release, goRelease())
	}
	t.Fatalf("%s is of %s, and this is %s: run go test ./test/costs -update", file, release, goRelease())
	return nil
}
