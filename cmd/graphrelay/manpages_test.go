package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestManPages generates the man pages, and looks in each for its command and flags.
func TestManPages(t *testing.T) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	if out, err := exec.Command(goTool, "run", "-tags", "manpages", ".", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, path := range everyCommand(commands(env{})) {
		page, err := os.ReadFile(filepath.Join(dir, "graphrelay-"+strings.Join(path, "-")+".1"))
		if err != nil || !strings.Contains(string(page), "graphrelay "+strings.Join(path, " ")) {
			t.Errorf("%v\n%s", err, page)
		}
	}
	page, err := os.ReadFile(filepath.Join(dir, "graphrelay-check.1"))
	if err != nil || !strings.Contains(string(page), `\fB--online\fP`) {
		t.Errorf("%v\n%s", err, page)
	}
}
