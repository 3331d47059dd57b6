package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// pseudoVersion matches the version of a commit and captures its time.
var pseudoVersion = regexp.MustCompile(`[-.](\d{14})-[0-9a-f]{12}$`)

// goItself is the module name that govulncheck gives the standard library.
const goItself = "stdlib"

// finding is a vulnerability of a module that is used at a vulnerable version.
type finding struct {
	id, summary     string
	module, version string
	fixed           string // the first version without it; empty if there is none
	called          bool   // a vulnerable function can be reached
	trace           string // how it can be reached
}

// message is what is read of a message of govulncheck -format json; each has one field.
// https://pkg.go.dev/golang.org/x/vuln/internal/govulncheck describes them.
type message struct {
	Config *struct {
		ProtocolVersion string `json:"protocol_version"`
	}
	OSV *struct {
		ID      string
		Summary string
	}
	Finding *struct {
		OSV          string
		FixedVersion string `json:"fixed_version"`
		Trace        []frame
	}
}

type frame struct {
	Module, Version, Package, Function, Receiver string

	Position *struct {
		Filename string
		Line     int
	}
}

func (f frame) String() string {
	name := f.Package + "." + f.Function
	if f.Receiver != "" {
		name = f.Package + "." + strings.TrimPrefix(f.Receiver, "*") + "." + f.Function
	}
	if f.Position != nil {
		return fmt.Sprintf("%s:%d: %s", f.Position.Filename, f.Position.Line, name)
	}
	return name
}

// readResult reads the output of govulncheck -format json. Of the findings of one
// vulnerability in one module it keeps the first that can be reached, or else the first.
func readResult(r io.Reader) ([]finding, error) {
	summaries := map[string]string{}
	found := map[[2]string]finding{}
	configured := false
	decoder := json.NewDecoder(r)
	for {
		var m message
		if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		switch {
		case m.Config != nil:
			if configured = strings.HasPrefix(m.Config.ProtocolVersion, "v1."); !configured {
				return nil, fmt.Errorf("unknown version of the output: %q", m.Config.ProtocolVersion)
			}
		case m.OSV != nil:
			summaries[m.OSV.ID] = m.OSV.Summary
		case m.Finding != nil:
			if len(m.Finding.Trace) == 0 {
				return nil, fmt.Errorf("%s has no trace", m.Finding.OSV)
			}
			last := m.Finding.Trace[0]
			key := [2]string{m.Finding.OSV, last.Module}
			if old, ok := found[key]; !ok || !old.called && last.Function != "" {
				found[key] = finding{id: m.Finding.OSV, module: last.Module, version: last.Version,
					fixed: m.Finding.FixedVersion, called: last.Function != "", trace: traceOf(m.Finding.Trace)}
			}
		}
	}
	if !configured {
		return nil, errors.New("no output")
	}
	findings := slices.SortedFunc(maps.Values(found), func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.module, b.module))
	})
	for i := range findings {
		findings[i].summary = summaries[findings[i].id]
	}
	return findings, nil
}

// traceOf returns who calls what: a trace begins with the vulnerable function and ends with
// one of the packages that are checked.
func traceOf(trace []frame) string {
	if len(trace) == 1 {
		return trace[0].String()
	}
	return trace[len(trace)-1].String() + " reaches " + trace[0].Package + "." + trace[0].Function
}

// exception is a vulnerability that is passed over until the end of a day.
type exception struct {
	id, reason string
	until      time.Time
}

func parseExceptions(r io.Reader) ([]exception, error) {
	var all []exception
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 3 {
			return nil, fmt.Errorf("line %d: want an ID, a day and a reason", n)
		}
		day, err := time.Parse(time.DateOnly, fields[1])
		if err != nil {
			return nil, fmt.Errorf("line %d: %q is not a day like 2026-12-31", n, fields[1])
		}
		all = append(all, exception{id: fields[0], until: day.AddDate(0, 0, 1), reason: strings.Join(fields[2:], " ")})
	}
	return all, lines.Err()
}

// report judges what was found.
type report struct {
	findings   []finding
	exceptions []exception
	list       list
	now        time.Time
	strict     bool
}

// write writes a line for each finding, with what to do about it, and reports whether none
// of them has to be mended.
func (r report) write(w io.Writer) bool {
	fmt.Fprintf(w, "vulnerabilities known on %s\n", r.list.date().Format(time.DateOnly))
	if r.now.Sub(r.list.date()) > maxAge {
		fmt.Fprintf(w, "warning: the list of vulnerabilities is older than %d days: run make vulndb\n", int(maxAge.Hours()/24))
	}
	bad := 0
	used := map[string]bool{}
	for _, f := range r.findings {
		excepted := slices.IndexFunc(r.exceptions, func(e exception) bool { return e.id == f.id })
		if excepted >= 0 {
			used[f.id] = true
		}
		switch {
		case !f.called:
			fmt.Fprintf(w, "not called: %s\n", f.title())
		case excepted >= 0 && r.now.Before(r.exceptions[excepted].until):
			fmt.Fprintf(w, "excepted: %s\n  %s\n", f.title(), r.exceptions[excepted].reason)
		case f.module == goItself && !r.strict:
			fmt.Fprintf(w, "warning: %s (%s)\n", f.title(), f.remedy())
		default:
			bad++
			fmt.Fprintf(w, "vulnerable: %s\n  %s\n  %s\n", f.title(), f.trace, f.remedy())
			if excepted >= 0 {
				fmt.Fprintln(w, "  the exception in .ci/vulnerabilities.txt has expired")
			}
		}
	}
	for _, e := range r.exceptions {
		if !used[e.id] {
			bad++
			fmt.Fprintf(w, "%s is not found any more: remove it from .ci/vulnerabilities.txt\n", e.id)
		}
	}
	return bad == 0
}

func (f finding) title() string {
	if f.module == goItself {
		return fmt.Sprintf("%s in Go %s: %s", f.id, strings.TrimPrefix(f.version, "v"), f.summary)
	}
	return fmt.Sprintf("%s in %s %s: %s", f.id, f.module, f.version, f.summary)
}

func (f finding) remedy() string {
	switch {
	case f.fixed == "":
		return "there is no version without it; see https://pkg.go.dev/vuln/" + f.id
	case f.module == goItself:
		return "fixed in Go " + strings.TrimPrefix(f.fixed, "v")
	}
	return fmt.Sprintf("run: go get %s@%s", f.module, f.fixed)
}
