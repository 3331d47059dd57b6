package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Error is one fault of a configuration file.
type Error struct {
	File string
	Line int    // 0 for a fault of the whole file
	Key  string // such as listeners[0].address; may be empty
	Text string // what is wrong, a semicolon, and what to do
}

// Error returns "file:line: key: text".
func (e Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	if e.Key != "" {
		b.WriteString(": " + e.Key)
	}
	return b.String() + ": " + e.Text
}

// Errors lists all faults of a configuration file in the order of its lines.
type Errors []Error

// Error returns one line for each fault.
func (e Errors) Error() string { return strings.Join(e.lines(), "\n") }

// Unwrap lets errors.As find a single fault.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i := range e {
		all[i] = e[i]
	}
	return all
}

func (e Errors) sorted() Errors {
	slices.SortStableFunc(e, func(a, b Error) int { return a.Line - b.Line })
	return e
}

func (e Errors) lines() []string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return lines
}

// mark describes a key of the file.
type mark struct {
	line int
	null bool // the key has no value
	bad  bool // the value could not be read, and this was reported
}

// report collects faults and warnings, and knows the line of each key.
type report struct {
	file     string
	marks    map[string]mark // by key path; "" is the whole document
	faults   Errors
	warnings Errors
	ranges   map[string][2]int // of whole numbers, by key path; collected for the schema unless it is nil
}

func newReport(file string) *report {
	return &report{file: file, marks: map[string]mark{}}
}

// fault adds a fault of a key, unless its value or that of a key above it could not be read.
func (r *report) fault(key, format string, args ...any) {
	if !r.isBad(key) {
		r.faults = append(r.faults, r.entry(key, format, args...))
	}
}

// isBad reports whether the value of a key or of one above it could not be read.
func (r *report) isBad(key string) bool {
	for ; key != ""; key = parent(key) {
		if r.marks[key].bad {
			return true
		}
	}
	return r.marks[""].bad
}

// unreadable adds a fault of a key, and suppresses those of later checks.
func (r *report) unreadable(key, format string, args ...any) {
	r.fault(key, format, args...)
	m := r.marks[key]
	m.bad = true
	r.marks[key] = m
}

func (r *report) warn(key, format string, args ...any) {
	r.warnings = append(r.warnings, r.entry(key, format, args...))
}

func (r *report) entry(key, format string, args ...any) Error {
	return Error{File: r.file, Line: r.line(key), Key: key, Text: fmt.Sprintf(format, args...)}
}

// has reports whether the file gives the key a value, valid or not.
func (r *report) has(key string) bool {
	m, found := r.marks[key]
	return found && !m.null
}

// line returns the line of a key, or of the mapping that should contain it.
func (r *report) line(key string) int {
	for key != "" {
		if m, found := r.marks[key]; found {
			return m.line
		}
		key = parent(key)
	}
	return r.marks[""].line
}

// parent returns the key of the mapping or list that a key is in.
func parent(key string) string { return key[:max(strings.LastIndexAny(key, ".["), 0)] }

// err returns the faults as an error, or nil if there are none.
func (r *report) err() error {
	if len(r.faults) == 0 {
		return nil
	}
	return r.faults.sorted()
}

// quote returns a value in quotes, shortened, on one line.
func quote(text string) string {
	const longest = 60
	if runes := []rune(text); len(runes) > longest {
		text = string(runes[:longest]) + "..."
	}
	return strconv.Quote(text)
}

// either joins choices as "a, b or c".
func either(choices []string) string {
	last := len(choices) - 1
	if last < 1 {
		return strings.Join(choices, "")
	}
	return strings.Join(choices[:last], ", ") + " or " + choices[last]
}
