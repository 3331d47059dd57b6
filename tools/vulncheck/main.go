// Command vulncheck reports known vulnerabilities in the modules that graphrelay uses. It
// runs govulncheck on the packages of a module, by default ./..., and fails when a function
// with a known vulnerability can be reached and .ci/vulnerabilities.txt does not except it.
//
// The list of vulnerabilities comes as a Go module (.ci/vulndb/go.mod), and so does
// govulncheck (.ci/tools/go.mod). Both are pinned with their checksums, so that the check
// needs no network but the module proxy, and gives the same result each time.
//
// A vulnerability of Go itself is a warning only: a newer Go mends it, and no change of this
// repository does. With -strict it fails too, as it should before a release.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// maxAge is the age from which the list of vulnerabilities is reported as old.
const maxAge = 60 * 24 * time.Hour

func main() {
	strict := flag.Bool("strict", false, "fail on vulnerabilities of Go itself too")
	root := flag.String("root", ".", "the root of the repository, with .ci")
	dir := flag.String("C", ".", "the `directory` of the module that is checked")
	flag.Parse()
	ok, err := check(*root, *dir, *strict, os.Stdout, flag.Args()...)
	if err != nil {
		fmt.Fprintln(os.Stderr, "vulncheck:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// check runs govulncheck in dir, writes what it found to w, and reports whether nothing of
// it has to be mended.
func check(root, dir string, strict bool, w io.Writer, packages ...string) (bool, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return false, err
	}
	file, err := os.Open(filepath.Join(root, ".ci", "vulnerabilities.txt"))
	if err != nil {
		return false, err
	}
	defer file.Close()
	exceptions, err := parseExceptions(file)
	if err != nil {
		return false, fmt.Errorf(".ci/vulnerabilities.txt: %w", err)
	}
	list, err := download(filepath.Join(root, ".ci", "vulndb"))
	if err != nil {
		return false, err
	}
	if len(packages) == 0 {
		packages = []string{"./..."}
	}
	args := append([]string{"tool", "-modfile=" + filepath.Join(root, ".ci", "tools", "go.mod"),
		"govulncheck", "-format", "json", "-db", list.url()}, packages...)
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := cmd.Start(); err != nil {
		return false, err
	}
	result, readErr := readResult(out)
	io.Copy(io.Discard, out) // so that govulncheck can end when its output was not understood
	if err := errors.Join(readErr, cmd.Wait()); err != nil {
		return false, fmt.Errorf("govulncheck: %w", err)
	}
	r := report{findings: result, exceptions: exceptions, list: list, now: time.Now(), strict: strict}
	return r.write(w), nil
}

// list is a downloaded list of vulnerabilities.
type list struct {
	Dir     string
	Version string // a pseudo-version, which ends in the date and the commit
}

// download returns the list that the module in dir requires.
func download(dir string) (list, error) {
	cmd := exec.Command("go", "mod", "download", "-json")
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return list{}, fmt.Errorf("go mod download in %s: %w\n%s", dir, err, out)
	}
	var l list
	if err := json.Unmarshal(out, &l); err != nil {
		return list{}, fmt.Errorf("%s/go.mod must require golang.org/x/vulndb alone: %w", dir, err)
	}
	if l.Dir == "" || l.date().IsZero() {
		return list{}, fmt.Errorf("%s/go.mod: no date in the version %q", dir, l.Version)
	}
	return l, nil
}

// url returns the list in the form that govulncheck reads.
func (l list) url() string {
	return "file://" + filepath.ToSlash(filepath.Join(l.Dir, "data", "osv"))
}

// date returns when the list was published, or the zero time if its version does not say.
func (l list) date() time.Time {
	const format = "20060102150405"
	m := pseudoVersion.FindStringSubmatch(l.Version)
	if m == nil {
		return time.Time{}
	}
	date, err := time.Parse(format, m[1])
	if err != nil {
		return time.Time{}
	}
	return date
}
