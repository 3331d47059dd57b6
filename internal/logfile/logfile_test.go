package logfile

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

var roomy = Rotation{Size: 1 << 20, Files: 3, Age: time.Hour}

func open(t *testing.T, path string, r Rotation) (*File, *bytes.Buffer) {
	t.Helper()
	fallback := &bytes.Buffer{}
	f, err := Open(path, r, fallback)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f, fallback
}

// contents returns what the log and its finished files hold, by name.
func contents(t *testing.T, folder string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), lockSuffix) {
			continue
		}
		data, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(data)
	}
	return all
}

// Lines of several goroutines all arrive, whole, in files that keep to the size.
func TestRotation(t *testing.T) {
	folder := t.TempDir()
	f, fallback := open(t, filepath.Join(folder, "relay.log"), Rotation{Size: 1000, Files: 100, Age: time.Hour})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 100 {
				fmt.Fprintf(f, "worker %d line %d\n", w, i)
			}
		})
	}
	wg.Wait()
	lines := map[string]int{}
	files := contents(t, folder)
	for name, text := range files {
		if len(text) > 1000 {
			t.Errorf("%s has %d bytes", name, len(text))
		}
		for line := range strings.Lines(text) {
			lines[line]++
		}
	}
	for w := range 4 {
		for i := range 100 {
			if line := fmt.Sprintf("worker %d line %d\n", w, i); lines[line] != 1 {
				t.Errorf("%q is there %d times", line, lines[line])
			}
		}
	}
	if len(files) < 5 || fallback.Len() > 0 {
		t.Errorf("%d files; %s", len(files), fallback)
	}
}

// Finished files go when they are too many or too old, and files of others stay.
func TestPrune(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "relay.log")
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for _, name := range []string{"relay.log.1", "relay.log.2026-01-31", "relay.log.2026-01-30T00-00-00.000Z.gz", "other.log.2020-01-30T00-00-00.000Z"} {
		if err := os.WriteFile(filepath.Join(folder, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, _ := open(t, path, Rotation{Size: 10, Files: 2, Age: time.Hour})
	f.now = func() time.Time { return now }
	for i := range 5 {
		fmt.Fprintf(f, "line %d....\n", i)
		now = now.Add(time.Minute)
	}
	got := contents(t, folder)
	if len(got) != 4+3 || got["relay.log"] != "line 4....\n" || got["relay.log.2026-01-31T12-04-00.000Z"] != "line 3....\n" || got["relay.log.2026-01-31T12-03-00.000Z"] != "line 2....\n" {
		t.Errorf("too many: %q", got)
	}
	now = now.Add(pruneEvery + time.Minute)
	f.SetRotation(Rotation{Size: 1000, Files: 2, Age: time.Hour})
	fmt.Fprintln(f, "later")
	if got := contents(t, folder); len(got) != 4+1 {
		t.Errorf("too old: %q", got)
	}
}

// Other programs rename the file or cut it.
func TestOthersRotate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows renames no open file")
	}
	folder := t.TempDir()
	path := filepath.Join(folder, "relay.log")
	f, fallback := open(t, path, Rotation{Size: 30, Files: 3, Age: time.Hour})
	fmt.Fprintln(f, "before the rename")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(f, "still")
	if err := f.Reopen(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(f, "after the rename")
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(f, "after the truncation")
	if got := contents(t, folder); len(got) != 2 || got["relay.log.1"] != "before the rename\nstill\n" || got["relay.log"] != "after the truncation\n" {
		t.Errorf("%q", got)
	}
	// The next rotation does not rename what another program has put there.
	if err := os.Rename(path, path+".2"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("new\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(f, "a line that does not fit")
	if got := contents(t, folder); len(got) != 3 || got["relay.log"] != "new\na line that does not fit\n" {
		t.Errorf("%q", got)
	}
	if fallback.Len() > 0 {
		t.Error(fallback)
	}
}

// A File whose disk takes nothing says so once, and its lines go elsewhere until it does.
func TestFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("this system has no /dev/full")
	}
	folder := t.TempDir()
	f, fallback := open(t, filepath.Join(folder, "relay.log"), roomy)
	fmt.Fprintln(f, "one")
	good := f.file
	f.file = full
	for i := range 3 {
		if n, err := fmt.Fprintf(f, "lost %d\n", i); n != 7 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	f.file, f.torn = good, true // as after a part of a line
	fmt.Fprintln(f, "two")
	if text := fallback.String(); strings.Count(text, "cannot write the log file") != 1 || !strings.HasSuffix(text, "lost 0\nlost 1\nlost 2\n") {
		t.Errorf("the fallback got %q", text)
	}
	if got := contents(t, folder)["relay.log"]; got != "one\n\ntwo\n" {
		t.Errorf("%q", got)
	}
}

// A file that cannot be renamed grows; one that cannot be opened is tried again.
func TestFaults(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "made")
	path := filepath.Join(folder, "relay.log")
	f, fallback := open(t, path, Rotation{Size: 10, Files: 3, Age: time.Hour})
	now := time.Now()
	f.now = func() time.Time { return now }
	f.rename = func(string, string) error { return errors.New("somebody has it open") }
	for range 3 {
		fmt.Fprintln(f, "12345678")
	}
	if got := contents(t, folder); len(got) != 1 || len(got["relay.log"]) != 27 || fallback.Len() > 0 {
		t.Errorf("%q, %s", got, fallback)
	}
	f.rename = func(from, to string) error { return errors.Join(os.Rename(from, to), os.Mkdir(from, 0o700)) }
	now = now.Add(retryEvery)
	fmt.Fprintln(f, "elsewhere")
	fmt.Fprintln(f, "elsewhere")
	if text := fallback.String(); strings.Count(text, "is not a regular file") != 1 || strings.Count(text, "elsewhere\n") != 2 {
		t.Errorf("%s", text)
	}
	if err := f.Reopen(); err == nil {
		t.Error("a folder was opened")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	now = now.Add(retryEvery)
	fmt.Fprintln(f, "here again")
	if got := contents(t, folder)["relay.log"]; got != "here again\n" {
		t.Errorf("%q", got)
	}
}

// Only one process writes a file, which nobody else can read.
func TestExclusive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "logs", "relay.log")
	f, fallback := open(t, path, roomy)
	if _, err := Open(path, roomy, fallback); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), path) {
		t.Errorf("a second one: %v", err)
	}
	for _, p := range []string{path, path + lockSuffix, filepath.Dir(path)} {
		info, err := os.Stat(p)
		if err != nil || runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", p, info.Mode(), err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(f, "late")
	if fallback.String() != "late\n" {
		t.Errorf("after Close: %s", fallback)
	}
	if err := f.Reopen(); err == nil {
		t.Error("a closed one was opened again")
	}
	g, _ := open(t, path, roomy)
	fmt.Fprintln(g, "next")
}
