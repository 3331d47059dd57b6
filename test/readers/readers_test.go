// Package readers compares what the relay reads in messages with what other programs read:
// Python's email package, mailparser and postal-mime.
package readers

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"graphrelay/test/harness"
)

var (
	folders     = flag.String("folders", "", "folders of .eml files to compare, separated by commas")
	differences = flag.String("differences", "", "file that gets the differences")
	all         = flag.Bool("all", false, "write also the messages on which the other readers disagree")
)

const (
	goldenDir = "../../mime/testdata/golden"
	knownFile = "testdata/known.txt"
)

func TestMain(m *testing.M) { harness.Main(m) }

// TestReaders compares the golden messages. Where all other readers agree and the relay
// differs, the difference has to be listed in testdata/known.txt, with the reason.
func TestReaders(t *testing.T) {
	list := compareFolder(t, goldenDir)
	known := map[string]bool{}
	data, err := os.ReadFile(knownFile)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if line, _, _ = strings.Cut(line, "#"); strings.TrimSpace(line) != "" {
			known[strings.Join(strings.Fields(line), " ")] = true
		}
	}
	for _, c := range list {
		for _, what := range c.alone {
			key := filepath.Base(c.file) + " " + what
			if !known[key] {
				t.Errorf("%s: the relay alone reads\n%s", key, c.show(what))
			}
			delete(known, key)
		}
	}
	for key := range known {
		t.Errorf("%s: listed in %s, but the readers do not agree against the relay", key, knownFile)
	}
}

// TestFolders compares the messages of any folders:
//
//	go test ./test/readers -run TestFolders -folders ~/mail -differences /tmp/differences
func TestFolders(t *testing.T) {
	if *folders == "" {
		t.Skip("no -folders")
	}
	var out strings.Builder
	for folder := range strings.SplitSeq(*folders, ",") {
		for _, c := range compareFolder(t, folder) {
			out.WriteString(c.report(*all))
		}
	}
	if *differences == "" {
		t.Log(out.String())
	} else if err := os.WriteFile(*differences, []byte(out.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// compareFolder compares all .eml files in a folder and below, and logs a summary.
func compareFolder(t *testing.T, folder string) []comparison {
	t.Helper()
	var files []string
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".eml") {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d messages, %v", folder, len(files), err)
	}
	list := compareFiles(t, files)
	alone, split := map[string]int{}, 0
	differs := 0
	for _, c := range list {
		if len(c.alone) > 0 {
			differs++
		} else if len(c.split) > 0 {
			split++
		}
		for _, what := range c.alone {
			alone[what]++
		}
	}
	var counts []string
	for what, n := range alone {
		counts = append(counts, fmt.Sprintf("%s %d", what, n))
	}
	slices.Sort(counts)
	t.Logf("%s: %d messages; %d read alike, %d on which the others disagree, %d in which the relay alone differs (%s)",
		folder, len(list), len(list)-differs-split, split, differs, strings.Join(counts, ", "))
	return list
}
