package harness

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// WatchProcesses looks at the process list, as ps shows it to every user, until the returned
// function is called. That returns the different command lines that had mark in them. Where
// there is no /proc, it returns nothing.
func WatchProcesses(t *testing.T, mark string) (stop func() [][]byte) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return func() [][]byte { return nil }
	}
	seen := map[string]bool{}
	look := func() {
		all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, path := range all {
			if line, _ := os.ReadFile(path); bytes.Contains(line, []byte(mark)) { // it may have ended
				seen[string(line)] = true
			}
		}
	}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			look()
			select {
			case <-end:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return func() (lines [][]byte) {
		close(end)
		<-ended
		for line := range seen {
			lines = append(lines, []byte(line))
		}
		if len(lines) == 0 {
			t.Errorf("the process list has nothing with %s", mark)
		}
		return lines
	}
}
